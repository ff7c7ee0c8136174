"""Modules that the broker starts, with this project's loader and Python."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest

from flux import Flux
from harness.cell import MODULE, Cell


@pytest.fixture
def loaded(cell: Cell, name: str) -> Iterator[str]:
    """The module, loaded under a name of its own."""
    cell.need_local()
    load(cell, name, "one", "two=2")
    yield name
    cell.command("module", "remove", "--force", name)


def load(cell: Cell, name: str, *args: str, check: bool = True) -> str:
    """Run ``flux module load`` and return what it complained of."""
    options = (f"--name={name}", f"--loader={cell.loader}")
    return cell.command("module", "load", *options, str(MODULE), *args, check=check).stderr


def test_a_loaded_module_serves(handle: Flux, loaded: str) -> None:
    info = handle.rpc(f"{loaded}.info").get()
    assert (info["name"], info["args"], info["rank"]) == (loaded, ["one", "two=2"], 0)
    assert info["python"] == list(sys.version_info[:3])


def test_it_is_listed(cell: Cell, loaded: str) -> None:
    line = next(
        line for line in cell.command("module", "list").stdout.splitlines() if loaded in line
    )
    assert line.split()[0] == loaded


def test_it_answers_what_every_module_answers(cell: Cell, handle: Flux, loaded: str) -> None:
    assert handle.rpc(f"{loaded}.ping", {"seq": 5}).get()["seq"] == 5
    assert "utime" in handle.rpc(f"{loaded}.rusage").get()
    cell.command("module", "stats", loaded)
    cell.command("ping", "--count=1", loaded)


def test_it_calls_other_services(handle: Flux, loaded: str) -> None:
    request = {"topic": "broker.ping", "payload": {"seq": 9}}
    assert handle.rpc(f"{loaded}.relay", request).get()["seq"] == 9
    assert handle.rpc(f"{loaded}.both").get() == {"seqs": [1, 2]}


def test_it_takes_and_publishes_events(handle: Flux, loaded: str) -> None:
    handle.event_subscribe(f"{loaded}.told")
    for n in (1, 2):
        handle.event_publish(f"{loaded}.tell", payload={"n": n}).get()
        event = handle.event_recv(f"{loaded}.told")
        assert event is not None
        assert event.payload == {"seen": [{"n": m} for m in range(1, n + 1)]}


def test_its_debug_bits(cell: Cell, handle: Flux, loaded: str) -> None:
    assert handle.rpc(f"{loaded}.debugged").get() == {"debugged": False}
    cell.command("module", "debug", "--setbit=0x10", loaded)
    assert handle.rpc(f"{loaded}.debugged").get() == {"debugged": True}


def test_it_is_reloaded(cell: Cell, handle: Flux, loaded: str) -> None:
    before = handle.rpc(f"{loaded}.info").get()["pid"]
    cell.command("module", "remove", loaded)
    load(cell, loaded)
    assert handle.rpc(f"{loaded}.info").get()["pid"] != before


def test_a_removed_module_is_gone(cell: Cell, handle: Flux, loaded: str) -> None:
    cell.command("module", "remove", loaded)
    with pytest.raises(OSError, match=loaded):
        handle.rpc(f"{loaded}.info").get()


def test_a_name_is_given_once(cell: Cell, loaded: str) -> None:
    assert "File exists" in load(cell, loaded, check=False)


def test_a_module_that_refuses_its_arguments(cell: Cell, handle: Flux, name: str) -> None:
    cell.need_local()
    assert load(cell, name, "fail", check=False)
    with pytest.raises(OSError, match=name):
        handle.rpc(f"{name}.info").get()


def test_a_file_that_is_not_there(cell: Cell, name: str) -> None:
    cell.need_local()
    done = cell.command(
        "module", "load", f"--loader={cell.loader}", f"/nonexistent/{name}.py", check=False
    )
    assert done.returncode != 0
    assert done.stderr
