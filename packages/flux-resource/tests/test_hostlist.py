"""Lists of hosts: how they are written, changed and searched, and what is refused."""

from __future__ import annotations

import copy
import errno
import pickle
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flux.hostlist import Hostlist, HostlistIterator, decode
from flux.idset import IDset

HOSTS = st.lists(st.from_regex(r"(a|b|c1x)?(0?[0-9]|1[0-9]|0{0,3}9{1,21})|[de]", fullmatch=True))


@given(HOSTS)
def test_what_is_written_can_be_read(names: list[str]) -> None:
    hosts = Hostlist(names)
    assert list(hosts) == hosts.expand() == list(HostlistIterator(hosts)) == names
    assert len(hosts) == hosts.count() == len(names)
    assert decode(str(hosts)) == hosts
    assert pickle.loads(pickle.dumps(hosts)) == hosts == copy.copy(hosts)


@given(HOSTS, HOSTS)
def test_hosts_come_and_go_as_in_a_list(names: list[str], others: list[str]) -> None:
    hosts = Hostlist(names)
    assert hosts.append(Hostlist(others)) == len(others)
    assert list(hosts) == names + others
    assert hosts.delete(names) == len(names)
    left = names + others
    for name in names:
        left.remove(name)
    assert list(hosts) == left
    assert hosts.uniq() is hosts
    assert len(hosts) == len(set(left))
    assert set(hosts) == set(left)


@given(st.text("ab01[],- \0", max_size=12))
def test_any_text_is_a_list_or_a_value_error(text: str) -> None:
    try:
        hosts = decode(text)
    except ValueError as exc:
        assert repr(text) in str(exc)  # noqa: PT017
    else:
        assert decode(str(hosts)) == hosts


@pytest.mark.parametrize(
    ("text", "hosts", "written"),
    [
        ("foo0,foo1", "foo0 foo1", "foo[0-1]"),
        ("foo[8-10]", "foo8 foo9 foo10", "foo[8-10]"),
        ("foo[08-10]", "foo08 foo09 foo10", "foo[08-10]"),
        ("foo[1,01]", "foo1 foo01", "foo[1,01]"),
        ("foo[1-2]-ib", "foo1-ib foo2-ib", "foo1-ib,foo2-ib"),
        ("foo[3,1,1]", "foo3 foo1 foo1", "foo[3,1,1]"),
        ("[1-2],login", "1 2 login", "[1-2],login"),
        (" a b,,c ", "a b c", "a,b,c"),
    ],
)
def test_how_a_list_is_read_and_written(text: str, hosts: str, written: str) -> None:
    assert list(decode(text)) == hosts.split()
    assert str(decode(text)) == written
    assert repr(decode(text)) == f"Hostlist('{written}')"


def test_indices() -> None:
    hosts = decode("foo[0-9]")
    assert hosts[-1] == "foo9"
    assert str(hosts[1:3]) == "foo[1-2]"
    assert str(hosts[IDset("0-1,7")]) == "foo[0-1,7]"
    assert hosts.index("foo[5,1]") == [5, 1]
    assert hosts.index("foo[9-11]", ignore_nomatch=True) == [9]
    assert hosts.find("foo3") == 3
    assert "foo3" in hosts
    assert "foo" not in hosts
    with pytest.raises(FileNotFoundError, match=r"hosts 'foo\[10-11\]' not found") as caught:
        hosts.index("foo[9-11]")
    assert caught.value.errno == errno.ENOENT
    with pytest.raises(FileNotFoundError, match="host 'bar' not found"):
        hosts.find("bar")
    with pytest.raises(IndexError, match="no host at 10: the Hostlist has 10"):
        hosts[10]
    with pytest.raises(TypeError, match="not 'a'"):
        hosts["a"]  # type: ignore[index]


def test_order_is_by_name_then_number_then_width() -> None:
    assert str(decode("b,a[10,9,2],a,a02").sort()) == "a,a[2,02,9-10],b"


@pytest.mark.parametrize(
    ("arg", "error", "message"),
    [
        ("foo[1-3],bar[x]", ValueError, "at 13: 'x' is not a number or a range"),
        ("foo[3-1]", ValueError, "at 4: the range 3-1 ends before it begins"),
        ("foo[1-3", ValueError, "at 3"),
        ("foo1]", ValueError, "at 4: a ']' without"),
        ("foo[1-2]bar[3]", ValueError, "at 11: a second"),
        ("foo[0-9999999999]", ValueError, "a range may be of 1048576 hosts"),
        ("foo[1]\0", ValueError, "a NUL"),
        (42, TypeError, "not int"),
        (["foo", 42], TypeError, "not int"),
    ],
)
def test_what_is_no_list_is_refused(arg: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        decode(arg)
    hosts = decode("a")
    with pytest.raises(error):
        hosts.append("b", arg)
    assert str(hosts) == "a"
