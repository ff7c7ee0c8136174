"""A module run in the foreground, against what it believes to be a broker's socket."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys

import pytest

MODULE = """
import asyncio
from flux.brokermod import BrokerModule, event_handler, request_handler

class Mod(BrokerModule):
    @request_handler("info")
    def info(self, msg):
        conf = self.handle.conf_get()
        self.handle.respond(msg, {"name": self.name, "args": self.args, "conf": conf})

    @request_handler("crash")
    def crash(self, msg):
        raise RuntimeError("a fault")

    @event_handler("poke")
    def poke(self, msg):
        self.log.info("poked")
"""
ASYNC = """
    @request_handler("forever")
    async def forever(self, msg):
        await asyncio.Event().wait()
"""


def accept(mod, name="mod"):
    """Grant the module its service."""
    request = mod.next()
    assert (request.topic, request.payload) == ("service.add", {"service": name})
    mod.answer(request)


def released(mod, name="mod"):
    """Take the service back, and return the exit status."""
    request = mod.next()
    while request.topic != "service.remove":
        mod.others.append(request)
        request = mod.next()
    assert request.payload == {"service": name}
    mod.answer(request)
    assert mod.next() is None
    return mod.process.wait(20)


def test_it_looks_like_a_loaded_module(attach):
    mod = attach(MODULE, "a b", "--c")
    accept(mod)
    assert mod.call("mod.info").payload == {
        "name": "mod",
        "args": ["a", "b", "--c"],
        "conf": {"from": "config.get"},
    }
    assert mod.call("mod.ping", {}).payload["route"].startswith("client-u!broker-u!")
    assert mod.subscriptions == ["mod.stats-clear", "mod.poke"]
    mod.event("mod.poke")
    mod.call("mod.ping", {})
    assert mod.log == ["poked"]


def test_the_name_is_that_of_the_file_up_to_the_first_dot(attach):
    mod = attach(MODULE, filename="my.mod.py")
    accept(mod, "my")
    assert mod.call("my.info").payload["name"] == "my"


def test_the_name_may_be_given(attach):
    mod = attach(MODULE, options=["--name", "other"])
    accept(mod, "other")
    assert mod.call("other.info").payload["name"] == "other"


@pytest.mark.parametrize("source", [MODULE, MODULE + ASYNC], ids=["sync", "async"])
@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_unloads_it_cleanly(attach, source, signum):
    mod = attach(source)
    accept(mod)
    mod.call("mod.ping", {})
    mod.process.send_signal(signum)
    assert released(mod) == 0
    assert mod.fate() == ""


def test_a_request_that_came_too_late_is_answered(attach):
    mod = attach(MODULE)
    accept(mod)
    mod.call("mod.ping", {})
    mod.process.send_signal(signal.SIGINT)
    request = mod.next()
    assert request.topic == "service.remove"
    late = mod.request("mod.ping", {})
    mod.answer(request)
    assert mod.response(late).errnum == errno.ENOSYS


def test_a_shutdown_request_unloads_it(attach):
    mod = attach(MODULE)
    accept(mod)
    mod.request("mod.shutdown", noresponse=True)
    assert released(mod) == 0


def test_an_exception_shows_its_traceback_and_exits_1(attach):
    mod = attach(MODULE)
    accept(mod)
    tag = mod.request("mod.crash")
    assert released(mod) == 1
    stderr = mod.fate()
    assert 'raise RuntimeError("a fault")' in stderr
    assert stderr.endswith("RuntimeError: a fault\n")
    assert mod.response(tag).payload_str == "RuntimeError: a fault"


def test_bad_arguments_are_reported_in_one_line(attach):
    mod = attach("def mod_main(h, *args): raise ValueError('bad')")
    accept(mod)
    assert released(mod) == 1
    assert mod.fate() == "mod.py: bad\n"


def test_an_oserror_is_shown_as_there_is_no_broker_to_name_it(attach):
    mod = attach("def mod_main(h, *args): raise OSError(28, 'full')")
    accept(mod)
    assert released(mod) == 1
    assert mod.fate().endswith("OSError: [Errno 28] full\n")


@pytest.mark.parametrize(
    ("errnum", "text"),
    [
        (errno.EEXIST, "there is a service named mod already; use --name"),
        (errno.EINVAL, "'mod' is not a valid module name"),
        (errno.EPERM, f"choose a --name beginning {os.getuid()}-"),
        (errno.ENOSYS, "cannot register service mod: "),
    ],
)
def test_a_name_that_cannot_be_had(attach, errnum, text):
    mod = attach(MODULE)
    mod.answer(mod.next(), None, errnum)
    assert mod.next() is None
    assert text in mod.fate()
    assert mod.process.returncode == 1


def test_a_broker_that_goes_away(attach):
    mod = attach(MODULE)
    accept(mod)
    mod.call("mod.ping", {})
    mod.sock.close()
    assert "lost connection" in mod.fate()
    assert mod.process.returncode == 1


def program(*args, **env):
    return subprocess.run(
        [sys.executable, "-m", "flux.brokermod", *args],
        env={**os.environ, "FLUX_LOCAL_CONNECTOR_RETRY_COUNT": "0", **env},
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_file_that_cannot_be_loaded_needs_no_broker(tmp_path):
    done = program(str(tmp_path / "gone.py"), FLUX_URI="local:///nowhere")
    assert done.returncode == 1
    assert done.stderr == f"flux-brokermod: {tmp_path}/gone.py: No such file or directory\n"


def test_no_broker(tmp_path):
    (tmp_path / "mod.py").write_text(MODULE)
    done = program(str(tmp_path / "mod.py"), FLUX_URI=f"local://{tmp_path}/none")
    assert done.returncode == 1
    assert done.stderr == (
        f"flux-brokermod: Unable to connect to Flux: broker socket {tmp_path}/none was not found\n"
    )


def test_reload_without_its_package_says_what_to_install(tmp_path):
    # A package of that name that cannot be imported stands for one that isn't there.
    (tmp_path / "watchfiles.py").write_text("raise ImportError")
    path = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    done = program("--reload", "mod.py", PYTHONPATH=path)
    assert done.returncode == 1
    assert "pip install 'flux-brokermod[reload]'" in done.stderr
