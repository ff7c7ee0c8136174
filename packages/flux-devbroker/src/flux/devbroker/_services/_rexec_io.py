"""I/O objects of RFC 42: what processes write and read."""

from __future__ import annotations

from collections import deque
from typing import Any

from flux.devbroker._jobs._output import encoded, input_data

#: Bytes of a background process's latest output that are kept for who waits for it.
MAX_TAIL = 64 * 1024


def output_of(stream: str, data: bytes) -> dict[str, Any]:
    """Return the object for what came of a stream; nothing stands for its end."""
    return {"stream": stream, "rank": "0", **(encoded(data) if data else {"eof": True})}


def input_of(io: Any) -> tuple[bytes, bool]:
    """Return the data in an object, and whether it is the last; nothing of one that is malformed.

    Nobody could be told: requests to write have no answer.
    """
    try:
        return input_data(io) if isinstance(io, dict) else (b"", False)
    except ValueError:
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
