"""Sets of resources, whatever form they have."""  # noqa: N999

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Union

from flux.hostlist import Hostlist, Hosts
from flux.idset import IDs, IDset
from flux.resource.ResourceSetImplementation import ResourceSetImplementation
from flux.resource.Rv1Set import Rv1Set

__all__ = ["ResourceSet"]

#: What a resource set is made from.
R = Union[str, Mapping[str, Any], ResourceSetImplementation, None]

_VERSIONS = {1: Rv1Set}


class ResourceSet:
    """A set of resources: which cores, GPUs or others there are on which ranks.

    Args:
        arg: R (RFC 20) as an object or its JSON, or what implements a form of it; None for nothing.
        version: The version of R for an empty set.
        kwargs: For the implementation: ``keep_scheduling=True`` keeps what R has for schedulers.

    Attributes:
        impl: What implements the form that the set has.

    Raises:
        TypeError: It is none of these.
        KeyError: R has no version.
        ValueError: It is not R of a version that there is here; the message says what is wrong.
    """

    def __init__(self, arg: R = None, version: int = 1, **kwargs: Any) -> None:
        self._state: str | None = None
        self.impl: Any
        if isinstance(arg, ResourceSetImplementation):
            self.impl = arg
            self.version = getattr(arg, "version", version)
            return
        if isinstance(arg, str):
            arg = json.loads(arg)
        if isinstance(arg, Mapping):
            version = arg["version"]
        elif arg is not None:
            raise TypeError(f"ResourceSet cannot be instantiated from {type(arg)}")
        if version not in _VERSIONS:
            raise ValueError(f"R version {version} not supported")
        self.version = version
        self.impl = _VERSIONS[version](arg, **kwargs)

    def __str__(self) -> str:
        return self.dumps()

    def __and__(self, arg: ResourceSet | R) -> ResourceSet:
        return self.intersect(arg)

    def __or__(self, arg: ResourceSet | R) -> ResourceSet:
        return self.union(arg)

    def __sub__(self, arg: ResourceSet | R) -> ResourceSet:
        return self.diff(arg)

    def _of(self, impl: Any) -> ResourceSet:
        """Return a set of the same state."""
        other = ResourceSet(impl)
        other._state = self._state
        return other

    def _combined(self, method: str, args: tuple[ResourceSet | R, ...]) -> Any:
        """Return what comes of it, which is the implementation itself where that is changed."""
        impl = self.impl
        for arg in args:
            other = arg if isinstance(arg, ResourceSet) else ResourceSet(arg)
            impl = getattr(impl, method)(other.impl)
        return impl

    def _new(self, method: str, args: tuple[ResourceSet | R, ...]) -> ResourceSet:
        return ResourceSet(self._combined(method, args) if args else self.impl.copy())

    def add(self, *args: ResourceSet | R) -> ResourceSet:
        """Put in what other sets have, as far as it is not there; return the set itself."""
        self._combined("add", args)
        return self

    def append(self, *args: ResourceSet | R) -> ResourceSet:
        """Put in what other sets have; return the set itself."""
        self._combined("append", args)
        return self

    def union(self, *args: ResourceSet | R) -> ResourceSet:
        """Return a new set of what is in this or any other."""
        return self._new("union", args)

    def intersect(self, *args: ResourceSet | R) -> ResourceSet:
        """Return a new set of what is in this and all others."""
        return self._new("intersect", args)

    def diff(self, *args: ResourceSet | R) -> ResourceSet:
        """Return a new set of what is in this one, and in no other."""
        return self._new("diff", args)

    def copy(self) -> ResourceSet:
        """Return another set of the same resources."""
        return self._of(self.impl.copy())

    def copy_ranks(self, ranks: IDs) -> ResourceSet:
        """Return a new set of some ranks, given as to `flux.idset.IDset`, that are in this one."""
        return self._of(self.impl.copy_ranks(ranks))

    def remove_ranks(self, ranks: IDs) -> ResourceSet:
        """Remove ranks, given as to `flux.idset.IDset`; return the set itself."""
        self.impl.remove_ranks(ranks)
        return self

    def copy_constraint(self, constraint: str | Mapping[str, Any]) -> ResourceSet:
        """Return a new set of the ranks that a constraint (RFC 31) matches.

        Args:
            constraint: An object or its JSON; of ``properties``, ``hostlist`` and ``ranks``.

        Raises:
            ValueError: It is no constraint; the message says why.
        """
        return self._of(self.impl.copy_constraint(constraint))

    def count(self, name: str) -> int:
        """Return how many resources of a kind there are, such as ``core`` or ``gpu``."""
        return int(self.impl.count(name))

    def dumps(self) -> str:
        """Return the set as people read it, such as ``rank[0-3]/core[0-7],gpu0``."""
        return str(self.impl.dumps())

    def encode(self) -> str:
        """Return R as JSON."""
        return str(self.impl.encode())

    def to_dict(self) -> dict[str, Any]:
        """Return R as an object."""
        r: dict[str, Any] = self.impl.to_dict()
        return r

    def get_properties(self) -> str:
        """Return the properties, each with its ranks, as JSON."""
        return str(self.impl.get_properties())

    def set_property(self, name: str, ranks: IDs | None = None) -> ResourceSet:
        """Give a property to ranks; return the set itself.

        Args:
            name: The property.
            ranks: The ranks, as to `flux.idset.IDset`; all if None.

        Raises:
            ValueError: There can be no such property, or a rank is not in the set.
        """
        self.impl.set_property(name, ranks)
        return self

    def host_ranks(self, hosts: Hosts, ignore_nomatch: bool = False) -> list[int]:
        """Return the ranks of hosts, given as to `flux.hostlist.Hostlist`, in order of the hosts.

        Args:
            hosts: The hosts.
            ignore_nomatch: Leave out those that are not in the set.

        Raises:
            FileNotFoundError: Some are not in the set.
        """
        ranks = self.ranks.expand()
        return [ranks[index] for index in self.nodelist.index(hosts, ignore_nomatch)]

    @property
    def nodelist(self) -> Hostlist:
        """The names of the nodes, in order of their ranks."""
        hosts: Hostlist = self.impl.nodelist()
        return hosts

    @property
    def ranks(self) -> IDset:
        """The ranks."""
        ranks: IDset = self.impl.ranks()
        return ranks

    @property
    def nnodes(self) -> int:
        """The number of ranks."""
        return int(self.impl.nnodes())

    @property
    def ncores(self) -> int:
        """The number of cores."""
        return self.count("core")

    @property
    def ngpus(self) -> int:
        """The number of GPUs."""
        return self.count("gpu")

    @property
    def properties(self) -> str:
        """The names of the properties, with commas between them."""
        return ",".join(json.loads(self.get_properties()))

    @property
    def rlist(self) -> str:
        """The same as `dumps` returns."""
        return self.dumps()

    @property
    def state(self) -> str | None:
        """What state the resources are in, for those who list them; None if nobody said."""
        return self._state

    @state.setter
    def state(self, state: str | None) -> None:
        self._state = state

    @property
    def starttime(self) -> float:
        """When the set may be used from, in seconds since the epoch; 0 for always."""
        return float(self.impl.get_starttime())

    @starttime.setter
    def starttime(self, starttime: float) -> None:
        self.impl.set_starttime(starttime)

    @property
    def expiration(self) -> float:
        """When the set may be used until, in seconds since the epoch; 0 for ever."""
        return float(self.impl.get_expiration())

    @expiration.setter
    def expiration(self, expiration: float) -> None:
        self.impl.set_expiration(expiration)
