"""What the configuration says of a jobspec where that says nothing (flux-config-policy(5))."""

from __future__ import annotations

from typing import Any

from flux.devbroker._jobs._fsd import parse_duration
from flux.devbroker._jobs._jobspec import JobspecError
from flux.devbroker._jobs._request import queue, system, table


class Defaults:
    """Attributes for jobs that do not have them: general ones, and those of their queue.

    Args:
        config: The broker's configuration: its tables ``policy`` and ``queues``.
    """

    def __init__(self, config: dict[str, Any]) -> None:
        self._general = _defaults(config)
        self._queues = table(config, "queues")

    def apply(self, spec: dict[str, Any]) -> None:
        """Add to a jobspec what it lacks.

        Raises:
            JobspecError: Its queue is not one of those that there are, or a default is no good.
        """
        attributes = system(spec)
        defaults = dict(self._general)
        if self._queues:
            name = queue(spec) or defaults.get("queue")
            if name is None:
                raise JobspecError("no queue specified")
            if name not in self._queues:
                raise JobspecError(f"Invalid queue '{name}' specified")
            defaults.update(_defaults(table(self._queues, name)))
        for key, value in defaults.items():
            if key == "duration":
                # Zero is no limit, and says nothing.
                attributes[key] = attributes.get(key) or _duration(value)
            else:
                attributes.setdefault(key, value)


def _duration(value: Any) -> float:
    try:
        return parse_duration(value)
    except ValueError as exc:
        raise JobspecError(f"policy.jobspec.defaults.system.duration: {exc}") from None


def _defaults(config: dict[str, Any]) -> dict[str, Any]:
    """Return ``policy.jobspec.defaults.system`` of a table."""
    for key in ("policy", "jobspec", "defaults", "system"):
        config = table(config, key)
    return config
