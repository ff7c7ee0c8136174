"""Futures for what a job writes: event by event, piece by piece, or line by line."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING, Any, Optional

from flux._future import Future
from flux.eventlog import EventLogEvent
from flux.job._output_events import (
    LOG_TRACE,
    JobExceptionEvent,
    LogEvent,
    RedirectEvent,
    Taskset,
    data_of,
    event_of,
    labelled,
)
from flux.job._reading import EventsFuture, failure

if TYPE_CHECKING:
    from typing_extensions import Self

    from flux.core.handle import Flux

__all__ = ["JobOutputEventWatch", "JobOutputWatch", "JobOutputWatchLines"]

Piece = tuple[Optional[str], Optional[str]]

_MAIN, _EXEC, _OUTPUT = "eventlog", "guest.exec.eventlog", "guest.output"


class _OutputFuture(EventsFuture):
    """What a job writes, whichever form it is given in.

    The eventlog of it is there once the job's shell has started, which the job's exec eventlog
    tells, which is there once the job has started, which its main eventlog tells.  It is at its
    end when the shell is, but of what the job died of the main eventlog tells later.
    """

    #: Stands for the end.
    _END: Any = None

    def __init__(
        self, flux_handle: Flux, jobid: int | str, labelio: bool = False, nowait: bool = False
    ) -> None:
        super().__init__(flux_handle, jobid)
        self.labelio = labelio
        self.nowait = nowait
        if nowait:
            self._state["finished"] = True
            self._begin(_OUTPUT)
        else:
            self._begin(_MAIN)

    def _made_of(self, event: EventLogEvent) -> list[Any]:
        """Return what an event of the output, or an exception, is given as."""
        raise NotImplementedError

    def _rest(self) -> list[Any]:
        """Return what was held back, at the end."""
        return []

    def _read(self, eventlog: str, event: EventLogEvent) -> list[Any]:
        name = event.name
        if eventlog == _OUTPUT or (name == "exception" and eventlog == _MAIN):
            # Those after its end are nothing that the job died of.
            if eventlog == _MAIN and self._known("finished"):
                return []
            try:
                return self._made_of(event)
            except (KeyError, TypeError, ValueError) as exc:
                text = f"an event of what job {self.jobid} writes is malformed: {exc!r}: {event!r}"
                raise OSError(errno.EPROTO, text) from None
        if eventlog == _EXEC:
            if name == "shell.init":
                self._begin(_OUTPUT)
                self._end(_EXEC)
        elif name == "start":
            self._changes["started"] = True
            self._begin(_EXEC)
        elif name == "finish":
            self._end(_MAIN)
            return self._over("finished")
        return []

    def _failed(self, eventlog: str, exc: OSError) -> list[Any]:
        ended = exc.errno == errno.ENODATA
        if eventlog == _OUTPUT and ended:
            return self._over("closed")
        if eventlog == _EXEC and (ended or exc.errno == errno.ENOENT) and _OUTPUT in self._watches:
            return []
        if eventlog == _EXEC and (ended or exc.errno == errno.ENOENT):
            # The job has no shell, or that has not come far enough to write anything.
            return self._over("closed")
        if eventlog == _MAIN and ended and self._known("started"):
            return self._over("finished")
        if eventlog == _MAIN and ended:
            exc = OSError(errno.EIO, f"job {self.jobid} never started")
        elif eventlog == _MAIN and exc.errno == errno.ENOENT:
            exc = OSError(errno.ENOENT, f"job {self.jobid} not found")
        self._end()
        return [failure(exc)]

    def _over(self, what: str) -> list[Any]:
        """Note that the output is closed, or the job finished; return what is left if both are."""
        self._changes[what] = True
        if not (self._known("closed") and self._known("finished")):
            return []
        self._end()
        return [*self._rest(), self._END]

    def _next(self, autoreset: bool = True) -> Any:
        """Wait for what comes next, and go on to what comes after it, but not after the end."""
        found = Future.get(self)
        if autoreset and found is not self._END:
            self.reset()
        return found

    def get(self) -> Any:
        """Wait for what comes next, and go on."""
        return self._next()

    def cancel(self, stop: bool = False) -> None:
        """End the watch; what has come already remains.

        Args:
            stop: Also do not call the callback any more.
        """
        self._watches.update(dict.fromkeys(self._watches))
        if stop:
            self.stop()
        if not self.results or self.results[-1] is not self._END:
            self.results.append(self._END)
            self._passed = len(self.results) > 1
            self.tell()

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Any:
        found = self._next()
        if found is self._END:
            raise StopIteration
        return found

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Any:
        if not self.is_ready():
            from flux._asyncio import Ready

            await Ready(self)
        try:
            return self.__next__()
        except StopIteration:
            raise StopAsyncIteration from None

    def __exit__(self, *_exc: object) -> None:
        self.cancel(stop=True)


class JobOutputEventWatch(_OutputFuture):
    """The events of what a job writes; see `flux.job.output_event_watch_async`."""

    def _made_of(self, event: EventLogEvent) -> list[Any]:
        return [event_of(event, self.labelio)]

    def get_event(self, autoreset: bool = True) -> Any:
        """Wait for the next event.

        Args:
            autoreset: Go on to the event after it, which the next call then returns.

        Returns:
            An `OutputEvent`, `LogEvent`, `OutputHeaderEvent`, `RedirectEvent` or
            `JobExceptionEvent`, or a plain event of a kind that is not known; None at the end.

        Raises:
            OSError: ENOENT, there is no such job; EIO, the job has ended without having started;
                EPERM, it is another user's; ENOSYS, the broker has no job services; ECONNRESET,
                the connection was lost; EPROTO, malformed response.
            KeyboardInterrupt: SIGINT was received while waiting.
        """
        return self._next(autoreset)


class JobOutputWatch(_OutputFuture):
    """What a job writes, in pieces as they come; see `flux.job.output_watch_async`."""

    _END: Piece = (None, None)

    def __init__(
        self,
        flux_handle: Flux,
        jobid: int | str,
        labelio: bool = False,
        log_stderr_level: int = LOG_TRACE,
        nowait: bool = False,
    ) -> None:
        self.log_stderr_level = log_stderr_level
        super().__init__(flux_handle, jobid, labelio, nowait)

    def _made_of(self, event: EventLogEvent) -> list[Any]:
        name = event.name
        if name == "data":
            return self._data(event.context)
        if name == "log":
            log = LogEvent(event)
            stream = "stderr" if log.level <= self.log_stderr_level else "log"
            return self._lines(stream, log.render())
        if name == "redirect":
            return self._lines("stderr", RedirectEvent(event).render())
        if name == "exception":
            return self._lines("stderr", JobExceptionEvent(event).render())
        return []

    def _data(self, context: dict[str, Any]) -> list[Piece]:
        text = data_of(context)
        if text is None:
            return []
        if self.labelio:
            text = labelled(str(Taskset(context["rank"])), text)
        return [(context["stream"], text)]

    def _lines(self, stream: str, text: str) -> list[Piece]:
        return [(stream, f"{text}\n")]

    def get_output(self) -> Piece:
        """Wait for the next piece.

        Returns:
            ``stdout``, ``stderr`` or ``log``, and text; ``(None, None)`` at the end.

        Raises:
            OSError: As `JobOutputEventWatch.get_event`.
            KeyboardInterrupt: SIGINT was received while waiting.
        """
        piece: Piece = self._next()
        return piece


class JobOutputWatchLines(JobOutputWatch):
    """What a job writes, line by line; see `flux.job.output_watch_lines_async`."""

    def __init__(
        self,
        flux_handle: Flux,
        jobid: int | str,
        labelio: bool = False,
        log_stderr_level: int = LOG_TRACE,
        nowait: bool = False,
        keepends: bool = False,
    ) -> None:
        self.keepends = keepends
        super().__init__(flux_handle, jobid, labelio, log_stderr_level, nowait)

    def _data(self, context: dict[str, Any]) -> list[Piece]:
        # A line may come in pieces, those of other tasks and of the other stream between them.
        stream, rank = source = context["stream"], str(context["rank"])
        text = self._known(source, "") + (data_of(context) or "")
        end = len(text) if context.get("eof") else text.rfind("\n") + 1
        self._changes[source] = text[end:]
        return self._split(stream, rank, text[:end])

    def _split(self, stream: str, rank: str, text: str) -> list[Piece]:
        if not text:
            return []
        label = f"{Taskset(rank)}: " if self.labelio else ""
        # Not `splitlines`, which also splits at characters that end no line.
        lines = text.removesuffix("\n").split("\n")
        if self.keepends:
            pieces = [(stream, f"{label}{line}\n") for line in lines[:-1]]
            last = lines[-1] + ("\n" if text.endswith("\n") else "")
            return [*pieces, (stream, label + last)]
        return [(stream, label + line.removesuffix("\r")) for line in lines]

    def _lines(self, stream: str, text: str) -> list[Piece]:
        end = "\n" if self.keepends else ""
        return [(stream, line + end) for line in text.split("\n")]

    def _rest(self) -> list[Any]:
        left = {**self._state, **self._changes}
        # The other keys are names of what has come about.
        held = [(*source, text) for source, text in left.items() if isinstance(source, tuple)]
        return [piece for stream, rank, text in held for piece in self._split(stream, rank, text)]

    def getline(self) -> Piece:
        """Wait for the next line.

        Returns:
            ``stdout``, ``stderr`` or ``log``, and the line; ``(None, None)`` at the end.

        Raises:
            OSError: As `JobOutputEventWatch.get_event`.
            KeyboardInterrupt: SIGINT was received while waiting.
        """
        return self.get_output()
