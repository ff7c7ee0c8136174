"""What tasks write, as the events of ``guest.output`` (RFC 24); and what they may read."""

from __future__ import annotations

import base64
import binascii
from typing import Any

from flux.devbroker._jobs._eventlog import Log, event
from flux.idset import IDset

#: Longest piece of a line that is held back until the rest of the line has come.
MAX_LINE = 64 * 1024

#: Up to this many lines that came together get an event each.
MAX_SPLIT = 16


def output_header(ntasks: int) -> bytes:
    """Return the first line of ``guest.output``."""
    context = {
        "version": 1,
        "encoding": {"stdout": "UTF-8", "stderr": "UTF-8"},
        "count": {"stdout": ntasks, "stderr": ntasks},
        "options": {},
    }
    return event("header", context)


def input_header() -> bytes:
    """Return the first line of ``guest.input``."""
    context = {"version": 1, "encoding": {"stdin": "UTF-8"}, "count": {"stdin": 1}, "options": {}}
    return event("header", context)


def data_event(stream: str, rank: str, data: bytes) -> bytes:
    """Return an event for data of a stream."""
    return event("data", {"stream": stream, "rank": rank, **encoded(data)})


def encoded(data: bytes) -> dict[str, Any]:
    """Return what stands for data in JSON: text, or base64 of what is no UTF-8."""
    try:
        return {"data": data.decode()}
    except UnicodeDecodeError:
        return {"encoding": "base64", "data": base64.b64encode(data).decode()}


class LineBuffer:
    """Turns what comes of one stream of one task into events, whole lines at a time.

    Args:
        log: Where to write.
        stream: The stream's name.
        rank: The task's.
    """

    def __init__(self, log: Log, stream: str, rank: int) -> None:
        self._log = log
        self._stream = stream
        self._rank = str(rank)
        self._rest = b""

    def feed(self, data: bytes) -> None:
        """Take data; nothing stands for the end."""
        if not data:
            self._write(self._rest)
            context = {"stream": self._stream, "rank": self._rank, "eof": True}
            self._log.write(event("data", context))
            return
        if self._rest:
            data = self._rest + data
        end = data.rfind(b"\n") + 1
        if not end and len(data) > MAX_LINE:
            end = len(data)
        self._rest = data[end:]
        whole = data[:end]
        if whole.count(b"\n") <= MAX_SPLIT:
            for line in whole.splitlines(keepends=True) if b"\r" not in whole else [whole]:
                self._write(line)
        else:
            self._write(whole)

    def _write(self, data: bytes) -> None:
        if data:
            self._log.write(data_event(self._stream, self._rank, data))


def input_data(context: dict[str, Any]) -> tuple[bytes, bool]:
    """Return the data in an event for ``guest.input``, and whether there is no more to come.

    Raises:
        ValueError: It is malformed.
    """
    data = context.get("data", "")
    eof = context.get("eof", False)
    if not isinstance(data, str) or not isinstance(eof, bool) or context.get("stream") != "stdin":
        raise ValueError("stream, data or eof is malformed")
    if context.get("encoding") == "base64":
        try:
            return base64.b64decode(data, validate=True), eof
        except binascii.Error as exc:
            raise ValueError(f"data is not base64: {exc}") from None
    return data.encode(), eof


def input_ranks(text: Any, ntasks: int) -> list[int]:
    """Return the tasks that an event for ``guest.input`` is for.

    Raises:
        ValueError: They are not given as "all" or an idset.
    """
    if text == "all":
        return list(range(ntasks))
    if not isinstance(text, str):
        raise ValueError("rank is not a string")
    ranks = IDset(text).expand()
    if ranks[-1] >= ntasks:
        raise ValueError(f"there is no task {ranks[-1]}")
    return ranks
