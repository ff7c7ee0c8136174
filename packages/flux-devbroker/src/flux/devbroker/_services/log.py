"""Service ``log``: the ring of recent log lines, and those that follow it."""

from __future__ import annotations

import errno
import os
import re
import sys
import time
from collections import deque
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Callable, NamedTuple

from flux.constants import FLUX_MSGFLAG_STREAMING
from flux.core.handle import Flux
from flux.devbroker._service import Pending, Service, method
from flux.devbroker._unpack import Optional, RequestError, no_payload, unpack
from flux.message import Message

if TYPE_CHECKING:
    from flux.devbroker._instance import Instance

#: Names of the severities, by number.
SEVERITIES = ("emerg", "alert", "crit", "err", "warning", "notice", "info", "debug")

#: Form of the time in a line, for `datetime.strftime`.
TIMESTAMP = "%Y-%m-%dT%H:%M:%S.%fZ"

# RFC 5424 with the rank for a host name; the severity stands where the RFC has the facility.
_LINE = re.compile(r"<(\d{1,3})>1 (\S+) (\S+) (\S+) (\S+) (\S+) (-|\[.*?\])(?: (.*))?", re.DOTALL)
_RANK = re.compile(r"\s*(\d*)")


#: Characters of a line that are kept.  With ``log-ring-size`` lines they bound what the log takes.
MAX_LINE = 8192


class Entry(NamedTuple):
    """One line of the log, taken apart."""

    severity: int
    timestamp: str
    appname: str
    text: str

    def human(self) -> str:
        """Return the line as standard error and ``shutdown.start`` show it."""
        return f"{self.appname}.{SEVERITIES[self.severity]}[0]: {self.text}\n"


def parse_line(text: str) -> Entry | None:
    """Take a log line apart; None if it is not one, or not one of this rank."""
    match = _LINE.fullmatch(text)
    if match is None:
        return None
    rank = _RANK.match(match[3])
    if rank is None or int(rank[1] or "0") != 0:
        return None
    return Entry((int(match[1]) >> 3) & 7, match[2], match[4], match[8] or "")


class LogService(Service):
    """Keeps the last lines and answers with them.

    Attributes:
        listeners: Called with each new entry.
    """

    def __init__(self, h: Flux, instance: Instance) -> None:
        super().__init__(h, instance)
        values = instance.attributes.values
        self._ring: deque[str] = deque(maxlen=int(values["log-ring-size"]))
        self._level = int(values["log-level"])
        self._followers = Pending()
        self._local = 0
        self._remote = 0
        self._count = 0
        self.listeners: list[Callable[[Entry], None]] = []

    def add(self, text: str) -> None:
        """Take a line."""
        if len(text) > MAX_LINE:
            text = f"{text[:MAX_LINE]} [{len(text) - MAX_LINE} characters were left out]"
        entry = parse_line(text)
        if entry is None:
            self._remote += 1
            return
        self._local += 1
        if entry.severity <= self._level:
            self._count += 1
            self._ring.append(text)
            self._followers.respond(self.handle, text)
        if entry.severity <= int(self.instance.attributes.values.get("log-stderr-level", "3")):
            _to_stderr(entry)
        for listener in self.listeners:
            listener(entry)

    def say(self, level: int, text: str, appname: str) -> None:
        """Take what the broker itself has to say, which is then there at once."""
        now = datetime.now(timezone.utc).strftime(TIMESTAMP)
        for line in text.rstrip("\n").split("\n"):
            self.add(f"<{level << 3}>1 {now} 0 {appname} {os.getpid()} - - {line}")

    @method("append")
    def append(self, msg: Message) -> None:
        """Take a line of a client or module."""
        data = msg.data
        if data is None:
            self._remote += 1
        else:
            self.add(data.partition(b"\0")[0].decode("utf-8", "replace"))
        if msg.matchtag:
            self.handle.respond(msg)

    @method("dmesg")
    def dmesg(self, msg: Message) -> None:
        """Answer with the lines in the ring, and on request with those to come."""
        fields = unpack(msg, follow=bool, nobacklog=Optional(bool, False))
        if not msg.bits & FLUX_MSGFLAG_STREAMING:
            raise RequestError(errno.EPROTO)
        if not fields["nobacklog"]:
            for line in self._ring:
                self.handle.respond(msg, line)
        if not fields["follow"]:
            raise RequestError(errno.ENODATA)
        self._followers.add(msg)

    @method("cancel")
    def cancel(self, msg: Message) -> None:
        """End a ``dmesg`` that follows."""
        try:
            matchtag = unpack(msg, matchtag=int)["matchtag"]
        except RequestError:
            return
        request = self._followers.cancelled(msg, matchtag)
        if request is not None:
            self.handle.respond_error(request, errno.ENODATA)

    def disconnect(self, msg: Message) -> None:
        """Forget a client that is gone."""
        self._followers.disconnect(msg)

    @method("clear")
    def clear(self, msg: Message) -> None:
        """Empty the ring."""
        no_payload(msg)
        self._ring.clear()
        self.handle.respond(msg)

    @method("stats-get")
    def stats_get(self, msg: Message) -> None:
        """Answer with how many lines there were."""
        no_payload(msg)
        stats = {
            "ring-used": len(self._ring),
            "count": self._count,
            "local": self._local,
            "remote": self._remote,
        }
        self.handle.respond(msg, stats)

    @method("setattr")
    def setattr(self, msg: Message) -> None:
        """Change ``log-stderr-level``, in the way the original's attr service does."""
        fields = unpack(msg, name=str, value=str)
        try:
            self.instance.attributes.set(fields["name"], fields["value"])
        except OSError as exc:
            raise RequestError(exc.errno or errno.EINVAL, exc.strerror) from None
        self.handle.respond(msg)


def _to_stderr(entry: Entry) -> None:
    try:
        when = datetime.strptime(entry.timestamp, TIMESTAMP)
        local = when.replace(tzinfo=timezone.utc).astimezone()
        stamp = local.strftime("%b %d %H:%M:%S.%f %Z %Y")
    except ValueError:
        stamp = time.strftime("%b %d %H:%M:%S.000000 %Z %Y")
    try:
        sys.stderr.write(f"{stamp} {entry.human()}")
        sys.stderr.flush()
    except (OSError, ValueError):
        # Nobody reads it.
        pass
