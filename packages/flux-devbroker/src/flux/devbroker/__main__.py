"""The ``flux`` command: ``python -m flux.devbroker``, and as the console script a fallback."""

from __future__ import annotations

import sys

from flux.devbroker._cli import run


def main() -> None:
    """Run the console script ``flux``: another ``flux`` on PATH in its place, or else our own."""
    from flux.devbroker._cli._handover import hand_over

    hand_over(sys.argv)
    sys.exit(run(sys.argv[1:]))


if __name__ == "__main__":
    sys.exit(run(sys.argv[1:]))
