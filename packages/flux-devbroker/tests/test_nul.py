"""A NUL in a string of a request: a 0.88 broker, where each of these was tried, cuts it there."""

from __future__ import annotations

import contextlib
import errno

import pytest

from flux.constants import FLUX_RPC_STREAMING
from flux.job import cancel, event_wait, event_watch, submit

SLEEP = {
    "version": 1,
    "resources": [
        {"type": "slot", "count": 1, "label": "t", "with": [{"type": "core", "count": 1}]}
    ],
    "tasks": [{"command": ["sleep", "60"], "slot": "t", "count": {"per_slot": 1}}],
    "attributes": {"system": {"duration": 0}},
}
VALUE = {"data": "MQ==", "type": "val", "ver": 1}


@pytest.mark.parametrize(
    ("topic", "payload", "member", "value"),
    [
        ("attr.get", {"name": "rank\0x"}, "value", "0"),
        ("attr.get", {"name": "rank", "unknown": "\0"}, "value", "0"),
        ("kvs.lookup", {"key": "resource\0x", "namespace": "primary", "flags": 1}, "val", None),
        ("kvs.lookup", {"key": "resource", "namespace": "primary\0", "flags": 1}, "val", None),
        ("event.publish", {"topic": "a\0b", "flags": 0}, "seq", None),
        ("job-list.list", {"max_entries": 1, "attrs": ["name\0x"]}, "jobs", []),
    ],
)
def test_a_string_ends_there(flux_handle, topic, payload, member, value):
    answer = flux_handle.rpc(topic, payload).get()
    assert value is None or answer[member] == value
    assert member in answer


def test_names_end_there(flux_handle):
    flux_handle.rpc("service.add", {"service": "mine\0x"}).get()
    with pytest.raises(FileExistsError):
        flux_handle.service_register("mine").get()
    flux_handle.rpc("groups.join", {"name": "group\0x"}).get()
    flux_handle.rpc("groups.leave", {"name": "group"}).get()
    ops = [{"key": "key\0x", "flags": 0, "dirent": VALUE}]
    flux_handle.rpc("kvs.commit", {"namespace": "primary", "flags": 0, "ops": ops}).get()
    lookup = {"key": "key", "namespace": "primary", "flags": 0}
    assert flux_handle.rpc("kvs.lookup", lookup).get()["val"] == VALUE


def test_the_text_of_an_exception_ends_there(flux_handle):
    jobid = submit(flux_handle, SLEEP)
    event_wait(flux_handle, jobid, "start")
    for kind, note in (("first", "no\0more"), ("second\0x", "note")):
        request = {"id": jobid, "type": kind, "severity": 4, "note": note}
        flux_handle.rpc("job-manager.raise", request).get()
    with pytest.raises(OSError, match="invalid exception type"):
        flux_handle.rpc("job-manager.raise", {**request, "type": "\0x"}).get()
    cancel(flux_handle, jobid)
    found = [
        (event.context["type"], event.context["note"])
        for event in event_watch(flux_handle, jobid)
        if event.name == "exception"
    ]
    assert found == [("first", "no"), ("second", "note"), ("cancel", "")]


def test_a_log_line_ends_there(flux_handle):
    line = "<6>1 2026-01-01T00:00:00.000000Z 0 test - - - hi"
    flux_handle.rpc("log.append", f"{line}\0there").get()
    lines = flux_handle.rpc("log.dmesg", {"follow": False}, flags=FLUX_RPC_STREAMING)
    found = []
    with contextlib.suppress(OSError):
        while True:
            found.append(lines.get_str())
            lines.reset()
    assert [text for text in found if " test - - - hi" in text and "there" not in text]


def test_a_configuration_is_kept_as_it_is(flux_handle):
    flux_handle.rpc("config.load", {"a": {"b": "c\0d"}}).get()
    assert flux_handle.rpc("config.get").get() == {"a": {"b": "c\0d"}}


@pytest.mark.parametrize(
    ("topic", "payload"),
    [
        ("attr.get", {"name": "rank", "x\0": 1}),
        ("attr.get", {"name": "rank", "x": [{"y\0": 1}]}),
        ("event.publish", {"topic": "a", "flags": 0, "payload": "x\0y"}),
        ("broker.ping", {"v": "a\0b"}),
        ("broker.ping", {"v\0": "a"}),
    ],
)
def test_elsewhere_it_is_an_error_of_the_protocol(flux_handle, topic, payload):
    with pytest.raises(OSError) as caught:  # noqa: PT011
        flux_handle.rpc(topic, payload).get()
    assert caught.value.errno == errno.EPROTO
