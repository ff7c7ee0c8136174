"""The queues of an instance: their state, limits and resources (flux-queue(1))."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import flux._ours  # noqa: F401 - refuses another flux
from flux.util._durations import parse_fsd
from flux.util._treedict import get_treedict

if TYPE_CHECKING:
    from flux.core.handle import Flux

__all__ = [
    "QueueDefaults",
    "QueueInfo",
    "QueueLimits",
    "QueueList",
    "QueueResourceCounts",
    "QueueResources",
]


@dataclass
class QueueResourceCounts:
    """How many resources.

    Attributes:
        nnodes: Nodes.
        ncores: Cores.
        ngpus: GPUs.
    """

    nnodes: float
    ncores: float
    ngpus: float


@dataclass
class QueueLimits:
    """What a job in a queue may ask for.

    Attributes:
        min: At least these resources; 0 for no limit.
        max: At most these resources; infinity for no limit.
        duration: At most so many seconds; infinity for no limit.
    """

    min: QueueResourceCounts
    max: QueueResourceCounts
    duration: float

    @property
    def timelimit(self) -> float:
        """As ``duration``."""
        return self.duration


@dataclass
class QueueDefaults:
    """What a job in a queue gets that does not ask.

    Attributes:
        duration: Seconds; infinity for no limit.
    """

    duration: float

    @property
    def timelimit(self) -> float:
        """As ``duration``."""
        return self.duration


class QueueResources:
    """The resources of a queue: ``all``, ``up``, ``down``, ``allocated`` and ``free`` of them.

    Args:
        name: The queue; empty or None for the only one.
        resources: The resources of the instance, a `flux.resource.list.SchedResourceList`.
        config: The configuration of the instance.
        parent: The queue that this one takes its resources from.
    """

    def __init__(
        self, name: str | None, resources: Any, config: Mapping[str, Any], parent: str = ""
    ) -> None:
        queue = config.get("queues", {}).get(parent or name, {})
        if "requires" in queue:
            resources = resources.copy_constraint({"properties": queue["requires"]})
        self._resources = resources

    def __getattr__(self, attr: str) -> Any:
        if attr.startswith("_"):
            raise AttributeError(attr)
        return getattr(self._resources, attr)


class QueueInfo:
    """A queue.

    Args:
        name: Its name; None or empty for the only one, which has none.
        config: The configuration of the instance.
        resources: The resources of the instance.
        enabled: Whether it takes jobs.
        started: Whether it starts jobs.
        default: Whether jobs that name none are for it.
        parent: The queue that it takes its resources from.
        blocked: Why it starts no jobs, if that is not its own state.

    Attributes:
        name: Its name.
        is_default: As ``default``.
        enabled: As given.
        started: As given.
        parent: As given.
        blocked: As given.
        config: As given.
        resources: Its resources.
        defaults: What a job gets that does not ask.
        limits: What a job may ask for.
    """

    def __init__(
        self,
        name: str | None,
        config: Mapping[str, Any],
        resources: Any,
        enabled: bool,
        started: bool,
        default: bool,
        parent: str = "",
        blocked: Any = None,
    ) -> None:
        self.name = name or ""
        self.config = config
        self.is_default = default
        self.enabled = enabled
        self.started = started
        self.parent = parent
        self.blocked = blocked
        self.resources = QueueResources(name, resources, config, parent)
        self.defaults = QueueDefaults(parse_fsd(self._policy("jobspec.defaults.system.duration")))
        least, most = (
            QueueResourceCounts(
                *(self._size(f"{bound}.{unit}", none) for unit in ("nnodes", "ncores", "ngpus"))
            )
            for bound, none in (("min", 0), ("max", math.inf))
        )
        self.limits = QueueLimits(least, most, parse_fsd(self._policy("limits.duration")))

    def _policy(self, key: str, default: Any = "inf") -> Any:
        """Return a setting of the queue's policy, or else of the instance's."""
        own = self.config.get("queues", {}).get(self.name, {})
        general = get_treedict(self.config, f"policy.{key}", default)
        return get_treedict(own, f"policy.{key}", general)

    def _size(self, key: str, none: float) -> float:
        count: float = self._policy(f"limits.job-size.{key}", none)
        # With -1 a queue lifts the limit of the instance.
        return math.inf if count < 0 else count


class QueueList:
    """The queues of an instance, in the order of its configuration.

    A queue is ``queues[name]`` or ``queues.name``; the only one of an instance without names for
    them is ``queues[""]``.

    Args:
        handle: The handle.
        queues: The names of those that count; None or empty: all.

    Raises:
        ValueError: There is no such queue.
        OSError: ENOSYS, the broker has no job or resource services; ECONNRESET, the connection was
            lost.

    Attributes:
        default_queue: The name of the queue for jobs that name none; empty if there is none.
    """

    def __init__(self, handle: Flux, queues: Iterable[str] | None = None) -> None:
        from flux.resource import resource_list

        # Both before either is waited for.
        listing, asked = resource_list(handle), handle.rpc("config.get")
        config: Any = asked.get()
        resources = listing.get()
        self.default_queue: str = get_treedict(config, "policy.jobspec.defaults.system.queue", "")
        known = config.get("queues", {})
        names = list(queues or known)
        for name in names:
            if name not in known:
                raise ValueError(
                    f"No such queue: {name}: there are {', '.join(known) or 'none with names'}"
                )
        requests = {
            name: handle.rpc("job-manager.queue-status", {"name": name} if name else {})
            for name in names or [""]
        }
        self._queues = {}
        for name, request in requests.items():
            status: Any = request.get()
            self._queues[name] = QueueInfo(
                name,
                config,
                resources,
                status["enable"],
                status["start"],
                name == self.default_queue,
                known.get(name, {}).get("parent", ""),
            )

    def __getattr__(self, attr: str) -> QueueInfo:
        try:
            queue: QueueInfo = self.__dict__["_queues"][attr]
        except KeyError:
            raise AttributeError(f"there is no queue {attr!r}") from None
        return queue

    def __getitem__(self, item: str | None) -> QueueInfo | None:
        return self._queues.get("") if item is None else self._queues[item]

    def __iter__(self) -> Iterator[QueueInfo]:
        return iter(self._queues.values())
