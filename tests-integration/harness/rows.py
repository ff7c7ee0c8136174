"""The rows of the table of what flux-core's programs can do on the development broker."""

from __future__ import annotations

import pytest

from harness.results import FAILS, WORKS


def works(name: str, note: str = "") -> pytest.MarkDecorator:
    """Mark a test that shows that a program works.

    Args:
        name: The row of the table.
        note: What works, where that is not all.
    """
    return pytest.mark.command(name, WORKS, note)


def fails(name: str, note: str) -> pytest.MarkDecorator:
    """Mark a test that shows how a program fails.

    Args:
        name: The row of the table.
        note: What happens instead.
    """
    return pytest.mark.command(name, FAILS, note)
