"""The methods that every module answers."""

from __future__ import annotations

import errno

import pytest

PLAIN = """
from flux.brokermod import BrokerModule, request_handler

class Mod(BrokerModule):
    @request_handler("conf")
    def conf(self, msg):
        self.handle.respond(msg, {"conf": self.handle.conf_get(), "a": self.handle.conf_get("a.b")})
"""


@pytest.fixture
def mod(load):
    return load(PLAIN, conf={"a": {"b": 1}})


def test_ping_returns_the_request_with_its_way(mod):
    payload = mod.call("mod.ping", {"seq": 7, "route": "?"}, routes=["11111111-x", "2222"]).payload
    assert payload == {
        "seq": 7,
        "route": "2222!11111111!module-u",
        "userid": 1000,
        "rolemask": 5,
        "rank": 0,
    }


def test_ping_shows_an_unknown_userid_as_flux_does(mod):
    payload = mod.call("mod.ping", {}, userid=0xFFFFFFFF, rolemask=0xFFFFFFFF).payload
    assert (payload["userid"], payload["rolemask"]) == (-1, -1)


@pytest.mark.parametrize("payload", [None, [1], "no json", b"\xff"])
def test_ping_wants_an_object(mod, payload):
    assert mod.call("mod.ping", payload).errnum == errno.EPROTO


def test_stats_count_the_messages_of_both_ways(mod):
    mod.call("mod.ping", {})
    before = mod.call("mod.stats-get").payload
    # Sent: the subscription and the status, then the response to the ping.  Received: the welcome
    # and two requests, and the response to the subscription.
    assert before == {
        "tx": {"request": 2, "response": 1, "event": 0, "control": 0},
        "rx": {"request": 3, "response": 1, "event": 0, "control": 0},
    }
    mod.event("mod.unknown")
    after = mod.call("mod.stats-get").payload
    assert after["tx"]["response"] == 2
    assert after["rx"] == {"request": 4, "response": 1, "event": 1, "control": 0}


def test_stats_are_cleared_by_request_and_by_event(mod):
    assert mod.call("mod.stats-clear").errnum == 0
    assert mod.call("mod.stats-get").payload["rx"]["request"] == 1
    mod.event("mod.stats-clear")
    assert mod.call("mod.stats-get").payload["rx"]["request"] == 1
    assert mod.subscriptions == ["mod.stats-clear"]


@pytest.mark.parametrize("payload", [None, {}, {"who": "self"}, {"who": "children"}])
def test_rusage(mod, payload):
    usage = mod.call("mod.rusage", payload).payload
    assert isinstance(usage.pop("utime"), float)
    assert isinstance(usage.pop("stime"), float)
    assert set(usage) == {
        *("maxrss", "ixrss", "idrss", "isrss", "minflt", "majflt", "nswap", "inblock", "oublock"),
        *("msgsnd", "msgrcv", "nsignals", "nvcsw", "nivcsw"),
    }
    assert all(type(value) is int for value in usage.values())


def test_rusage_of_something_else_is_refused(mod):
    response = mod.call("mod.rusage", {"who": "us"})
    assert (response.errnum, response.payload_str) == (errno.EINVAL, "us is unsupported")


def test_debug_changes_and_returns_the_bits(mod):
    def debug(op, flags):
        return mod.call("mod.debug", {"op": op, "flags": flags}).payload["flags"]

    assert debug("setbit", 0) == 0
    assert debug("setbit", 5) == 5
    assert debug("clrbit", 4) == 1
    assert debug("set", 255) == 255
    assert debug("clr", 0) == 0


@pytest.mark.parametrize(
    "payload",
    [None, {"op": "setbit"}, {"op": "x", "flags": 0}, {"op": "set", "flags": True}, {"flags": 1}],
)
def test_a_malformed_debug_request_is_refused(mod, payload):
    assert mod.call("mod.debug", payload).errnum == errno.EPROTO


@pytest.mark.parametrize("method", ["config-reload", "config-update"])
def test_the_configuration_is_that_of_the_welcome_until_it_is_reloaded(mod, method):
    assert mod.call("mod.conf").payload == {"conf": {"a": {"b": 1}}, "a": 1}
    response = mod.call(f"mod.{method}", {"a": {"b": 2}})
    assert (response.errnum, response.payload_bytes) == (0, None)
    assert mod.call("mod.conf").payload == {"conf": {"a": {"b": 2}}, "a": 2}


@pytest.mark.parametrize("payload", [None, [1], "text"])
def test_a_configuration_that_is_no_object_is_refused(mod, payload):
    response = mod.call("mod.config-reload", payload)
    assert response.errnum == errno.EPROTO
    assert response.payload_str == "Failed to parse mod.config-reload request"
    assert mod.call("mod.conf").payload["a"] == 1


OWNER_ONLY = "Request requires owner credentials"
NO_PRIVILEGE = "Request rejected due to insufficient privilege"


@pytest.mark.parametrize(
    ("method", "user", "nobody"),
    [
        ("ping", None, NO_PRIVILEGE),
        ("rusage", None, NO_PRIVILEGE),
        ("stats-clear", OWNER_ONLY, OWNER_ONLY),
        ("debug", OWNER_ONLY, OWNER_ONLY),
        ("config-reload", OWNER_ONLY, OWNER_ONLY),
        ("config-update", OWNER_ONLY, OWNER_ONLY),
        ("shutdown", OWNER_ONLY, OWNER_ONLY),
    ],
)
def test_who_may_ask(mod, method, user, nobody):
    asked = mod.call(f"mod.{method}", {}, rolemask=6)
    assert (asked.payload_str if asked.errnum == errno.EPERM else None) == user
    asked = mod.call(f"mod.{method}", {}, rolemask=8)
    assert (asked.payload_str if asked.errnum == errno.EPERM else None) == nobody


def test_anyone_may_ask_for_stats(mod):
    assert mod.call("mod.stats-get", rolemask=8).errnum == 0


def test_shutdown_is_not_answered_whoever_asks(mod):
    mod.request("mod.shutdown")
    assert mod.finish() == 0
    assert mod.others == []
