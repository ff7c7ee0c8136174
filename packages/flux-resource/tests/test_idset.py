"""Sets of ids: what they are written as, their algebra, and what is refused."""

from __future__ import annotations

import copy
import operator
import pickle
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flux.idset import (
    IDSET_FLAG_BRACKETS,
    IDSET_FLAG_RANGE,
    IDSET_INVALID_ID,
    MAX_ID,
    IDset,
    IDsetIterator,
    decode,
)

# Few and many ranges are read in different ways.
SETS = st.sets(st.integers(0, 300)) | st.sets(st.integers(0, 5000), min_size=80, max_size=120)


@given(SETS)
def test_what_is_written_can_be_read(numbers: set[int]) -> None:
    ids = IDset(numbers)
    assert list(ids) == ids.expand() == list(IDsetIterator(ids)) == sorted(numbers)
    assert len(ids) == ids.count() == len(numbers)
    for flags in range(0, 8, 2):
        assert decode(ids.encode(flags)) == ids
    assert pickle.loads(pickle.dumps(ids)) == ids == copy.copy(ids)


@given(SETS, SETS)
def test_algebra_is_that_of_sets(one: set[int], other: set[int]) -> None:
    for method, work in (
        ("union", operator.or_),
        ("intersect", operator.and_),
        ("difference", operator.sub),
    ):
        expected = IDset(work(one, other))
        assert getattr(IDset(one), method)(other) == expected
        assert work(IDset(one), IDset(other)) == expected
    assert IDset(one) + other == IDset(one).add(other) == IDset(one | other)
    assert IDset(one).subtract(other) == IDset(one - other)
    assert (IDset(one) == IDset(other)) is (one == other)


@given(SETS, st.integers(0, 6000))
def test_neighbours(numbers: set[int], number: int) -> None:
    ids = IDset(numbers)
    assert (number in ids) is ids[number] is ids.test(number) is (number in numbers)
    assert ids.first() == min(numbers, default=IDSET_INVALID_ID)
    assert ids.last() == max(numbers, default=IDSET_INVALID_ID)
    assert ids.next(number) == min((n for n in numbers if n > number), default=IDSET_INVALID_ID)


@given(st.text("0123456789-,[] x", max_size=12))
def test_any_text_is_an_idset_or_a_value_error(text: str) -> None:
    try:
        ids = decode(text)
    except ValueError as exc:
        assert repr(text) in str(exc)  # noqa: PT017
    else:
        assert decode(str(ids)) == ids


@pytest.mark.parametrize(
    ("flags", "text"),
    [
        (IDSET_FLAG_RANGE, "0-2,7"),
        (IDSET_FLAG_RANGE | IDSET_FLAG_BRACKETS, "[0-2,7]"),
        (IDSET_FLAG_BRACKETS, "[0,1,2,7]"),
        (0, "0,1,2,7"),
    ],
)
def test_how_a_set_is_written(flags: int, text: str) -> None:
    ids = IDset([0, 1, 2, 7])
    assert ids.encode(flags) == text
    ids.set_flags(flags)
    assert str(ids) == str(IDset("0-2,7", flags)) == text
    assert repr(ids) == "IDset('0-2,7')"
    assert str(IDset(7, flags)) == "7"


def test_one_id_or_a_span_is_put_in_and_taken_out() -> None:
    ids = IDset()
    assert ids.set(3, 7) is ids
    ids.clear(4, 5).set(20)
    ids[21] = True
    ids[3] = 0
    assert str(ids) == "6-7,20-21"
    with pytest.raises(ValueError, match="ends before it begins: 3 > 2"):
        ids.set(3, 2)
    with pytest.raises(TypeError, match=r"IDset\.clear takes an integer, not str"):
        ids.clear("a")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="set to True, False, 1 or 0"):
        ids[1] = 7
    assert str(ids) == "6-7,20-21"


@pytest.mark.parametrize(
    ("arg", "error", "message"),
    [
        ("1-3,2", ValueError, "at 4: 2 does not come after 3"),
        ("[1,x]", ValueError, "at 3: 'x' is not an id or a range"),
        ("5-3", ValueError, "at 0: the range 5-3 ends before it begins"),
        ("01", ValueError, "at 0: '01' is not an id"),
        (f"1,{MAX_ID + 1}", ValueError, "at 2: no id may be greater than 67108863"),
        ("9" * 5000, ValueError, "no id may be greater"),
        (MAX_ID + 1, ValueError, "greater than any id may be"),
        ([1, -1], ValueError, "cannot be negative: -1"),
        (None, TypeError, "not NoneType"),
        (True, TypeError, "not bool"),
        ([1.5], TypeError, "not float"),
    ],
)
def test_what_is_no_idset_is_refused(arg: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        IDset(arg)


def test_a_set_compares_with_sets_alone_and_has_no_hash() -> None:
    with pytest.raises(TypeError, match="not str"):
        IDset("1") == "1"  # noqa: B015
    with pytest.raises(TypeError, match="unhashable"):
        hash(IDset())
