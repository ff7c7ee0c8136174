"""The tests use development brokers, by the fixtures of their plugin and by themselves."""

from __future__ import annotations

import pytest


@pytest.fixture(scope="session", autouse=True)
def _warm(_flux_warm_parent: None) -> None:
    """For tests that make brokers themselves."""
