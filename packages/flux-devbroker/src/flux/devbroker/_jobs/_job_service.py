"""What the parts of service ``job-manager`` have in common."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Callable, TypeVar

from flux.devbroker._service import OWNER, Service, method
from flux.message import Message

if TYPE_CHECKING:
    from flux.devbroker._jobs._core import Core


class JobService(Service):
    """A service that knows the jobs.

    Attributes:
        core: The jobs.
    """

    core: Core


S = TypeVar("S", bound=JobService)


def job_method(
    topic: str, role: int = OWNER
) -> Callable[[Callable[[S, Message], None]], Callable[[S, Message], None]]:
    """Declare a method about jobs: it is called once those of earlier runs are known.

    Arguments as of `method`.
    """

    def decorate(func: Callable[[S, Message], None]) -> Callable[[S, Message], None]:
        @functools.wraps(func)
        def when_loaded(self: S, msg: Message) -> None:
            if self.core.loaded:
                func(self, msg)
            else:
                # The handler, which answers with what it raises.
                self.core.when_loaded(lambda: handler(self, msg))

        handler = method(topic, role)(when_loaded)
        return handler

    return decorate
