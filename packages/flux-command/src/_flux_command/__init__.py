"""Where the console script ``flux`` begins, before anything of flux.command is imported."""

from __future__ import annotations

from _flux.boot import order_path


def main() -> None:
    """Run the command, with modules of its own whatever PYTHONPATH has."""
    order_path()
    from flux.command.__main__ import main as run

    run()
