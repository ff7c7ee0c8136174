"""What a form of resource sets has to do to be one."""  # noqa: N999

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

from flux.hostlist import Hostlist
from flux.idset import IDs, IDset

__all__ = ["ResourceSetImplementation"]


class ResourceSetImplementation(ABC):
    """A form of resource sets; `flux.resource.ResourceSet` describes the methods."""

    @abstractmethod
    def dumps(self) -> str:
        """Return the set as people read it."""

    @abstractmethod
    def encode(self) -> str:
        """Return R as JSON."""

    @abstractmethod
    def nodelist(self) -> Hostlist:
        """Return the names of the nodes."""

    @abstractmethod
    def ranks(self) -> IDset:
        """Return the ranks."""

    @abstractmethod
    def nnodes(self) -> int:
        """Return the number of ranks."""

    @abstractmethod
    def copy(self) -> Any:
        """Return another set of the same resources."""

    @abstractmethod
    def copy_ranks(self, ranks: IDs) -> Any:
        """Return a set of some of the ranks."""

    @abstractmethod
    def remove_ranks(self, ranks: IDs) -> Any:
        """Remove ranks; return the set itself."""

    @abstractmethod
    def count(self, name: str) -> int:
        """Return how many resources of a kind there are."""

    @abstractmethod
    def append(self, rset: Any) -> Any:
        """Put in what another set has; return the set itself."""

    @abstractmethod
    def add(self, rset: Any) -> Any:
        """Put in what another set has and this one has not; return the set itself."""

    @abstractmethod
    def union(self, rset: Any) -> Any:
        """Return a set of what is in either."""

    @abstractmethod
    def diff(self, rset: Any) -> Any:
        """Return a set of what is in this one alone."""

    @abstractmethod
    def intersect(self, rset: Any) -> Any:
        """Return a set of what is in both."""

    @abstractmethod
    def get_properties(self) -> str:
        """Return the properties and their ranks, as JSON."""

    @abstractmethod
    def get_expiration(self) -> float:
        """Return when it expires, in seconds since the epoch."""

    @abstractmethod
    def set_expiration(self, expiration: float) -> None:
        """Set when it expires."""

    @abstractmethod
    def get_starttime(self) -> float:
        """Return when it starts, in seconds since the epoch."""

    @abstractmethod
    def set_starttime(self, starttime: float) -> None:
        """Set when it starts."""
