"""Processes that a broker runs."""

from __future__ import annotations

import errno
import gc
import os
import signal
from pathlib import Path

import pytest

import flux
from flux import subprocess
from flux.constants import FLUX_RPC_STREAMING
from flux.devbroker import Broker

SHELL = ("sh", "-c")


def test_status_and_output(broker: Broker) -> None:
    with broker.handle() as handle:
        script = "echo out; echo err >&2; printf '\\377'; cat; exit 3"
        rpc = subprocess.rexec_bg(handle, [*SHELL, script], waitable=True, label="one")
        assert rpc.get_rank() == 0
        done = subprocess.wait(handle, pid=rpc.get_pid())
        assert os.WEXITSTATUS(done.get_status()) == 3
        assert (done.stdout, done.stderr) == (b"out\n\xff", b"err\n")
        with pytest.raises(ProcessLookupError, match="label one"):
            subprocess.wait(handle, label="one").get()
        quiet = subprocess.rexec_bg(handle, ["true"], waitable=True).get_pid()
        assert subprocess.wait(handle, pid=quiet).get_output() == []


def test_signals_and_lists(broker: Broker) -> None:
    with broker.handle() as handle:
        pid = subprocess.rexec_bg(handle, ["sleep", "inf"], waitable=True, label="it").get_pid()
        expected = subprocess.Subprocess(pid=pid, rank=0, state="R", label="it", cmd="sleep")
        assert subprocess.list(handle).get_processes() == [expected]
        with pytest.raises(OSError, match="label is not unique"):
            subprocess.rexec_bg(handle, ["true"], label="it").get()
        subprocess.kill(handle, label="it").get()
        status = subprocess.wait(handle, pid=pid).get_status()
        assert os.WTERMSIG(status) == signal.SIGTERM
        assert subprocess.list(handle).get_processes() == []
    assert subprocess.Subprocess(1, 0, "R", "", "x").label == "-"


def test_environment_and_directory(broker: Broker, tmp_path: Path) -> None:
    with broker.handle() as handle:
        env = {"PATH": os.environ["PATH"], "WORD": "hello"}
        pid = subprocess.rexec_bg(
            handle, [*SHELL, "pwd; echo $WORD $FLUX_URI"], cwd=str(tmp_path), env=env, waitable=True
        ).get_pid()
        assert subprocess.wait(handle, pid=pid).stdout.decode().splitlines() == [
            str(tmp_path),
            f"hello {broker.uri}",
        ]


def test_what_is_wrong(broker: Broker) -> None:
    with broker.handle() as handle:
        with pytest.raises(FileNotFoundError, match="error launching process"):
            subprocess.rexec_bg(handle, ["/no/such/program"]).get()
        with pytest.raises(OSError, match="command string is empty"):
            subprocess.rexec_bg(handle, []).get()
        with pytest.raises(OSError, match="No service"):
            subprocess.rexec_bg(handle, ["true"], service="nobody").get()
        for call in (subprocess.kill, subprocess.wait):
            with pytest.raises(ValueError, match="at least one"):
                call(handle)
            with pytest.raises(ValueError, match="only one"):
                call(handle, pid=1, label="x")
        with pytest.raises(ProcessLookupError, match="pid 1 "):
            subprocess.kill(handle, pid=1).get()
        pid = subprocess.rexec_bg(handle, ["sleep", "inf"]).get_pid()
        with pytest.raises(OSError, match="not waitable"):
            subprocess.wait(handle, pid=pid).get()
        with pytest.raises(OSError, match="killpg"):
            subprocess.kill(handle, 999, pid=pid).get()
        with pytest.raises(OSError, match="flux-security") as error:
            subprocess.kill(handle, pid=pid, sign=True)
        assert error.value.errno == errno.ENOSYS


def test_a_client_that_is_gone_takes_what_it_follows_with_it(broker: Broker) -> None:
    with broker.handle() as handle:
        with flux.Flux(broker.uri) as other:
            request = {"cmd": subprocess.command_create(["sleep", "inf"], label="x"), "flags": 16}
            rpc = other.rpc("rexec.exec", request, flags=FLUX_RPC_STREAMING)
            pid = rpc.get()["pid"]
            waiting = subprocess.wait(handle, pid=pid)
            del rpc
            gc.collect()
        assert os.WTERMSIG(waiting.get_status()) == signal.SIGKILL


def test_a_followed_process(broker: Broker) -> None:
    with broker.handle() as handle:
        command = subprocess.command_create([*SHELL, "cat; echo oops >&2"])
        request = {"cmd": command, "flags": 1 | 8}
        rpc = handle.rpc("rexec.exec", request, flags=FLUX_RPC_STREAMING)
        rpc.get()
        for io in ({"data": "aGkK", "encoding": "base64"}, {"data": "!", "encoding": "base64"}):
            piece = {"matchtag": rpc.get_matchtag(), "io": {"stream": "stdin", "rank": "0", **io}}
            handle.rpc("rexec.write", piece, flags=1)
        piece["io"] = {"stream": "stdin", "rank": "0", "eof": True}
        handle.rpc("rexec.write", piece, flags=1)
        events = list(rpc)
    assert [e["channels"] for e in events if e["type"] == "add-credit"] == [
        {"stdin": 4194304},
        {"stdin": 3},
    ]
    # Standard error was not asked for.
    assert [e["io"] for e in events if e["type"] == "output"] == [
        {"stream": "stdout", "rank": "0", "data": "hi\n"},
        {"stream": "stdout", "rank": "0", "eof": True},
    ]
    assert [e["status"] for e in events if e["type"] == "finished"] == [0]
