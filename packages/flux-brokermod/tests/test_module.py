"""`BrokerModule` as the author of a module uses it, each in a file that the loader runs."""

from __future__ import annotations

import errno

import pytest

import flux
from flux.brokermod import BrokerModule, request_handler

HEAD = """
import asyncio
import errno
import flux
from flux.brokermod import BrokerModule, event_handler, request_handler

class Base(BrokerModule):
    def reply(self, msg, text):
        self.handle.respond(msg, {"text": text})
"""


@pytest.fixture
def run(load):
    """Load a module from the body of its class, and wait until it runs."""

    def start(body, **kwargs):
        channel = load(HEAD.replace("class Base", "class Mod") + body, **kwargs)
        channel.call("mod.ping", {})
        return channel

    return start


def test_name_args_and_handle_are_what_the_broker_said(run):
    mod = run(
        """
    @request_handler("info")
    def info(self, msg):
        self.reply(msg, [self.name, self.args, type(self.handle).__name__])
""",
        args=["--verbose", "count=4"],
    )
    assert mod.call("mod.info").payload == {"text": ["mod", ["--verbose", "count=4"], "Flux"]}


def test_arguments_are_split_at_white_space(run):
    mod = run(
        """
    @request_handler("info")
    def info(self, msg):
        self.reply(msg, self.args)
""",
        args=["a b", " c", 5, "'d e'"],
    )
    assert mod.call("mod.info").payload == {"text": ["a", "b", "c", "'d", "e'"]}


def test_without_prefix_a_topic_is_used_as_it_is(run):
    mod = run("""
    @request_handler("extra.hello", prefix=False)
    def hello(self, msg):
        self.reply(msg, msg.topic)

    @event_handler("shutdown", prefix=False)
    def on_shutdown(self, msg):
        self.stop()
""")
    assert mod.call("extra.hello").payload == {"text": "extra.hello"}
    assert mod.subscriptions == ["mod.stats-clear", "shutdown"]
    mod.event("shutdown")
    assert mod.finish() == 0


def test_an_event_handler_subscribes_to_its_topic_and_gets_only_that(run):
    mod = run("""
    seen = ()

    @event_handler("poke")
    def poke(self, msg):
        self.seen += (msg.topic, msg.payload)

    @request_handler("seen")
    def report(self, msg):
        self.reply(msg, self.seen)
""")
    assert mod.subscriptions == ["mod.stats-clear", "mod.poke"]
    mod.event("mod.poke", {"x": 1})
    mod.event("mod.poke.not", {"x": 2})
    mod.event("mod.poke", {"x": 3}, rolemask=6)
    assert mod.call("mod.seen").payload == {"text": ["mod.poke", {"x": 1}]}


def test_a_glob_of_events_subscribes_to_what_the_topics_begin_with(run):
    mod = run("""
    seen = ()

    @event_handler("job-state.*.end", prefix=False)
    def ended(self, msg):
        self.seen += (msg.topic,)

    @request_handler("seen")
    def report(self, msg):
        self.reply(msg, self.seen)
""")
    assert mod.subscriptions[1:] == ["job-state."]
    mod.event("job-state.12.end")
    mod.event("job-state.12.start")
    assert mod.call("mod.seen").payload == {"text": ["job-state.12.end"]}


def test_a_glob_of_requests_gets_what_has_no_handler_of_its_own(run):
    mod = run("""
    @request_handler("exact")
    def exact(self, msg):
        self.reply(msg, "exact")

    @request_handler("*")
    def rest(self, msg):
        self.reply(msg, "rest")
""")
    assert mod.call("mod.exact").payload == {"text": "exact"}
    assert mod.call("mod.nosuch").payload == {"text": "rest"}
    assert mod.call("mod.ping", {"seq": 1}).payload["seq"] == 1
    assert mod.unload() == 0


def test_a_topic_that_nobody_handles_is_answered_enosys(run):
    response = run("").call("mod.nosuch")
    assert response.errnum == errno.ENOSYS
    assert response.payload_str == "Unknown service method 'mod.nosuch'"


def test_several_decorators_make_a_method_handle_several_topics(run):
    mod = run("""
    @request_handler("get")
    @request_handler("fetch")
    @event_handler("changed")
    def get(self, msg):
        if msg.type_str == "request":
            self.reply(msg, msg.topic)
""")
    assert mod.call("mod.get").payload == {"text": "mod.get"}
    assert mod.call("mod.fetch").payload == {"text": "mod.fetch"}
    assert mod.subscriptions == ["mod.stats-clear", "mod.changed"]


def test_guests_are_refused_unless_the_handler_allows_them(run):
    mod = run("""
    @request_handler("open", allow_guest=True)
    def open(self, msg):
        self.reply(msg, msg.userid)

    @request_handler("closed")
    def closed(self, msg):
        self.reply(msg, "never")
""")
    assert mod.call("mod.open", rolemask=6).payload == {"text": 1000}
    assert mod.call("mod.open", rolemask=5).payload == {"text": 1000}
    refused = mod.call("mod.closed", rolemask=6)
    assert refused.errnum == errno.EPERM
    assert refused.payload_str == "Request requires owner credentials"
    nobody = mod.call("mod.open", rolemask=0)
    assert nobody.errnum == errno.EPERM


INHERITED = (
    HEAD
    + """
    @request_handler("first")
    def first(self, msg):
        self.reply(msg, "base")

    @request_handler("second")
    def second(self, msg):
        self.reply(msg, "base")

    @request_handler("third")
    def third(self, msg):
        self.reply(msg, "base")

    @request_handler("fourth")
    def fourth(self, msg):
        self.reply(msg, "base")

    @event_handler("poke")
    def poke(self, msg):
        self.log.info("base poked")

class Mod(Base):
    def first(self, msg):
        self.reply(msg, "derived")

    @request_handler("renamed")
    def second(self, msg):
        self.reply(msg, "derived")

    @request_handler("third")
    def another(self, msg):
        self.reply(msg, "derived")

    fourth = None

    @event_handler("poke")
    def poke(self, msg):
        self.log.info("poked")

def mod_main(h, *args):
    Mod(h, *args).run()
"""
)


def test_handlers_are_inherited_and_overridden_like_methods(load):
    mod = load(INHERITED)
    assert mod.call("mod.first").payload == {"text": "derived"}
    assert mod.call("mod.renamed").payload == {"text": "derived"}
    assert mod.call("mod.second").errnum == errno.ENOSYS
    assert mod.call("mod.third").payload == {"text": "derived"}
    assert mod.call("mod.fourth").errnum == errno.ENOSYS


def test_an_overridden_event_handler_is_called_once(load):
    mod = load(INHERITED)
    mod.call("mod.ping", {})
    mod.event("mod.poke")
    mod.call("mod.ping", {})
    assert mod.subscriptions == ["mod.stats-clear", "mod.poke"]
    assert mod.log == ["poked"]


def test_a_handler_of_ones_own_takes_the_place_of_a_standard_one(run):
    mod = run("""
    @request_handler("stats-get")
    def stats(self, msg):
        self.reply(msg, "mine")
""")
    assert mod.call("mod.stats-get").payload == {"text": "mine"}


def test_set_running_reports_before_the_event_loop_does(load):
    mod = load(
        HEAD
        + """
    def run(self):
        self.set_running()
        self.handle.rpc("slow.start").get()
        super().run()
"""
    )
    request = mod.next()
    assert request.topic == "slow.start"
    assert mod.running == 1
    mod.answer(request)
    mod.call("mod.ping", {})
    assert mod.running == 2


def test_stop_ends_run_normally(run):
    mod = run("""
    @request_handler("quit")
    def quit(self, msg):
        self.reply(msg, "bye")
        self.stop()

    def run(self):
        super().run()
        self.log.info("run returned")
""")
    mod.request("mod.quit")
    assert mod.finish() == 0
    assert mod.log == ["run returned"]


def test_stop_error_makes_run_raise(run):
    mod = run("""
    @event_handler("panic")
    def panic(self, msg):
        self.stop_error()

    def run(self):
        try:
            super().run()
        except OSError as exc:
            self.log.info(str(exc.strerror))
            raise
""")
    mod.event("mod.panic")
    assert mod.finish() == errno.ECONNRESET
    assert mod.log == ["mod: the module stopped with an error"]


RAISING = [
    ('OSError(errno.ENOSPC, "full")', errno.ENOSPC, "full", errno.ENOSPC, "OSError"),
    ('ValueError("odd")', errno.EINVAL, "ValueError: odd", errno.EINVAL, "ValueError"),
    ('KeyError("k")', errno.EIO, "KeyError: 'k'", errno.ECONNRESET, "KeyError"),
    ("UnicodeError()", errno.EINVAL, "UnicodeError", errno.EINVAL, "UnicodeError"),
]


@pytest.mark.parametrize("kind", ["def", "async def"])
@pytest.mark.parametrize(("raised", "answered", "text", "ended", "type_name"), RAISING)
def test_a_handler_that_raises_answers_and_ends_the_module(
    run, kind, raised, answered, text, ended, type_name
):
    mod = run(f"""
    @request_handler("crash")
    {kind} crash(self, msg):
        raise {raised}

    def run(self):
        try:
            super().run()
        except OSError as exc:
            self.log.info(f"run raised {{isinstance(exc, {type_name})}} {{exc.errno}}")
            raise
""")
    tag = mod.request("mod.crash")
    assert mod.finish() == ended
    response = mod.response(tag)
    assert (response.errnum, response.payload_str) == (answered, text)
    log = "\n".join(mod.log)
    assert f"run raised True {ended}" in log
    assert "mod: exception in handler of request mod.crash\nTraceback" in log
    assert f"raise {raised}" in log
    assert log.count("Traceback") == 1


def test_a_request_that_was_answered_before_the_exception_is_not_answered_twice(run):
    mod = run("""
    @request_handler("crash")
    def crash(self, msg):
        self.reply(msg, "done")
        raise RuntimeError
""")
    tag = mod.request("mod.crash")
    mod.finish()
    assert [msg.matchtag for msg in mod.others] == [tag]
    assert mod.others[0].payload == {"text": "done"}


def test_a_stream_that_had_not_ended_before_the_exception_ends_with_it(run):
    mod = run("""
    @request_handler("crash")
    def crash(self, msg):
        self.reply(msg, "one")
        raise RuntimeError
""")
    mod.request("mod.crash", streaming=True)
    mod.finish()
    assert [msg.errnum for msg in mod.others] == [0, errno.EIO]


def test_a_request_that_wants_no_response_gets_none_from_an_exception(run):
    mod = run("""
    @request_handler("crash")
    def crash(self, msg):
        raise RuntimeError
""")
    mod.request("mod.crash", noresponse=True)
    assert mod.finish() == errno.ECONNRESET
    assert mod.others == []


def test_an_exception_in_a_timer_ends_the_module_and_is_logged(run):
    mod = run("""
    @request_handler("arm")
    def arm(self, msg):
        self.timer = self.handle.timer_watcher_create(0, self.fire).start()

    def fire(self, *args):
        raise OSError(errno.ENOSPC, "full")
""")
    mod.request("mod.arm")
    assert mod.finish() == errno.ENOSPC
    assert mod.log[:2] == ["mod: exception in callback", "Traceback (most recent call last):"]


ASYNC = """
    @request_handler("ask")
    async def ask(self, msg):
        answer = await self.handle.rpc("other.method", {})
        await asyncio.sleep(0)
        self.handle.respond(msg, answer)

    @request_handler("quick")
    def quick(self, msg):
        self.reply(msg, "quick")

    @request_handler("forever")
    async def forever(self, msg):
        await asyncio.Event().wait()

    @request_handler("quit")
    async def quit(self, msg):
        self.reply(msg, "bye")
        self.stop()

    @event_handler("poke")
    async def poke(self, msg):
        await asyncio.sleep(0)
        self.log.info("poked")
"""


def test_an_async_handler_that_waits_holds_up_no_other(run):
    mod = run(ASYNC)
    asked = mod.request("mod.ask")
    rpc = mod.next()
    assert rpc.topic == "other.method"
    assert mod.call("mod.quick").payload == {"text": "quick"}
    also_asked = mod.request("mod.ask")
    second = mod.next()
    mod.answer(second, {"n": 2})
    assert mod.response(also_asked).payload == {"n": 2}
    mod.answer(rpc, {"n": 1})
    assert mod.response(asked).payload == {"n": 1}
    assert mod.unload() == 0


def test_an_ordinary_handler_beside_async_ones_may_wait_for_an_rpc(run):
    mod = run(
        ASYNC
        + """
    @request_handler("block")
    def block(self, msg):
        self.handle.respond(msg, self.handle.rpc("other.method", {}).get())
"""
    )
    blocked = mod.request("mod.block")
    mod.answer(mod.next(), {"n": 3})
    assert mod.response(blocked).payload == {"n": 3}


def test_the_error_of_an_awaited_rpc_reaches_the_requester(run):
    mod = run(ASYNC)
    asked = mod.request("mod.ask")
    mod.answer(mod.next(), "not today", errno.EBUSY)
    assert mod.finish() == errno.EBUSY
    assert mod.response(asked).payload_str == "not today"


def test_an_async_module_that_is_unloaded_answers_what_it_still_works_on(run):
    mod = run(ASYNC)
    waiting = mod.request("mod.forever")
    assert mod.unload() == 0
    assert mod.response(waiting).errnum == errno.EHOSTUNREACH


def test_an_async_handler_may_stop_the_module(run):
    mod = run(ASYNC)
    mod.request("mod.quit")
    assert mod.finish() == 0


def test_an_async_event_handler(run):
    mod = run(ASYNC)
    mod.event("mod.poke")
    mod.call("mod.quick")
    mod.call("mod.quick")
    mod.unload()
    assert mod.log == ["poked"]


def test_timers_run_beside_async_handlers(run):
    mod = run(
        ASYNC
        + """
    @request_handler("delay")
    def delay(self, msg):
        fire = lambda *args: self.reply(msg, "fired")
        self.timer = self.handle.timer_watcher_create(0.001, fire).start()
"""
    )
    assert mod.call("mod.delay").payload == {"text": "fired"}


def test_debug_bits_are_tested_and_cleared(run):
    mod = run("""
    @request_handler("test")
    def test(self, msg):
        self.reply(msg, self.debug_test(**msg.payload))
""")
    assert mod.call("mod.test", {"flag": 4}).payload == {"text": False}
    mod.call("mod.debug", {"op": "setbit", "flags": 6})
    assert mod.call("mod.test", {"flag": 4}).payload == {"text": True}
    assert mod.call("mod.test", {"flag": 4, "clear": True}).payload == {"text": True}
    assert mod.call("mod.test", {"flag": 4}).payload == {"text": False}
    assert mod.call("mod.test", {"flag": 2}).payload == {"text": True}


def test_on_a_handle_that_is_no_modules_the_name_is_unknown():
    class Mod(BrokerModule):
        pass

    with flux.Flux("loop://") as handle:
        mod = Mod(handle, "a")
        assert (mod.name, mod.args, mod.handle) == ("unknown", ("a",), handle)
        assert mod.debug_test(1) is False


def test_a_decorator_without_its_topic_is_refused_at_once():
    with pytest.raises(TypeError, match="topic is a string"):

        @request_handler  # type: ignore[arg-type]
        def handler(self, msg):
            pass
