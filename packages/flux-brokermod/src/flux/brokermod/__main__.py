"""``python -m flux.brokermod FILE``: load a module for a broker, or attach it to one.

A broker that starts this program says so with ``FLUX_MODULE_URI`` in the environment; then it is
a module loader as ``flux module load --loader=…`` wants one.  Otherwise the module is attached to
the broker that ``FLUX_URI`` names.
"""

from __future__ import annotations

import os
import sys

from flux.brokermod._loader import LoadError, load

_PROGRAM = "flux-brokermod"


def main() -> int:
    """Run the program with the arguments in `sys.argv`, and return its exit status."""
    uri = os.environ.get("FLUX_MODULE_URI")
    try:
        if uri is None:
            return _attach(sys.argv[1:])
        if len(sys.argv) != 2:
            raise LoadError(f"Usage: {_PROGRAM} FILE (FLUX_MODULE_URI is set)")
        load(sys.argv[1], uri)
    except LoadError as exc:
        print(f"{_PROGRAM}: {exc}", file=sys.stderr)
        return 1
    return 0


def _attach(argv: list[str]) -> int:
    # Only here: a module that a broker waits for is to start fast.
    import argparse

    from flux.brokermod._attach import attach

    parser = argparse.ArgumentParser(
        prog=_PROGRAM,
        description="Run a Flux broker module in the foreground, on the broker that FLUX_URI "
        "names.  Ctrl-C unloads it.",
        epilog="With FLUX_MODULE_URI in the environment the program is a module loader instead: "
        f"flux module load --loader=$(command -v {_PROGRAM}) FILE",
    )
    parser.add_argument("--name", help="the module's name; default: the file's up to the first dot")
    parser.add_argument(
        "--reload", action="store_true", help="run the module anew whenever its file changes"
    )
    parser.add_argument("file", metavar="FILE", help="the module's Python file")
    parser.add_argument("args", metavar="ARGS", nargs=argparse.REMAINDER, help="its arguments")
    options = parser.parse_args(argv)
    if options.reload:
        from flux.brokermod._reload import run

        return run(options.file, options.args, options.name)
    return attach(options.file, options.args, options.name)


if __name__ == "__main__":
    sys.exit(main())
