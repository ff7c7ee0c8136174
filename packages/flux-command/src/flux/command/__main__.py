"""The ``flux`` command: ``python -m flux.command``, and as the console script a fallback."""

from __future__ import annotations

import sys

from flux.command._main import leave, run


def main() -> None:
    """Run the console script ``flux``: another ``flux`` on PATH in its place, or else our own."""
    from flux.command._handover import hand_over

    hand_over(sys.argv)
    leave(run(sys.argv[1:]))


if __name__ == "__main__":
    leave(run(sys.argv[1:]))
