"""Following a job on this terminal: its output, its input, and its end."""

from __future__ import annotations

import base64
import errno
import json
import os
import signal
import sys
import time
from typing import Any, Callable

import flux.job
from flux.command._common import CommandError, say
from flux.constants import FLUX_POLLIN, FLUX_RPC_STREAMING
from flux.core.handle import Flux
from flux.future import Future
from flux.rpc import RPC

_PROG = "flux-job"

#: Bytes of standard input to send at a time.
READ_SIZE = 16 * 1024

#: Seconds within which a second Ctrl-C cancels the job.
SECOND_INTERRUPT = 2.0

_LEVELS = ("FATAL", "FATAL", "FATAL", "ERROR", " WARN", "", "DEBUG", "TRACE")

Event = dict[str, Any]


def status_text(status: int) -> str:
    """Return what to say of a job that ended with a wait status; nothing for success."""
    signum = status & 0x7F
    code = status >> 8
    if not signum and code > 128:
        signum = code - 128
    if signum:
        try:
            text = signal.strsignal(signum)
        except ValueError:
            text = None
        return f"task(s) {text or f'Unknown signal {signum}'}"
    return f"task(s) exited with exit code {code}" if code else ""


class Attach:
    """One job that is followed.

    Args:
        handle: A connection.
        jobid: The job.
        name: What to call it.
        label: Put the task's rank before each line of output.
        events: Print the job's events.
        exec_events: Print the events of its execution.
        read_only: Leave standard input alone.
        quiet: Print no output.
    """

    def __init__(
        self,
        handle: Flux,
        jobid: flux.job.JobID,
        name: str,
        label: bool = False,
        events: bool = False,
        exec_events: bool = False,
        read_only: bool = False,
        quiet: bool = False,
    ) -> None:
        self._handle = handle
        self._jobid = jobid
        self._name = name
        self._label = label
        self._events = events
        self._exec_events = exec_events
        self._read_only = read_only or quiet
        self._quiet = quiet
        self._started = 0.0
        self._code = 1
        self._open: list[RPC] = []
        self._service: tuple[str, int] | None = None
        self._output = False
        self._stdin: Any = None
        self._interrupted = -SECOND_INTERRUPT
        self._failure: str | None = None
        self._fatal = False

    def run(self) -> int:
        """Follow the job until its end.

        Returns:
            An exit code: that of the job.

        Raises:
            CommandError: There is no such job, or it is another user's.
        """
        self._watch("eventlog", self._main_event)
        if not self._quiet:
            self._watch("guest.exec.eventlog", self._exec_event)
        interrupts = self._handle.signal_watcher_create(
            signal.SIGINT, lambda *_args: self._interrupt()
        )
        interrupts.unref().start()
        try:
            self._handle.get_reactor().run()
        finally:
            interrupts.stop()
        Flux.raise_if_exception()
        if self._failure is not None:
            raise CommandError(self._failure)
        return self._code

    # -- eventlogs

    def _watch(self, path: str, take: Callable[[Event], None]) -> None:
        request = {"id": int(self._jobid), "path": path, "flags": 0}
        rpc = self._handle.rpc("job-info.eventlog-watch", request, flags=FLUX_RPC_STREAMING)
        self._open.append(rpc)
        rpc.then(self._on_event, path, take)

    def _on_event(self, rpc: RPC, path: str, take: Callable[[Event], None]) -> None:
        try:
            entry = json.loads(rpc.get()["event"])
        except OSError as exc:
            self._open.remove(rpc)
            self._ended(path, exc)
            return
        rpc.reset()
        take(entry)

    def _ended(self, path: str, exc: OSError) -> None:
        if exc.errno == errno.ENODATA:
            pass
        elif path == "eventlog":
            text = "No such job" if exc.errno == errno.ENOENT else exc.strerror
            self._failure = f"Failed to attach to {self._name}: {text}"
            self._open.clear()
            self._handle.reactor_stop()
        elif path == "guest.output" and exc.errno == errno.ENOENT:
            say(_PROG, "No job output found")
        if path == "guest.exec.eventlog" and not self._output and self._service is not None:
            self._watch_output()
        if not self._open:
            self._handle.reactor_stop()

    def _stamp(self, when: float) -> str:
        return f"{when - self._started:.3f}s"

    def _print_event(self, kind: str, event: Event) -> None:
        context = event.get("context")
        text = f" {json.dumps(context, separators=(',', ':'))}" if context else ""
        sys.stderr.write(f"{self._stamp(event['timestamp'])}: {kind}.{event['name']}{text}\n")

    def _main_event(self, event: Event) -> None:
        name, context = event["name"], event.get("context", {})
        if name == "submit":
            self._started = event["timestamp"]
        if name == "exception":
            sys.stderr.write(
                f"{self._stamp(event['timestamp'])}: job.exception {self._name} "
                f"type={context['type']} severity={context['severity']} {context['note']}\n"
            )
            self._fatal = self._fatal or context["severity"] == 0
        elif self._events:
            self._print_event("job", event)
        if name == "finish":
            self._finish(context["status"])

    def _finish(self, status: int) -> None:
        signum, code = status & 0x7F, status >> 8
        self._code = 128 + signum if signum else code
        text = status_text(status)
        if text:
            say(_PROG, text)
        if self._stdin is not None:
            self._stdin.stop()
            self._stdin = None

    def _exec_event(self, event: Event) -> None:
        name, context = event["name"], event.get("context", {})
        if self._exec_events:
            self._print_event("exec", event)
        if name == "shell.init":
            self._service = context["service"], context["leader-rank"]
            self._watch_output()
            if not self._read_only:
                self._watch_input()
        elif name == "complete" and not self._output:
            self._watch_output()

    # -- output

    def _watch_output(self) -> None:
        if not self._output:
            self._output = True
            self._watch("guest.output", self._output_event)

    def _output_event(self, event: Event) -> None:
        name, context = event["name"], event.get("context", {})
        if name == "data" and "data" in context:
            data = context["data"]
            raw = (
                base64.b64decode(data)
                if context.get("encoding") == "base64"
                else data.encode("utf-8", "surrogateescape")
            )
            if self._label:
                prefix = f"{context['rank']}: ".encode()
                raw = b"".join(prefix + line for line in raw.splitlines(keepends=True))
            stream = sys.stdout if context["stream"] == "stdout" else sys.stderr
            stream.flush()
            stream.buffer.write(raw)
            stream.flush()
        elif name == "redirect":
            say(_PROG, f"{context['rank']}: {context['stream']} redirected to {context['path']}")
        elif name == "log" and context["level"] < len(_LEVELS):
            sys.stderr.write(
                f"{self._stamp(event['timestamp'])}: flux-shell[{context['rank']}]: "
                f"{_LEVELS[context['level']]}: {context['message']}\n"
            )

    # -- input

    def _watch_input(self) -> None:
        try:
            self._stdin = self._handle.fd_watcher_create(
                0, lambda *_args: self._read_input(), FLUX_POLLIN
            )
            self._stdin.unref().start()
        except OSError:
            # A regular file is always ready.
            self._stdin = None
            while self._read_input():
                pass

    def _read_input(self) -> bool:
        try:
            data = os.read(0, READ_SIZE)
        except OSError:
            data = b""
        assert self._service is not None
        service, rank = self._service
        context: dict[str, Any] = {"stream": "stdin", "rank": "all"}
        if not data:
            context["eof"] = True
            if self._stdin is not None:
                self._stdin.stop()
                self._stdin = None
        else:
            try:
                context["data"] = data.decode()
            except UnicodeDecodeError:
                context["encoding"] = "base64"
                context["data"] = base64.b64encode(data).decode()
        self._handle.rpc(f"{service}.stdin", context, nodeid=rank).then(self._input_sent, data)
        return bool(data)

    @staticmethod
    def _input_sent(future: Future, data: bytes) -> None:
        try:
            future.get()
        except OSError as exc:
            if exc.errno != errno.ENOSYS or data:
                say(_PROG, f"stdin not accepted by job: {exc.strerror}")

    # -- Ctrl-C

    def _interrupt(self) -> None:
        now = time.monotonic()
        if now - self._interrupted < SECOND_INTERRUPT:
            say(_PROG, f"canceling {self._name}")
            flux.job.cancel_async(self._handle, self._jobid, "interrupted by ctrl-C").then(
                self._cancelled
            )
        else:
            say(_PROG, f"one more ctrl-C within {SECOND_INTERRUPT:.0f}s to cancel")
        self._interrupted = now

    @staticmethod
    def _cancelled(future: Future) -> None:
        try:
            future.get()
        except OSError as exc:
            say(_PROG, f"cancel: {exc.strerror}")
