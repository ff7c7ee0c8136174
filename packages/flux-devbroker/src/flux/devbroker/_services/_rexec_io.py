"""I/O objects of RFC 42: what processes write and read."""

from __future__ import annotations

import base64
import binascii
from collections import deque
from typing import Any

#: Bytes of a background process's latest output that are kept for who waits for it.
MAX_TAIL = 64 * 1024


def output_of(stream: str, data: bytes) -> dict[str, Any]:
    """Return the object for what came of a stream; nothing stands for its end."""
    found: dict[str, Any] = {"stream": stream, "rank": "0"}
    if not data:
        found["eof"] = True
        return found
    try:
        found["data"] = data.decode()
    except UnicodeDecodeError:
        found["encoding"] = "base64"
        found["data"] = base64.b64encode(data).decode()
    return found


def input_of(io: Any) -> tuple[bytes, bool]:
    """Return the data in an object, and whether it is the last; nothing of one that is malformed.

    Nobody could be told: requests to write have no answer.
    """
    if not isinstance(io, dict) or io.get("stream") != "stdin":
        return b"", False
    data = io.get("data", "")
    if not isinstance(data, str):
        return b"", False
    if io.get("encoding") != "base64":
        return data.encode("utf-8", "surrogateescape"), io.get("eof") is True
    try:
        return base64.b64decode(data, validate=True), io.get("eof") is True
    except binascii.Error:
        return b"", False


class Tail:
    """The latest of what a process has written."""

    def __init__(self) -> None:
        self._pieces: deque[tuple[str, bytes]] = deque()
        self._size = 0

    def add(self, stream: str, data: bytes) -> None:
        """Take what came of a stream, and forget what is too old."""
        self._pieces.append((stream, data[-MAX_TAIL:]))
        self._size += min(len(data), MAX_TAIL)
        while self._size > MAX_TAIL:
            self._size -= len(self._pieces.popleft()[1])

    @property
    def kept(self) -> list[dict[str, Any]]:
        """What is left, as I/O objects."""
        return [output_of(stream, data) for stream, data in self._pieces]
