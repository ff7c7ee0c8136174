"""The job manager's journal, as the commands read it."""

from __future__ import annotations

from collections.abc import Iterator

from flux.command._common import CommandError, say
from flux.core.handle import Flux
from flux.job.journal import JournalConsumer, JournalEvent


def follow(
    handle: Flux, prog: str, full: bool = True, forever: bool = False, pause: float = -1.0
) -> Iterator[JournalEvent | None]:
    """Yield the events of all jobs.

    Args:
        handle: A connection.
        prog: The command's name, for warnings.
        full: Begin with the events of jobs that are over.
        forever: Go on after the history.  Needed without one, which has no end to stop at.
        pause: Seconds after which to yield None where there is no event; negative for never.

    Raises:
        CommandError: There is no journal, or not for this user, or the connection was lost.
    """
    with JournalConsumer(handle, full=full, include_sentinel=True) as consumer:
        while True:
            try:
                event = consumer.poll(pause)
            except TimeoutError:
                yield None
                continue
            except OSError as exc:
                rpc = consumer.rpc
                if rpc is None or rpc.error_string() is not None:
                    raise CommandError(f"{consumer.topic}: {exc.strerror}") from None
                # A fault costs nothing but the event that has it.
                say(prog, exc.strerror or str(exc))
                continue
            if event is None:
                return
            if event.is_empty():
                if not forever:
                    return
                continue
            assert isinstance(event, JournalEvent)
            yield event
