"""``python -m flux.devbroker``: the ``flux`` command, never another one."""

from __future__ import annotations

import sys

from flux.command._main import leave, run

if __name__ == "__main__":
    leave(run(sys.argv[1:]))
