"""What resources the scheduler has, and in which state."""

from __future__ import annotations

import errno
import os
from collections.abc import Mapping
from typing import Any

from flux.core.handle import Flux
from flux.future import Future, FutureExt
from flux.idset import IDset
from flux.resource.ResourceSet import ResourceSet

__all__ = ["ResourceListRPC", "SchedResourceList", "resource_list"]

_STATES = ("all", "down", "allocated")


class SchedResourceList:
    """The resources of a scheduler, by state; each is to be had as an attribute and by name.

    Args:
        resp: The response: R for each state.

    Attributes:
        all: All resources.
        down: Those that cannot be used now.
        allocated: Those that jobs have.
    """

    all: ResourceSet
    down: ResourceSet
    allocated: ResourceSet

    def __init__(self, resp: Mapping[str, Any]) -> None:
        for state in _STATES:
            rset = ResourceSet(resp.get(state))
            rset.state = state
            setattr(self, state, rset)

    def __getitem__(self, item: str) -> ResourceSet:
        if item not in (*_STATES, "up", "free"):
            raise AttributeError(f"resources are all, up, down, allocated or free, not {item!r}")
        rset: ResourceSet = getattr(self, item)
        return rset

    @property
    def up(self) -> ResourceSet:
        """Those that are not down."""
        rset = self.all - self.down
        rset.state = "up"
        return rset

    @property
    def free(self) -> ResourceSet:
        """Those that are neither down nor allocated."""
        rset = self.up - self.allocated
        rset.state = "free"
        return rset

    def filter(self, include: str) -> None:
        """Keep some ranks or hosts alone.

        Args:
            include: An idset of ranks, or a list of hosts; those that are not there do not matter.

        Raises:
            ValueError: It is neither.
        """
        try:
            ranks = IDset(include)
        except ValueError:
            ranks = IDset(self.all.host_ranks(include, ignore_nomatch=True))
        for state in _STATES:
            setattr(self, state, getattr(self, state).copy_ranks(ranks))

    def copy_constraint(self, constraint: str | Mapping[str, Any]) -> SchedResourceList:
        """Return a list of the resources that a constraint (RFC 31) matches.

        Raises:
            ValueError: It is no constraint; the message says why.
        """
        other = SchedResourceList({})
        for state in _STATES:
            setattr(other, state, getattr(self, state).copy_constraint(constraint))
        return other


class ResourceListRPC(FutureExt):
    """The request for a `SchedResourceList`.

    Args:
        flux_handle: The handle.
        topic: The service that is asked; if there is none, ``sched.resource-status`` is.
        nodeid: The rank that is asked: 0 has the scheduler.
    """

    def __init__(self, flux_handle: Flux, topic: str, nodeid: int = 0) -> None:
        self.topic = topic
        self.nodeid = nodeid
        super().__init__(self._ask, flux_handle=flux_handle)

    def _ask(self, future: Any) -> None:
        handle = future.get_flux()
        handle.rpc(self.topic, nodeid=self.nodeid).then(self._answered, future)

    def _answered(self, rpc: Future, future: Any) -> None:
        try:
            future.fulfill(rpc.get())
        except OSError as exc:
            other = "sched.resource-status"
            if exc.errno == errno.ENOSYS and self.topic != other:
                self.topic = other
                self._ask(future)
            else:
                future.fulfill_error(exc.errno, exc.strerror)

    def get(self) -> SchedResourceList:
        """Return the list; wait for it.

        Raises:
            OSError: The broker refused the request, or there is no scheduler.
        """
        return SchedResourceList(super().get())


def resource_list(flux_handle: Flux) -> ResourceListRPC:
    """Ask for the resources that the scheduler has, by state.

    The environment variable ``FLUX_RESOURCE_LIST_RPC`` may name another service to ask.

    Args:
        flux_handle: The handle.

    Returns:
        A future for a `SchedResourceList`.
    """
    topic = os.environ.get("FLUX_RESOURCE_LIST_RPC") or "resource.sched-status"
    return ResourceListRPC(flux_handle, topic, nodeid=0)
