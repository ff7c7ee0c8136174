"""The connector for ``ssh://``: a pipe to ``flux relay`` on another host, through ssh(1).

The relay connects to the broker's socket there, greets as a broker does, and passes messages on.
Who may log in, and how, is between the user and ssh, which asks at the terminal what it needs to.
"""

from __future__ import annotations

import errno
import os
import re
import select
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import threading
import weakref
from typing import IO

from flux._uri import URI
from flux.constants import FLUX_ROLE_NONE, FLUX_USERID_UNKNOWN

#: Seconds for ssh to end by itself once the connection is closed, and then once it is told to.
CLOSE_TIMEOUT = 5.0

#: Bytes of standard error to read at a time: what a pipe holds.
_STDERR_SIZE = 1 << 16

#: Exit code of a shell, and of env(1), that found no such command.
_NO_COMMAND = 127

_REST = re.compile(r"(?:([^@:/]+)@)?([^@:/]+)(?::([0-9]+))?(/[^?#\0]+)")


def command_line(uri: URI) -> list[str]:
    """Return the command that connects to a relay, which is what flux-core's connector runs.

    The environment has a say: FLUX_SSH is the program to run instead of ``ssh``, FLUX_SSH_RCMD the
    ``flux`` command to run on the other host.  Without the latter ``flux`` is searched for beside
    the broker's socket, where brokers put it, in the directory that it has on this host, and in
    the system's.  LD_LIBRARY_PATH goes along.  See flux-environment(7).

    Raises:
        OSError: EINVAL, the URI is not of the form ``ssh://[user@]host[:port]/path``.
    """
    found = _REST.fullmatch(uri.path)
    # ssh would take what begins with a dash for an option, and with some of them run a program.
    if found is None or uri.path.startswith("-"):
        raise OSError(errno.EINVAL, f"{uri}: not of the form ssh://[user@]host[:port]/path")
    user, host, port, path = found.groups()
    argv = [os.environ.get("FLUX_SSH", "ssh")]
    if port is not None:
        argv += ["-p", port]
    argv.append(host if user is None else f"{user}@{host}")
    # ssh joins what follows with blanks, for a shell on the other host.
    variables = []
    flux = os.environ.get("FLUX_SSH_RCMD")
    if flux is None:
        flux = "flux"
        directories = [os.path.join(os.path.dirname(path), "bin")]
        local = shutil.which("flux")
        if local is not None:
            directories.append(os.path.dirname(os.path.abspath(local)))
        variables.append("PATH=" + ":".join([*directories, "/bin", "/usr/bin"]))
    library_path = os.environ.get("LD_LIBRARY_PATH")
    if library_path is not None:
        variables.append(f"LD_LIBRARY_PATH={library_path}")
    if variables:
        argv += ["env", *map(shlex.quote, variables)]
    return [*argv, flux, "relay", shlex.quote(path)]


class SSHConnector:
    """A connection through a running ssh.

    Args:
        uri: Where to.
        sock: Connected to ssh's standard input and output.
        process: ssh; its standard error is a pipe.
    """

    def __init__(self, uri: URI, sock: socket.socket, process: subprocess.Popen[bytes]) -> None:
        assert process.stderr is not None
        # The other side fills them in.
        self.credentials = (FLUX_USERID_UNKNOWN, FLUX_ROLE_NONE)
        self.close = weakref.finalize(self, _end, sock, process, os.getpid())
        self._uri = uri
        self._sock = sock
        self._process = process
        self._stderr: IO[bytes] = process.stderr
        sock.setblocking(False)
        os.set_blocking(self._stderr.fileno(), False)
        self.fileno = sock.fileno
        self.send = sock.send
        self.recv = sock.recv

    def aside(self) -> None:
        """Pass on what ssh wrote to its standard error; called after each read."""
        _pass_on(self._read_stderr())

    def last_words(self) -> str:
        """Return what ssh last wrote to its standard error."""
        return self._read_stderr().strip()

    def greeted(self) -> None:
        """Wait until the relay has greeted: for as long as the user takes to type a password.

        Raises:
            OSError: ECONNRESET, there is no relay; EPROTO, what is there is none.
        """
        poll = select.poll()
        poll.register(self._sock, select.POLLIN)
        poll.register(self._stderr, select.POLLIN)
        text = ""
        while True:
            ready = dict(poll.poll())
            if self._stderr.fileno() in ready:
                found = self._read_stderr()
                if not found:
                    poll.unregister(self._stderr)
                text += found
            if self._sock.fileno() in ready:
                break
        greeting = self._sock.recv(1)
        if greeting == b"\0":
            _pass_on(text)
            return
        if greeting:
            start = (greeting + _received(self._sock)).decode("utf-8", "replace")
            raise OSError(
                errno.EPROTO,
                f"{self._uri}: {start!r} came where the relay greets; "
                "the shell's start-up files there must not write to standard output",
            )
        # It has closed its output, and so is about to end.
        try:
            status = self._process.wait(CLOSE_TIMEOUT)
        except subprocess.TimeoutExpired:
            status = None
        text = (text + self._read_stderr()).strip()
        if not text:
            how = "closed the connection" if status is None else f"ended with status {status}"
            text = f"{self._uri}: ssh {how} and gave no reason"
        if status == _NO_COMMAND:
            text += (
                f"\nHint: there is no flux command beside the socket of {self._uri}, where a broker"
                " puts one; FLUX_SSH_RCMD in the environment names the command to run there"
            )
        raise OSError(errno.ECONNRESET, text)

    def abandon(self) -> None:
        """Close the connection without waiting for what ssh may still be doing."""
        # It may be at a password prompt, and not notice that its input ends.
        self._process.terminate()
        self.close()

    def _read_stderr(self) -> str:
        """Return what is there of standard error: it may never end, as others may hold it."""
        try:
            return os.read(self._stderr.fileno(), _STDERR_SIZE).decode("utf-8", "replace")
        except BlockingIOError:
            return ""


def open_ssh(uri: URI) -> SSHConnector:
    """Connect to the broker that an ``ssh://`` URI names.

    Raises:
        OSError: EINVAL, a malformed URI; ENOENT, no ssh on this host; ECONNRESET, ssh or the
            relay failed, with what they said; EPROTO, something else answered.
    """
    argv = command_line(uri)
    started: list[SSHConnector] = []
    try:
        _start(uri, argv, started)
        started[0].greeted()
    except BaseException:
        for connector in started:
            connector.abandon()
        raise
    return started[0]


def _start(uri: URI, argv: list[str], started: list[SSHConnector]) -> None:
    """Start ssh, and put the connector into a list before an exception can be raised."""
    near, far = socket.socketpair()
    processes: list[subprocess.Popen[bytes]] = []
    errors: list[OSError] = []
    abandoned: list[bool] = []
    done = threading.Event()

    def run() -> None:
        # Ctrl-C is for the program, which may go on afterwards, but the terminal sends it to all
        # of its foreground processes.  ssh has to stay one of them, or it could not ask for a
        # password; so it inherits that SIGINT is blocked.
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            processes.append(
                subprocess.Popen(
                    argv, stdin=far.fileno(), stdout=far.fileno(), stderr=subprocess.PIPE
                )
            )
        except OSError as exc:
            errors.append(exc)
        if abandoned:
            _kill(processes)
        done.set()

    # In a thread, since signal handlers, which may raise, run in the main one only: nothing comes
    # between the start of a process and its being known.
    thread = threading.Thread(target=run)
    try:
        thread.start()
        done.wait()
        if errors:
            raise OSError(
                errors[0].errno,
                f"{uri}: {argv[0]}: {os.strerror(errors[0].errno or 0)}; "
                "FLUX_SSH in the environment names the program to use",
            )
        started.append(SSHConnector(uri, near, processes[0]))
    except BaseException:
        abandoned.append(True)
        # Not by `join`, which after an exception holds a thread that still runs for one that has
        # ended (before Python 3.13).
        if thread.ident is not None:
            done.wait()
        near.close()
        if not started:
            _kill(processes)
        raise
    finally:
        far.close()
    thread.join()


def _kill(processes: list[subprocess.Popen[bytes]]) -> None:
    """End a process that nobody wants any more: the thread that started it does, or the other."""
    try:
        process = processes.pop()
    except IndexError:
        return
    process.kill()
    process.communicate()


def _received(sock: socket.socket) -> bytes:
    try:
        return sock.recv(80)
    except BlockingIOError:
        return b""


def _pass_on(text: str) -> None:
    if text and sys.stderr is not None:
        sys.stderr.write(text)


def _end(sock: socket.socket, process: subprocess.Popen[bytes], owner: int) -> None:
    """Close the connection and wait for ssh to end, so that it can deliver what was sent."""
    # A forked process has the same socket, but only lets go of its own copy.
    if os.getpid() == owner:
        try:
            # Both ways, as ssh may be waiting for us to read.
            sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass  # ssh has ended already.
        try:
            process.wait(CLOSE_TIMEOUT)
        except subprocess.TimeoutExpired:
            process.terminate()
            try:
                process.wait(CLOSE_TIMEOUT)
            except subprocess.TimeoutExpired:
                pass
        finally:
            # Whatever ended the wait.  Once it has ended this does nothing.
            process.kill()
            process.wait()
    sock.close()
    if process.stderr is not None:
        process.stderr.close()
