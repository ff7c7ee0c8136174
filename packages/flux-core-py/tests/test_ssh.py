"""The ssh connector: what it runs, what it makes of failures, and that nothing is left of it.

Stand-ins for ssh are shell scripts.  That of `echoing` greets and then sends back all it gets, so
that a handle receives what it sends.
"""

from __future__ import annotations

import errno
import os
import pty
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Callable

import pytest

import flux
from flux import _ssh
from flux._uri import parse

cases = pytest.mark.parametrize

URI = "ssh://host/dir/local-0"

#: More seconds than a test may take.
NEVER = 60.0

#: What a script says that is to be taken for a relay.
GREET = "printf '\\000'"


@pytest.fixture
def ssh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Path]:
    """Return a function that puts a script in the place of ssh."""

    def make(script: str) -> Path:
        path = tmp_path / "ssh"
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)
        monkeypatch.setenv("FLUX_SSH", str(path))
        return path

    return make


@pytest.fixture
def echoing(ssh: Callable[[str], Path]) -> flux.Flux:
    """Return a handle that receives what it sends."""
    ssh(f"{GREET}; exec cat")
    return flux.Flux(URI)


@pytest.fixture
def plain(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Leave nothing in the environment that tells where flux is; return a directory on PATH."""
    for name in ("FLUX_SSH", "FLUX_SSH_RCMD", "LD_LIBRARY_PATH"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    return tmp_path


def command_line(uri: str) -> list[str]:
    return _ssh.command_line(parse(uri))


def refused(number: int, text: str, uri: str = URI) -> str:
    with pytest.raises(OSError, match=text) as caught:
        flux.Flux(uri)
    assert caught.value.errno == number
    return str(caught.value.strerror)


# -- what is run


@cases(
    ("uri", "login"),
    [
        ("ssh://host/dir/local-0", ["host"]),
        ("ssh://me@host/dir/local-0", ["me@host"]),
        ("ssh://host:42/dir/local-0", ["-p", "42", "host"]),
        ("ssh://me@host:42/dir/local-0", ["-p", "42", "me@host"]),
    ],
)
def test_flux_is_searched_for_beside_the_socket(plain, uri, login):
    search = "PATH=/dir/bin:/bin:/usr/bin"
    assert command_line(uri) == ["ssh", *login, "env", search, "flux", "relay", "/dir/local-0"]


def test_flux_is_searched_for_where_it_is_here(plain):
    flux_command = plain / "flux"
    flux_command.touch(0o755)
    assert f"PATH=/dir/bin:{plain}:/bin:/usr/bin" in command_line(URI)


def test_the_environment_names_the_commands(plain, monkeypatch):
    monkeypatch.setenv("FLUX_SSH", "/opt/rsh")
    monkeypatch.setenv("FLUX_SSH_RCMD", "/opt/flux")
    assert command_line(URI) == ["/opt/rsh", "host", "/opt/flux", "relay", "/dir/local-0"]


def test_the_library_path_goes_along(plain, monkeypatch):
    monkeypatch.setenv("FLUX_SSH_RCMD", "flux")
    monkeypatch.setenv("LD_LIBRARY_PATH", "/a b:/c")
    assert command_line(URI)[2:5] == ["env", "'LD_LIBRARY_PATH=/a b:/c'", "flux"]


def test_a_path_is_a_word_to_the_shell_there_whatever_is_in_it(ssh, tmp_path):
    ssh('shift; unset LD_LIBRARY_PATH; sh -c "$*"; exit 1')
    os.environ["FLUX_SSH_RCMD"] = "printf '%s\\n' >&2"
    try:
        text = refused(errno.ECONNRESET, "relay", f"ssh://host/a b;touch {tmp_path}/x;$(id)'\"")
    finally:
        del os.environ["FLUX_SSH_RCMD"]
    assert text.endswith(f"relay\n/a b;touch {tmp_path}/x;$(id)'\"")
    assert not (tmp_path / "x").exists()


@cases(
    "uri",
    [
        "ssh://",
        "ssh://host",
        "ssh://host/",
        "ssh:///dir/local-0",
        "ssh://@host/dir/local-0",
        "ssh://host:/dir/local-0",
        "ssh://host:port/dir/local-0",
        "ssh://a@b@host/dir/local-0",
        "ssh://host/dir/local-0?x=y",
        "ssh://host/dir/local-0#x",
        "ssh://-oProxyCommand=x/dir/local-0",
        "ssh://-l@host/dir/local-0",
    ],
)
def test_a_malformed_uri_runs_nothing(ssh, tmp_path, uri):
    ssh(f"touch {tmp_path}/ran")
    refused(errno.EINVAL, r"not of the form ssh://\[user@\]host\[:port\]/path", uri)
    assert not (tmp_path / "ran").exists()


# -- failures


def test_what_ssh_says_is_the_error(ssh, capfd):
    ssh("echo ssh: Could not resolve hostname host >&2; exit 255")
    text = refused(errno.ECONNRESET, "resolve")
    assert text == "Unable to connect to Flux: ssh: Could not resolve hostname host"
    assert capfd.readouterr().err == ""


def test_without_flux_on_the_other_host_a_hint_is_given(ssh):
    ssh("echo env: flux: not found >&2; exit 127")
    refused(errno.ECONNRESET, "env: flux: not found\nHint: .*FLUX_SSH_RCMD")


def test_an_end_without_a_reason_is_told_as_such(ssh):
    ssh("exit 3")
    refused(errno.ECONNRESET, f"{URI}: ssh ended with status 3 and gave no reason")


def test_what_the_shell_there_prints_is_shown(ssh):
    ssh("echo Welcome; exec cat")
    refused(errno.EPROTO, r"'Welcome\\n' came where the relay greets; .* start-up files")


def test_an_ssh_that_is_not_there_is_named(monkeypatch, tmp_path):
    for path, number in (("/nosuch/ssh", errno.ENOENT), (str(tmp_path), errno.EACCES)):
        monkeypatch.setenv("FLUX_SSH", path)
        refused(number, f"{URI}: {path}: .*FLUX_SSH")


def test_what_ssh_says_otherwise_is_passed_on(ssh, capsys):
    ssh(f"echo Warning >&2; {GREET}; exec tee /dev/stderr")
    handle: Any = flux.Flux(URI)
    assert capsys.readouterr().err == "Warning\n"
    for topic in ("first", "second"):
        handle.event_send(topic)
        assert handle.event_recv().topic == topic
    assert "first" in capsys.readouterr().err


def test_more_warnings_than_a_pipe_holds_do_not_stop_it(ssh, capsys):
    ssh(f"head -c 300000 /dev/zero >&2; {GREET}; exec cat")
    flux.Flux(URI)
    assert len(capsys.readouterr().err) == 300000


def test_a_lost_connection_fails_what_is_outstanding_with_what_ssh_said(ssh):
    ssh(f"{GREET}; head -c 8 >/dev/null; echo Connection closed by remote host. >&2; exit 255")
    handle = flux.Flux(URI)
    future = handle.rpc("a.b")
    with pytest.raises(OSError, match=f"lost connection to {URI}: Connection closed by") as caught:
        future.get()
    assert caught.value.errno == errno.ECONNRESET
    with pytest.raises(OSError, match="Connection closed by") as caught:
        handle.rpc("a.b")
    assert caught.value.errno == errno.EPIPE


# -- the connection


def test_it_moves_messages_of_any_size(echoing):
    text = "x" * 5_000_000
    echoing.event_send("a", {"text": text})
    assert echoing.recv().payload == {"text": text}


def test_what_was_sent_last_arrives_before_it_is_closed(ssh, tmp_path):
    ssh(f"{GREET}; cat >{tmp_path}/got")
    with flux.Flux(URI) as handle:
        handle.event_send("a", {"x": 1})
    assert b'{"x": 1}' in (tmp_path / "got").read_bytes()


def test_it_closes_while_ssh_waits_for_somebody_to_read(ssh, monkeypatch):
    monkeypatch.setattr(_ssh, "CLOSE_TIMEOUT", NEVER)
    ssh(f"{GREET}; exec cat /dev/zero")
    flux.Flux(URI)


@cases("script", ["exec sleep 60", "trap '' TERM; exec sleep 60"])
def test_an_ssh_that_does_not_end_is_made_to(ssh, monkeypatch, script):
    monkeypatch.setattr(_ssh, "CLOSE_TIMEOUT", 0.05)
    ssh(f"{GREET}; {script}")
    flux.Flux(URI)


def test_garbage_in_a_cycle_is_cleaned_up(echoing):
    cycle: list[Any] = [echoing.msg_watcher_create(lambda *_args: None), flux.Flux(URI)]
    cycle[0].start()
    cycle.append(cycle)


def test_a_forked_process_leaves_the_connection_alone(echoing):
    pid = os.fork()
    if not pid:
        echoing.__exit__(None, None, None)
        os._exit(0)
    assert os.waitpid(pid, 0)[1] == 0
    echoing.event_send("a")
    assert echoing.recv().topic == "a"


def test_an_interrupt_while_it_connects_ends_ssh_at_once(ssh, monkeypatch):
    monkeypatch.setattr(_ssh, "CLOSE_TIMEOUT", NEVER)
    ssh("kill -INT $PPID; exec sleep 60")
    with pytest.raises(KeyboardInterrupt):
        flux.Flux(URI)


@pytest.fixture
def terminal() -> Iterator[tuple[int, str]]:
    """Return a terminal: the descriptor of who types, and its name."""
    master, slave = pty.openpty()
    name = os.ttyname(slave)
    yield master, name
    os.close(slave)
    os.close(master)


def test_ctrl_c_interrupts_the_program_and_not_the_connection(ssh, terminal):
    ssh(f"{GREET}; exec cat")
    master, name = terminal
    program = (
        "import os, sys, flux\n"
        # Opening a terminal makes it that of a session without one.
        "os.open(sys.argv[1], os.O_RDWR)\n"
        "handle = flux.Flux(sys.argv[2])\n"
        "try:\n"
        "    print('ready', flush=True)\n"
        "    handle.recv()\n"
        "except KeyboardInterrupt: print('interrupted')\n"
        "handle.event_send('a')\n"
        "print(handle.recv().topic)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, name, URI],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        start_new_session=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        os.write(master, b"\x03")
        assert process.stdout.read() == b"interrupted\na\n"
    assert process.returncode == 0
