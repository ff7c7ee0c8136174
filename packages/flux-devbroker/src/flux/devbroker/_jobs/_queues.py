"""Job queues: the anonymous one, or those that the configuration names."""

from __future__ import annotations

from typing import Any


class Queue:
    """One queue.

    Attributes:
        enabled: Whether jobs may be submitted to it.
        started: Whether its jobs get resources.
        disable_reason: Why not, if someone said so.
        stop_reason: Why not, if someone said so.
    """

    def __init__(self) -> None:
        self.enabled = self.started = True
        self.disable_reason: str | None = None
        self.stop_reason: str | None = None

    def status(self) -> dict[str, Any]:
        """Return what ``job-manager.queue-status`` answers."""
        answer: dict[str, Any] = {"enable": self.enabled, "start": self.started}
        if not self.enabled and self.disable_reason:
            answer["disable_reason"] = self.disable_reason
        if not self.started and self.stop_reason:
            answer["stop_reason"] = self.stop_reason
        return answer


class Queues:
    """All queues.

    Args:
        config: The broker's configuration, whose table ``queues`` names them.
    """

    def __init__(self, config: dict[str, Any]) -> None:
        names = config.get("queues")
        self.names: list[str] = list(names) if isinstance(names, dict) else []
        self._queues: dict[str | None, Queue] = {name: Queue() for name in (self.names or (None,))}

    def find(self, name: str | None) -> Queue:
        """Return a queue, by its name if there are names.

        Raises:
            ValueError: There is none such.
        """
        queue = self._queues.get(name)
        if queue is None:
            if name is None:
                raise ValueError("a named queue is required")
            raise ValueError(f"'{name}' is not a valid queue")
        return queue

    def select(self, name: str | None, every: bool) -> list[Queue]:
        """Return the queues that a request is for.

        Raises:
            ValueError: There are none such.
        """
        return list(self._queues.values()) if every else [self.find(name)]

    def check(self, name: str | None) -> None:
        """See whether a job may be submitted.

        Raises:
            ValueError: It may not.
        """
        queue = self.find(name)
        if not queue.enabled:
            where = f" to {name}" if name else ""
            why = f": {queue.disable_reason}" if queue.disable_reason else ""
            raise ValueError(f"job submission{where} is disabled{why}")
