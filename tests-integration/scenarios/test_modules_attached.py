"""Modules in the foreground, which register as a service: ``python -m flux.brokermod``."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Iterator
from contextlib import suppress

import pytest

from flux import Flux
from harness.cell import LIMIT, MODULE, Cell


def until_served(handle: Flux, name: str, process: subprocess.Popen[str]) -> None:
    """Wait until a module answers."""
    while process.poll() is None:
        # Until it is registered there is no such service.
        with suppress(OSError):
            handle.rpc(f"{name}.ping", {"seq": 0}).get()
            return
    pytest.fail(f"ended with {process.returncode}: {process.communicate()[1]}")


@pytest.fixture
def attached(cell: Cell, handle: Flux, name: str) -> Iterator[str]:
    """The module, attached under a name of its own; it has to end well."""
    with cell.attached(f"--name={name}", str(MODULE), "one", "two=2") as process:
        try:
            until_served(handle, name, process)
            yield name
        finally:
            process.send_signal(signal.SIGTERM)
            errors = process.communicate(timeout=LIMIT)[1]
    assert (process.returncode, errors) == (0, "")


def test_an_attached_module_serves(handle: Flux, attached: str) -> None:
    info = handle.rpc(f"{attached}.info").get()
    assert (info["name"], info["args"], info["rank"]) == (attached, ["one", "two=2"], 0)


def test_it_calls_other_services(handle: Flux, attached: str) -> None:
    request = {"topic": "broker.ping", "payload": {"seq": 9}}
    assert handle.rpc(f"{attached}.relay", request).get()["seq"] == 9
    assert handle.rpc(f"{attached}.both").get() == {"seqs": [1, 2]}


def test_it_takes_and_publishes_events(handle: Flux, attached: str) -> None:
    handle.event_subscribe(f"{attached}.told")
    handle.event_publish(f"{attached}.tell", payload={"n": 1}).get()
    event = handle.event_recv(f"{attached}.told")
    assert event is not None
    assert event.payload == {"seen": [{"n": 1}]}


def test_commands_for_modules(cell: Cell, handle: Flux, attached: str) -> None:
    cell.command("ping", "--count=1", attached)
    cell.command("module", "stats", attached)
    cell.command("module", "debug", "--setbit=0x10", attached)
    assert handle.rpc(f"{attached}.debugged").get() == {"debugged": True}


def test_a_module_that_crashes(cell: Cell, handle: Flux, name: str) -> None:
    with cell.attached(f"--name={name}", str(MODULE)) as process:
        until_served(handle, name, process)
        handle.rpc(f"{name}.crash").get()
        errors = process.communicate(timeout=LIMIT)[1]
    assert process.returncode == 1
    assert "told to crash" in errors
    with pytest.raises(OSError, match=name):
        handle.rpc(f"{name}.info").get()
    assert f"{name}: exception in handler" in cell.command("dmesg").stdout


def test_a_name_that_is_taken(cell: Cell, attached: str) -> None:
    with cell.attached(f"--name={attached}", str(MODULE)) as process:
        errors = process.communicate(timeout=LIMIT)[1]
    assert process.returncode == 1
    assert f"there is a service named {attached} already" in errors
