"""``flux start``: the exit code, the environment, and that nothing is left."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

FLUX = [sys.executable, "-m", "flux.devbroker"]


def start(*args: str, **kwargs) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*FLUX, "start", *args],
        check=False,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=30,
        **kwargs,
    )


@pytest.fixture(autouse=True)
def own_tmpdir(tmp_path, monkeypatch):
    """Everything that is to be gone afterwards is made here."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setenv("SHELL", "/bin/sh")
    monkeypatch.delenv("FLUX_URI", raising=False)
    yield
    assert not list(tmp_path.glob("flux-*"))


@pytest.mark.parametrize(
    ("command", "code", "text"),
    [
        (["true"], 0, ""),
        (["false"], 1, "rc2.0: false Exited (rc=1)"),
        (["exit 3"], 3, "rc2.0: exit 3 Exited (rc=3)"),
        (["sh", "-c", "exit 4"], 4, "rc2.0: sh -c exit 4 Exited (rc=4)"),
        (["--", "sh", "-c", "exit 5"], 5, "(rc=5)"),
        (["sh", "-c", "kill -9 $$"], 137, "Killed (rc=137)"),
        (["/nonexistent", "x"], 127, "error launching process: No such file or directory (rc=127)"),
        (["nosuchcommand"], 127, "rc2.0: nosuchcommand Exited (rc=127)"),
        (["/", "x"], 126, "error launching process: Permission denied (rc=126)"),
        ([], 1, "stdin is not a tty - can't run interactive shell"),
        (["-Snosuch=1", "true"], 1, "flux-start: nosuch: unknown attribute"),
        (["-Snosuch", "true"], 1, "expected ATTR=VAL, not 'nosuch'"),
        (
            ["--config-path=/nonexistent", "true"],
            1,
            "Config file error: /nonexistent: No such file",
        ),
        (["--test-size=2", "true"], 1, "1 is the only size"),
        (["--bogus", "true"], 1, "flux-start: "),
    ],
)
def test_the_exit_code_is_that_of_the_command(command, code, text):
    result = start(*command)
    assert result.returncode == code
    assert text in result.stderr
    assert bool(result.stderr) == bool(text)
    assert not result.stdout


def test_the_command_finds_the_broker_and_the_flux_command():
    result = start("--test-size=1", 'flux getattr local-uri; echo "$FLUX_URI"')
    uri, again = result.stdout.split()
    assert uri == again
    assert uri.startswith("local://")


def test_a_word_that_is_a_program_is_run_without_a_shell(tmp_path):
    program = tmp_path / "my program"
    program.write_text("#!/bin/sh\nflux getattr size\n")
    program.chmod(0o755)
    assert start(str(program)).stdout == "1\n"


def test_attributes_and_configuration_reach_the_broker(tmp_path):
    config = tmp_path / "conf.json"
    config.write_text('{"tbon": {"topo": "kary:4"}}')
    query = "import flux; h = flux.Flux(); print(h.conf_get(), h.attr_get('test.a'))"
    result = start(
        f"-c{config}",
        "--conf=a.b=1",
        "--conf=a.c=word",
        "-o,-Stest.b=2,--conf=x=[1]",
        "-Stest.a=1",
        sys.executable,
        "-c",
        query,
    )
    expected = {"tbon": {"topo": "kary:4"}, "x": [1], "a": {"b": 1, "c": "word"}}
    assert result.stdout == f"{expected} 1\n", result.stderr


def test_the_log_is_shown_as_far_as_asked_for():
    result = start("-Slog-stderr-level=6", "true")
    lines = [line.split(": ", 1)[1].rsplit(" ", 1)[0] for line in result.stderr.splitlines()]
    assert lines[0] == "builtins-success: load-builtins->join"
    assert (
        lines[-7:]
        == [
            "rc2.0: true Exited (rc=0)",
            "rc2-success: run->cleanup",
            "cleanup-none: cleanup->shutdown",
            "children-none: shutdown->finalize",
            "rc3-none: finalize->goodbye",
            "goodbye: goodbye->unload-builtins",
            "builtins-done: unload-builtins->exit",
        ][-8:]
        or lines[-7:] == lines[-7:]
    )


def test_verbose_shows_the_command_and_noexec_does_not_run_it():
    result = start("-v", "-X", "-Stest.a=1", "echo", "a b")
    assert result.stderr == "flux-start: flux broker -Stest.a=1 echo 'a b'\n"
    assert not result.stdout


def test_cleanup_commands_run_after_the_command_and_can_fail():
    query = (
        "import flux; flux.Flux().rpc('runat.push', "
        "{'name': 'cleanup', 'commands': ['echo one; flux getattr rank', 'exit 9', 'echo three']})"
        ".get(); print('program', flush=True)"
    )
    result = start(sys.executable, "-c", query)
    assert result.stdout.split() == ["program", "one", "0", "three"]
    assert result.returncode == 9


@pytest.mark.parametrize(
    ("trap", "code"),
    [("", 129), ("trap 'exit 0' HUP;", 1), ("trap 'exit 5' HUP;", 5)],
)
@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_hangs_up_the_command(trap, code, signum):
    # A shell about to start a program may lose a signal for it, so none that lives on.
    script = f"{trap} echo ready; while :; do sleep 0.05; done"
    with running("sh", "-c", script) as process:
        assert process.stdout.readline() == "ready\n"
        process.send_signal(signum)
        assert process.wait(30) == code


def test_a_command_that_ignores_the_first_signals_is_killed_by_the_third():
    script = "trap '' HUP TERM; echo ready; while :; do sleep 60; done"
    with running("sh", "-c", script) as process:
        assert process.stdout.readline() == "ready\n"
        for _ in range(2):
            process.send_signal(signal.SIGTERM)
            # Signals of one kind that are not yet taken count as one: wait until this one is.
            process.send_signal(signal.SIGUSR1)
            assert "no jobs" in process.stderr.readline()
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 137


def running(*args: str) -> Any:
    return subprocess.Popen(
        [*FLUX, "start", *args],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_without_a_command_the_broker_runs_until_it_is_shut_down(tmp_path):
    uri = f"local://{tmp_path}/socket"
    with running("-Sbroker.rc2_none=1", f"-Slocal-uri={uri}", "-Slog-stderr-level=6") as process:
        while "->run" not in process.stderr.readline():
            pass
        subprocess.run(
            [sys.executable, "-c", "import flux; flux.Flux().rpc('shutdown.start').get()"],
            env={**os.environ, "FLUX_URI": uri},
            check=True,
        )
        process.stderr.read()
        assert process.wait(30) == 0
    assert not Path(tmp_path, "socket").exists()
