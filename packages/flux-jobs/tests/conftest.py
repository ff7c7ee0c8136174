"""What the tests share: a development broker, a jobspec of a command."""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator
from typing import Any, Callable

import pytest

from flux.devbroker import Broker
from scripted import limit

__all__ = ["limit"]


@pytest.fixture(scope="session", autouse=True)
def warm() -> None:
    """Have the process that brokers are forked from started before any test."""
    with Broker():
        pass


@pytest.fixture
def broker() -> Iterator[Broker]:
    """Return a broker of the test's own."""
    with Broker() as broker:
        yield broker
    # A thread's reactor closes its selector when it is collected: selectors are in cycles.
    gc.collect()


@pytest.fixture
def jobspec() -> Callable[..., dict[str, Any]]:
    """Return a function from a command to a job of one core."""

    def make(*command: str) -> dict[str, Any]:
        """Return a job of one core."""
        core = {"type": "core", "count": 1}
        slot = {"type": "slot", "count": 1, "label": "task", "with": [core]}
        task = {"command": list(command), "slot": "task", "count": {"per_slot": 1}}
        system = {"duration": 0, "environment": {"PATH": os.environ["PATH"]}}
        return {
            "version": 1,
            "resources": [slot],
            "tasks": [task],
            "attributes": {"system": system},
        }

    return make
