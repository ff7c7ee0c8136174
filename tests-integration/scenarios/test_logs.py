from __future__ import annotations

import syslog
from collections.abc import Iterator

from flux import Flux
from flux.constants import FLUX_RPC_STREAMING
from flux.rpc import RPC
from harness.cell import LIMIT, Cell


def lines(stream: RPC) -> Iterator[str]:
    """Read the broker's log."""
    while True:
        yield stream.wait_for(LIMIT).get_str() or ""
        stream.reset()


def test_what_is_logged_is_in_dmesg(cell: Cell, handle: Flux, name: str) -> None:
    handle.log_set_appname("scenario")
    handle.log(syslog.LOG_INFO, f"{name}: grüße")
    # The answer to a later request: the log has been taken note of.
    handle.rpc("log.dmesg", {"follow": False}, flags=FLUX_RPC_STREAMING).get_str()
    shown = [line for line in cell.command("dmesg").stdout.splitlines() if name in line]
    assert len(shown) == 1
    assert "scenario" in shown[0]
    assert "info" in shown[0]
    assert "grüße" in shown[0]


def test_the_log_is_followed(cell: Cell, handle: Flux, name: str) -> None:
    stream = handle.rpc("log.dmesg", {"follow": True}, flags=FLUX_RPC_STREAMING)
    with cell.connect() as other:
        other.log(syslog.LOG_NOTICE, name)
    assert any(name in line for line in lines(stream))
    stream.cancel()


def test_severities(cell: Cell, handle: Flux, name: str) -> None:
    for level in (syslog.LOG_ERR, syslog.LOG_WARNING, syslog.LOG_DEBUG):
        handle.log(level, f"{name} level {level}")
    handle.rpc("log.dmesg", {"follow": False}, flags=FLUX_RPC_STREAMING).get_str()
    shown = [line for line in cell.command("dmesg").stdout.splitlines() if name in line]
    assert [("err" in line, "warning" in line, "debug" in line) for line in shown] == [
        (True, False, False),
        (False, True, False),
        (False, False, True),
    ]


def test_the_command_logs(cell: Cell, name: str) -> None:
    cell.command("logger", "--severity=warning", f"{name} by command")
    assert f"{name} by command" in cell.command("dmesg").stdout
