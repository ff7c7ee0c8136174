"""Counts how the jobs of a Flux instance ended."""

from __future__ import annotations

from collections import Counter

import flux
from flux.job.journal import JournalConsumer


def tally(handle: flux.Flux) -> Counter[str]:
    """Return how many jobs have ended so far with which result."""
    results: Counter[str] = Counter()
    with JournalConsumer(handle, include_sentinel=True) as journal:
        for event in journal:
            # Between what has been and what is yet to come.
            if event.is_empty():
                break
            if event.name == "finish":
                results["failed" if event.context["status"] else "completed"] += 1
    return results


def main() -> None:
    """Run the command."""
    for result, count in sorted(tally(flux.Flux()).items()):
        print(f"{count:6} {result}")
