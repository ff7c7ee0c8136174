"""Runs a module of ours as a program, whatever lies in the working directory or on PYTHONPATH.

``python -m NAME`` looks for all modules in the working directory first, and then in PYTHONPATH,
before the standard library: a file named ``json.py`` there would take its place.  So programs of
ours are started as ``python .../_flux/boot.py NAME ARGUMENT...``, see `command`.

Nothing is imported here before the path is put in order, except what every interpreter has
imported by itself.
"""

from __future__ import annotations

import os
import sys


def command(module: str, *args: str) -> list[str]:
    """Return the words that run a module as a program.

    Args:
        module: Its name.
        *args: Its arguments.
    """
    return [sys.executable, os.path.abspath(__file__), module, *args]


def order_path() -> None:
    """Look into the directories of PYTHONPATH last, so that they stand in nobody's way.

    They are still found: modules of the user may be there, and an installation of ours.
    """
    entries = [entry for entry in os.environ.get("PYTHONPATH", "").split(os.pathsep) if entry]
    library = os.path.dirname(os.__file__)
    last = [entry for entry in sys.path if entry in entries and entry != library]
    sys.path[:] = [entry for entry in sys.path if entry not in last] + last


def main() -> None:
    """Run the module that the first argument names."""
    # The directory of this file, which is no place to look for modules.
    if sys.path and os.path.realpath(sys.path[0]) == os.path.dirname(os.path.realpath(__file__)):
        del sys.path[0]
    order_path()
    import runpy

    module = sys.argv[1]
    del sys.argv[1]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
