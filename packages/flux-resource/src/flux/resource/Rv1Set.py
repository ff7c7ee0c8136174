"""Sets of resources in version 1 of the format R (RFC 20)."""  # noqa: N999

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from functools import lru_cache
from operator import and_, or_
from typing import Any, Callable, Final

from flux.hostlist import Hostlist
from flux.idset import IDSET_FLAG_BRACKETS, IDSET_FLAG_RANGE, IDs, IDset
from flux.resource._constraint import matching
from flux.resource.ResourceSetImplementation import ResourceSetImplementation

__all__ = ["IDSET_FLAG_BRACKETS", "IDSET_FLAG_RANGE", "Rv1Set"]

#: The ids of each kind of resource that a node has, as `IDset.encode` writes them.  Nodes have few
#: different ones: one object stands for all nodes that are alike, and is worked with once.
Children = tuple[tuple[str, str], ...]

_SHOWN: Final = IDSET_FLAG_BRACKETS | IDSET_FLAG_RANGE
_RESERVED: Final = frozenset("!&'\"^`|()")


class Rv1Set(ResourceSetImplementation):
    """A set of resources: which cores, GPUs or others there are on which ranks.

    Args:
        arg: R as an object or its JSON; nothing for an empty set.
        keep_scheduling: Whether to keep what R has for schedulers.

    Raises:
        ValueError: It is not R of version 1; the message says what is wrong.
        TypeError: It is neither an object nor text.

    Source: RFC 20
    """

    version = 1

    def __init__(
        self, arg: str | Mapping[str, Any] | None = None, keep_scheduling: bool = False
    ) -> None:
        self._nodes: dict[int, Children] = {}
        self._hosts: dict[int, str] = {}
        self._properties: dict[str, IDset] = {}
        self._starttime = self._expiration = 0.0
        #: What schedulers keep in R; any JSON, or None.
        self.scheduling: Any = None
        if arg is not None:
            r = json.loads(arg) if isinstance(arg, str) else arg
            self._decode(r)
            self.scheduling = r.get("scheduling") if keep_scheduling else None

    def _decode(self, r: Any) -> None:
        if not isinstance(r, Mapping):
            raise TypeError(f"R is an object, or the JSON of one, not {type(r).__name__}")
        if r.get("version") != 1:
            raise ValueError(f"R version {r.get('version')!r} not supported: it must be 1")
        execution = _object(r.get("execution", {}), "execution")
        entries = execution.get("R_lite", [])
        if not isinstance(entries, list):
            raise ValueError(f"R: execution.R_lite must be a list, not {entries!r}")
        for number, entry in enumerate(entries):
            path = f"execution.R_lite[{number}]"
            entry = _object(entry, path)
            given = _object(entry.get("children", {"core": ""}), f"{path}.children")
            children: Children = tuple(
                (kind, str(_ids(ids, f"{path}.children.{kind}"))) for kind, ids in given.items()
            )
            ranks = _ids(entry.get("rank"), f"{path}.rank")
            again = [rank for rank in ranks if rank in self._nodes]
            if again:
                raise ValueError(f"R: {path}.rank: {IDset(again)} has been described before")
            self._nodes.update(dict.fromkeys(ranks, children))
        self._nodes = dict(sorted(self._nodes.items()))
        nodelist = execution.get("nodelist", [])
        try:
            self._hosts = dict(zip(self._nodes, Hostlist(nodelist)))
        except (TypeError, ValueError) as exc:
            raise ValueError(f"R: execution.nodelist: {exc}") from None
        if nodelist:
            self._name_hosts()
        for key in ("starttime", "expiration"):
            value = execution.get(key, 0)
            if not isinstance(value, (int, float)) or isinstance(value, bool):
                raise ValueError(f"R: execution.{key} must be a number, not {value!r}")
            setattr(self, f"_{key}", float(value))
        properties = _object(execution.get("properties", {}), "execution.properties")
        for name, held in properties.items():
            ranks = _ids(held, f"execution.properties.{name}") & self.ranks()
            if ranks:
                self._properties[name] = ranks

    def _name_hosts(self) -> None:
        """Give names to nodes without one, where there are names."""
        self._hosts = {rank: self._hosts.get(rank, f"rank{rank}") for rank in self._nodes}

    def to_dict(self) -> dict[str, Any]:
        """Return R as an object."""
        execution: dict[str, Any] = {
            "R_lite": [
                {"rank": str(ranks), "children": dict(children)}
                for children, ranks in self._alike()
            ],
            "starttime": self._starttime,
            "expiration": self._expiration,
        }
        if self._hosts:
            execution["nodelist"] = [str(self.nodelist())]
        if self._properties:
            execution["properties"] = {name: str(ids) for name, ids in self._properties.items()}
        r: dict[str, Any] = {"version": 1, "execution": execution}
        if self.scheduling is not None:
            r["scheduling"] = self.scheduling
        return r

    def encode(self) -> str:
        """Return R as JSON."""
        return json.dumps(self.to_dict())

    def dumps(self) -> str:
        """Return the set as people read it, such as ``rank[0-3]/core[0-7],gpu0``."""
        parts = []
        for children, ranks in self._alike():
            ids = ",".join(f"{kind}{IDset(text).encode(_SHOWN)}" for kind, text in children)
            parts.append(f"rank{ranks.encode(_SHOWN)}/{ids}")
        return " ".join(parts)

    def _alike(self) -> list[tuple[Children, IDset]]:
        """Return what nodes have, with the ranks of those that have the same."""
        alike: dict[Children, list[int]] = {}
        for rank, children in self._nodes.items():
            alike.setdefault(children, []).append(rank)
        return [(children, IDset(ranks)) for children, ranks in alike.items()]

    def nodelist(self) -> Hostlist:
        """Return the names of the nodes, in order of their ranks."""
        return Hostlist.of_names(self._hosts.values())

    def hosts(self) -> Iterator[tuple[int, str]]:
        """Return ranks and their nodes' names."""
        return iter(self._hosts.items())

    def ranks(self) -> IDset:
        """Return the ranks."""
        return IDset(self._nodes)

    def ranks_of(self, name: str) -> IDset:
        """Return the ranks that have a property."""
        return self._properties.get(name, IDset())

    def nnodes(self) -> int:
        """Return the number of ranks."""
        return len(self._nodes)

    def count(self, name: str) -> int:
        """Return how many resources of a kind, such as ``core``, there are."""
        return sum(
            len(IDset(text)) * len(ranks)
            for children, ranks in self._alike()
            for kind, text in children
            if kind == name
        )

    def get_properties(self) -> str:
        """Return the properties, each with its ranks, as JSON."""
        return json.dumps({name: str(ids) for name, ids in self._properties.items()})

    def set_property(self, name: str, ranks: IDs | None = None) -> Rv1Set:
        """Give a property to ranks, or to all; `flux.resource.ResourceSet.set_property`."""
        bad = sorted(_RESERVED.intersection(name))
        if bad or not name:
            what = f"{bad[0]!r} has a meaning in constraints" if bad else "it is empty"
            raise ValueError(f"{name!r} cannot be the name of a property: {what}")
        ids = self.ranks() if ranks is None else IDset(ranks)
        beyond = ids - self.ranks()
        if beyond:
            raise ValueError(f"ranks {beyond} are not in the resource set")
        self._properties[name] = self.ranks_of(name) | ids
        return self

    def get_starttime(self) -> float:
        """Return when the set may be used from, in seconds since the epoch; 0 for always."""
        return self._starttime

    def set_starttime(self, starttime: float) -> None:
        """Set what `get_starttime` returns."""
        self._starttime = float(starttime)

    def get_expiration(self) -> float:
        """Return when the set may be used until, in seconds since the epoch; 0 for ever."""
        return self._expiration

    def set_expiration(self, expiration: float) -> None:
        """Set what `get_expiration` returns."""
        self._expiration = float(expiration)

    def _like(self) -> Rv1Set:
        """Return a set without nodes, and all but them as it is here."""
        other = Rv1Set()
        other._starttime, other._expiration = self._starttime, self._expiration
        other.scheduling = self.scheduling
        return other

    def _part(self, nodes: dict[int, Children]) -> Rv1Set:
        """Return a set of these nodes, all of which are here, with what else is known of them."""
        other = self._like()
        other._keep(self, nodes)
        return other

    def _keep(self, whole: Rv1Set, nodes: dict[int, Children]) -> None:
        """Have some nodes of a set."""
        self._nodes = nodes
        self._hosts = {rank: whole._hosts[rank] for rank in nodes} if whole._hosts else {}
        ranks = self.ranks() if whole._properties else IDset()
        kept = {name: ids & ranks for name, ids in whole._properties.items()}
        self._properties = {name: ids for name, ids in kept.items() if ids}

    def copy(self) -> Rv1Set:
        """Return another set with the same in it."""
        other = self._like()
        other._nodes = self._nodes.copy()
        other._hosts = self._hosts.copy()
        other._properties = self._properties.copy()
        return other

    def copy_ranks(self, ranks: IDs) -> Rv1Set:
        """Return a set of some of the ranks, as far as they are there."""
        nodes = self._nodes
        return self._part({rank: nodes[rank] for rank in IDset(ranks) if rank in nodes})

    def remove_ranks(self, ranks: IDs) -> Rv1Set:
        """Remove ranks, as far as they are there; return the set itself."""
        going = set(IDset(ranks))
        nodes = {rank: has for rank, has in self._nodes.items() if rank not in going}
        self._keep(self, nodes)
        return self

    def copy_constraint(self, constraint: Any) -> Rv1Set:
        """Return a set of the ranks that a constraint matches."""
        return self.copy_ranks(matching(self, constraint))

    def add(self, other: Rv1Set) -> Rv1Set:
        """Put in what another set has, as far as it is not there; return the set itself."""
        nodes = self._nodes
        for rank, children in other._nodes.items():
            mine = nodes.get(rank)
            nodes[rank] = children if mine is None else _combined(or_, mine, children)
        self._nodes = dict(sorted(nodes.items()))
        if self._hosts or other._hosts:
            self._hosts = {**other._hosts, **self._hosts}
            self._name_hosts()
        for name, ids in other._properties.items():
            self._properties[name] = self.ranks_of(name) | ids
        return self

    def append(self, other: Rv1Set) -> Rv1Set:
        """Put in what another set has; return the set itself."""
        return self.add(other)

    def union(self, other: Rv1Set) -> Rv1Set:
        """Return a set of what is in either."""
        return self.copy().add(other)

    def intersect(self, other: Rv1Set) -> Rv1Set:
        """Return a set of what is in both."""
        theirs = other._nodes
        nodes = {
            rank: _combined(and_, children, theirs[rank])
            for rank, children in self._nodes.items()
            if rank in theirs
        }
        return self._part({rank: children for rank, children in nodes.items() if children})

    def diff(self, other: Rv1Set) -> Rv1Set:
        """Return a set of what is in this one, and not in the other."""
        theirs = other._nodes
        nodes = {
            rank: _combined(_without, children, theirs[rank]) if rank in theirs else children
            for rank, children in self._nodes.items()
        }
        return self._part({rank: children for rank, children in nodes.items() if children})


def _without(one: IDset, other: IDset) -> IDset:
    return one - other


@lru_cache(maxsize=1024)
def _combined(
    work: Callable[[IDset, IDset], IDset], children: Children, others: Children
) -> Children:
    """Return what comes of what two nodes have, without the kinds of which nothing is left."""
    mine, theirs = dict(children), dict(others)
    found = [
        (kind, str(work(IDset(mine.get(kind, "")), IDset(theirs.get(kind, "")))))
        for kind in {**mine, **theirs}
    ]
    return tuple((kind, ids) for kind, ids in found if ids)


def _object(value: Any, path: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise ValueError(f"R: {path} must be an object, not {value!r}")
    return value


def _ids(value: Any, path: str) -> IDset:
    if not isinstance(value, str):
        raise ValueError(f"R: {path} must be an idset, not {value!r}")
    try:
        return IDset(value)
    except ValueError as exc:
        raise ValueError(f"R: {path}: {exc}") from None
