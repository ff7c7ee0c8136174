"""The ``flux`` command: its commands, and what those that other distributions bring are made of."""

from __future__ import annotations

import flux._ours  # noqa: F401 - refuses another flux
from flux.command._common import CommandError, Parser, connect, emit, say, use_color

__all__ = ["CommandError", "Parser", "connect", "emit", "say", "use_color"]
