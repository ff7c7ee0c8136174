"""The initial program of an instance that tests start: it keeps the instance alive.

It says how to reach the instance, and ends, and the instance with it, when its standard input
does.  That is a pipe from the tests, and so ends with them however they end.
"""

from __future__ import annotations

import os
import sys


def main() -> None:
    """Tell and wait."""
    sys.stdout.write(f"{os.environ['FLUX_URI']}\n")
    sys.stdout.flush()
    sys.stdin.read()


if __name__ == "__main__":
    main()
