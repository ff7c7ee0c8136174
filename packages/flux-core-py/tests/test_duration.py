"""Lengths of time as arguments."""

from __future__ import annotations

import math
import selectors
import socket
import threading
from decimal import Decimal
from fractions import Fraction

import pytest

from flux._duration import NO_LIMIT, limit, one_wait, seconds

CENTURY = 100 * 365.25 * 86400


@pytest.mark.parametrize(
    ("value", "number"),
    [
        (0, 0.0),
        (-0.0, 0.0),
        (5, 5.0),
        (0.25, 0.25),
        (True, 1.0),
        (Fraction(1, 2), 0.5),
        (Decimal("2.5"), 2.5),
        (CENTURY, CENTURY),
        (-1, -1.0),
        (1e300, 1e300),
        (2**63, float(2**63)),
        (math.inf, math.inf),
        (-math.inf, -math.inf),
        (10**400, math.inf),
        (-(10**400), -math.inf),
    ],
)
def test_numbers_are_seconds(value, number):
    assert seconds(value, "after") == number


@pytest.mark.parametrize("value", [0, 0.5, 86400, CENTURY])
def test_a_time_that_can_be_waited_for_is_a_limit(value):
    assert limit(value) == value


@pytest.mark.parametrize(
    "value", [-1, -1e-9, -math.inf, math.inf, 1e300, 2**63, 10**400, threading.TIMEOUT_MAX]
)
def test_what_is_negative_or_too_long_is_no_limit(value):
    assert limit(value) == NO_LIMIT < 0


@pytest.mark.parametrize("convert", [seconds, limit])
@pytest.mark.parametrize("value", [math.nan, Decimal("nan")])
def test_nan_is_an_error_that_names_the_argument(convert, value):
    with pytest.raises(ValueError, match=r"start_after is a number of seconds, not .*(nan|NaN)"):
        convert(value, "start_after")


@pytest.mark.parametrize("convert", [seconds, limit])
@pytest.mark.parametrize("value", ["5", b"5", None, [], 1j])
def test_what_is_no_number_is_an_error_that_names_the_argument(convert, value):
    with pytest.raises(TypeError, match="start_after is a number of seconds"):
        convert(value, "start_after")


@pytest.mark.parametrize("left", [None, 0.0, 0.1, 86400.0])
def test_a_short_wait_is_waited_at_once(left):
    assert one_wait(left) == left


@pytest.mark.parametrize("left", [30 * 86400.0, CENTURY, 1e300, math.inf])
def test_a_long_wait_is_cut_to_what_selectors_take(left):
    once = one_wait(left)
    assert once is not None
    assert 20 * 86400 < once < left
    # Something is ready, so that none of them really waits.
    for name in ("PollSelector", "EpollSelector", "SelectSelector"):
        cls = getattr(selectors, name, None)
        if cls is None:
            continue
        ours, theirs = socket.socketpair()
        with ours, theirs, cls() as selector:
            theirs.send(b"x")
            selector.register(ours, selectors.EVENT_READ)
            assert selector.select(once)
