"""How many of a resource will do."""

from __future__ import annotations

from typing import Any

import pytest

from flux.resource import ResourceCount


@pytest.mark.parametrize(
    ("spec", "counts"),
    [
        (3, [3]),
        (None, [1]),
        ("4", [4]),
        ("2-5", [5, 4, 3, 2]),
        ("[1,7-9]", [9, 8, 7, 1]),
        ("8+", [10, 9, 8]),
        ("2-16:2:*", [8, 4, 2]),
        ({"min": 2, "max": 16, "operand": 2, "operator": "^"}, [4, 2]),
        ({"min": 1, "max": 9, "operand": 4}, [9, 5, 1]),
        ({"min": 9}, [10, 9]),
    ],
)
def test_counts_of_ten(spec: Any, counts: list[int]) -> None:
    count = ResourceCount.from_count_spec(spec)
    assert list(count.valid_counts(10)) == counts
    assert list(count.scaled(3).valid_counts(max(counts) * 3))[-1] == count.min * 3
    assert count.scaled(1) is count


@pytest.mark.parametrize(
    "spec",
    [
        *("", "0", "0-8", "3-2", "x", "1-2x", "2-8:1:*", "2-8:2:/", "2+:2:*", "1-9:2:^", "2-8:0"),
        *(0, -1, 1.5, True, [1], {"min": 0}, {"min": "1"}, {"min": 3, "max": 1}),
    ],
)
def test_what_means_nothing_is_refused(spec: Any) -> None:
    with pytest.raises(ValueError, match=r"count|idset"):
        ResourceCount.from_count_spec(spec)
