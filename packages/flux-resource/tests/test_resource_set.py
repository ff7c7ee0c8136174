"""Sets of resources: the format R, the algebra, constraints."""

from __future__ import annotations

import json
import operator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flux.hostlist import Hostlist
from flux.idset import IDset
from flux.resource import ResourceSet, Rv1Set

#: Resources as plain sets of (rank, kind, id).
PLAIN = st.sets(st.tuples(st.integers(0, 3), st.sampled_from(["core", "gpu"]), st.integers(0, 3)))

R: dict[str, Any] = {
    "version": 1,
    "execution": {
        "R_lite": [
            {"rank": "0-2", "children": {"core": "0-3", "gpu": "0"}},
            {"rank": "3", "children": {"core": "0-1"}},
        ],
        "starttime": 10.0,
        "expiration": 20.0,
        "nodelist": ["fluke[0-3]"],
        "properties": {"fast": "0-1", "big": "1,3"},
    },
}


def made(plain: set[tuple[int, str, int]]) -> ResourceSet:
    entries = [
        {
            "rank": str(rank),
            "children": {
                kind: str(IDset(i for r, k, i in plain if (r, k) == (rank, kind)))
                for kind in sorted({k for r, k, _ in plain if r == rank})
            },
        }
        for rank in {r for r, _, _ in plain}
    ]
    return ResourceSet({"version": 1, "execution": {"R_lite": entries}})


def plain(rset: ResourceSet) -> set[tuple[int, str, int]]:
    return {
        (rank, kind, number)
        for entry in rset.to_dict()["execution"]["R_lite"]
        for rank in IDset(entry["rank"])
        for kind, ids in entry["children"].items()
        for number in IDset(ids)
    }


@given(PLAIN)
def test_what_is_encoded_can_be_decoded(resources: set[tuple[int, str, int]]) -> None:
    rset = made(resources)
    assert plain(rset) == plain(ResourceSet(rset.encode())) == resources
    assert rset.ncores == sum(kind == "core" for _, kind, _ in resources)
    assert rset.ngpus == sum(kind == "gpu" for _, kind, _ in resources)
    assert list(rset.ranks) == sorted({rank for rank, _, _ in resources})


@given(PLAIN, PLAIN)
def test_algebra_is_that_of_sets(
    one: set[tuple[int, str, int]], other: set[tuple[int, str, int]]
) -> None:
    for work in (operator.or_, operator.and_, operator.sub):
        assert plain(work(made(one), made(other))) == work(one, other)
    for method in ("add", "append"):
        rset = made(one)
        assert getattr(rset, method)(made(other)) is rset
        assert plain(rset) == one | other


def test_a_set_says_what_is_in_it() -> None:
    rset = ResourceSet(R)
    assert str(rset) == rset.rlist == "rank[0-2]/core[0-3],gpu0 rank3/core[0-1]"
    assert (rset.nnodes, rset.ncores, rset.ngpus, rset.count("fpga")) == (4, 14, 3, 0)
    assert rset.nodelist == Hostlist("fluke[0-3]")
    assert rset.properties == "fast,big"
    assert (rset.starttime, rset.expiration) == (10.0, 20.0)
    assert rset.to_dict() == json.loads(rset.encode()) == R
    assert rset.host_ranks("fluke[3,0]") == [3, 0]
    assert rset.host_ranks("fluke[3-9]", ignore_nomatch=True) == [3]
    with pytest.raises(FileNotFoundError, match="fluke9"):
        rset.host_ranks("fluke9")


def test_what_is_kept_of_a_part() -> None:
    rset = ResourceSet(R)
    rset.state = "up"
    part = rset.copy_ranks("1-2,7")
    assert part.state == "up"
    assert part.to_dict()["execution"] == {
        "R_lite": [{"rank": "1-2", "children": {"core": "0-3", "gpu": "0"}}],
        "starttime": 10.0,
        "expiration": 20.0,
        "nodelist": ["fluke[1-2]"],
        "properties": {"fast": "1", "big": "1"},
    }
    assert str(rset.copy().remove_ranks("0-2")) == "rank3/core[0-1]"
    assert str(rset - part) == "rank0/core[0-3],gpu0 rank3/core[0-1]"
    assert str(rset) == "rank[0-2]/core[0-3],gpu0 rank3/core[0-1]"


def test_nodes_without_a_name_get_one_beside_others_that_have() -> None:
    bare = {"version": 1, "execution": {"R_lite": [{"rank": "9", "children": {"core": "0"}}]}}
    assert str(ResourceSet(bare).nodelist) == ""
    assert str(ResourceSet(R).union(bare).nodelist) == "fluke[0-3],rank9"


@pytest.mark.parametrize(
    ("constraint", "ranks"),
    [
        ({"properties": ["fast"]}, "0-1"),
        ({"properties": ["fast", "^big"]}, "0"),
        ({"properties": ["none"]}, ""),
        ({"properties": []}, "0-3"),
        ({"hostlist": ["fluke[2-9]"]}, "2-3"),
        ({"ranks": ["0", "3-7"]}, "0,3"),
        ({"ranks": "1"}, "1"),
        ({"and": [{"properties": ["big"]}, {"ranks": ["2-3"]}]}, "3"),
        ({"or": [{"properties": ["big"]}, {"ranks": ["2"]}]}, "1-3"),
        ({"not": [{"properties": ["fast", "big"]}]}, "0,2-3"),
        ('{"ranks": ["1"]}', "1"),
    ],
)
def test_what_a_constraint_matches(constraint: Any, ranks: str) -> None:
    assert str(ResourceSet(R).copy_constraint(constraint).ranks) == ranks


@pytest.mark.parametrize(
    ("constraint", "message"),
    [
        ({"foo": []}, "unknown constraint operator: 'foo'"),
        ({}, "one operator"),
        ({"properties": [42]}, "must be a string, not 42"),
        ({"and": {}}, "'and' must be a list"),
        ({"not": []}, "'not' must be a non-empty list"),
        ({"ranks": ["x"]}, "not an idset"),
        ({"hostlist": ["x["]}, "not a list of hosts"),
    ],
)
def test_what_is_no_constraint_is_refused(constraint: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ResourceSet(R).copy_constraint(constraint)


def test_properties_are_given() -> None:
    rset = ResourceSet(R).set_property("all").set_property("fast", "2")
    assert json.loads(rset.get_properties()) == {"fast": "0-2", "big": "1,3", "all": "0-3"}
    with pytest.raises(ValueError, match="ranks 4-6 are not in the resource set"):
        rset.set_property("x", "0-6")
    with pytest.raises(ValueError, match=r"'x\^y' cannot be the name"):
        rset.set_property("x^y")


@pytest.mark.parametrize(
    ("arg", "error", "message"),
    [
        ((1, 2), TypeError, "tuple"),
        ({}, KeyError, "version"),
        ({"version": 199}, ValueError, "version 199 not supported"),
        ("{", ValueError, "Expecting"),
        ({"version": 1, "execution": []}, ValueError, "execution must be an object"),
        ({"version": 1, "execution": {"R_lite": {}}}, ValueError, "R_lite must be a list"),
        (
            {"version": 1, "execution": {"R_lite": [{"rank": "x"}]}},
            ValueError,
            r"execution\.R_lite\[0\]\.rank: not an idset: 'x'",
        ),
        (
            {"version": 1, "execution": {"R_lite": [{"rank": "0", "children": {"core": 3}}]}},
            ValueError,
            r"R_lite\[0\]\.children\.core must be an idset, not 3",
        ),
        (
            {"version": 1, "execution": {"R_lite": [{"rank": "0"}, {"rank": "0-1"}]}},
            ValueError,
            r"R_lite\[1\]\.rank: 0 has been described before",
        ),
        ({"version": 1, "execution": {"nodelist": ["a["]}}, ValueError, "nodelist: not a list"),
        ({"version": 1, "execution": {"starttime": "now"}}, ValueError, "starttime must be"),
    ],
)
def test_what_is_no_resource_set_is_refused(arg: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        ResourceSet(arg)


def test_what_schedulers_keep_is_kept_if_asked() -> None:
    r = {**R, "scheduling": {"graph": []}}
    assert ResourceSet(r).impl.scheduling is None
    kept = ResourceSet(r, keep_scheduling=True)
    assert json.loads(kept.encode())["scheduling"] == {"graph": []}
    assert ResourceSet(Rv1Set(r)).version == 1
