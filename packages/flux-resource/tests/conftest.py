"""What the tests share."""

from __future__ import annotations

from scripted import limit

__all__ = ["limit"]
