"""Announces jobs that fail as events of a Flux instance."""

from __future__ import annotations

from pathlib import Path

from flux import Flux

#: The broker module that watches jobs.
MODULE = Path(__file__).with_name("alarm.py")


def load(handle: Flux) -> None:
    """Load the broker module."""
    handle.rpc("module.load", {"path": str(MODULE), "args": []}).get()


def failures(handle: Flux) -> dict[str, int]:
    """Return the status of each job that has failed, by its id."""
    answer: dict[str, int] = handle.rpc("alarm.list").get()
    return answer
