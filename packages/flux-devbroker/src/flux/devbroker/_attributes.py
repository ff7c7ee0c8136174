"""The broker's attributes: which exist, their values, and who may change them."""

from __future__ import annotations

import errno
import re
from fnmatch import fnmatchcase
from typing import Any, Callable

#: Never changes once it has a value, so that a client may remember it.
IMMUTABLE = 1
#: May be set at run time.
RUNTIME = 2
#: May not be set on the command line.
READONLY = 4

#: Least urgent severity of a log line.
MAX_SEVERITY = 7

#: How exactly the broker follows: attribute ``version`` begins with it.
CORE_VERSION = "0.88.0"

#: Of this broker alone: how many bytes may wait for a client that does not read, and for all.
MAX_UNREAD = "devbroker.max-unread"
MAX_UNREAD_TOTAL = "devbroker.max-unread-total"

_IMMUTABLE_VALUES = {
    "broker.boot-method": "single",
    "broker.critical-ranks": "0",
    "broker.mapping": "[[0,1,1,1]]",
    "broker.quorum": "1",
    "broker.quorum-warn": "1m",
    "broker.sd-stop-timeout": "none",
    "broker.shutdown-timeout": "none",
    "broker.shutdown-warn": "1m",
    "instance-level": "0",
    "jobid-path": "/",
    "log-critical-level": "2",
    "log-forward-level": "3",
    "log-level": "7",
    "log-ring-size": "1024",
    "log-stderr-mode": "leader",
    "log-syslog-enable": "0",
    "log-syslog-level": "3",
    "rank": "0",
    "rundir-cleanup": "1",
    "size": "1",
    "statedir-cleanup": "1",
    "tbon.interface-hint": "default-route",
}
_IMMUTABLE_NAMES = (
    MAX_UNREAD,
    MAX_UNREAD_TOTAL,
    "broker.pid",
    "broker.starttime",
    "broker.uuid",
    "config.path",
    "content.hash",
    "hostlist",
    "hostname",
    "jobid",
    "local-uri",
    "parent-kvs-namespace",
    "parent-uri",
    "security.owner",
)
_VALUES = {
    "broker.cleanup-timeout": "none",
    # There are no scripts to name.  Empty stands for a bare broker, as with the original.
    "broker.rc1_path": "built-in",
    "broker.rc3_path": "built-in",
    "broker.unload-builtins-timeout": "1m",
    "conf.shell_initrc": "",
    "conf.shell_pluginpath": "",
    "log-stderr-level": "3",
    "tbon.child_rcvhwm": "0",
    "tbon.connect_timeout": "30s",
    "tbon.descendants": "0",
    "tbon.level": "0",
    "tbon.maxlevel": "0",
    "tbon.prefertcp": "0",
    "tbon.tcp_user_timeout": "20s",
    "tbon.topo": "kary:32",
    "tbon.torpid_max": "30s",
    "tbon.torpid_min": "5s",
    "tbon.zmq_io_threads": "1",
    "tbon.zmqdebug": "0",
    "version": f"{CORE_VERSION}+devbroker",
}
_NAMES = (
    "broker.exit-norestart",
    "broker.exit-restart",
    "broker.module-nopanic",
    "broker.rc2_none",
    "broker.rc2_pgrp",
    "broker.recovery-mode",
    "broker.sd-notify",
    "content.backing-module",
    "content.dump",
    "content.restore",
    "cron.directory",
    "log-filename",
    "rundir",
    "statedir",
    "tbon.endpoint",
    "tbon.fanout",
    "tbon.parent-endpoint",
)
_RUNTIME_NAMES = (
    "broker.exit-restart",
    "broker.module-nopanic",
    "conf.shell_initrc",
    "conf.shell_pluginpath",
    "content.dump",
    "content.restore",
    MAX_UNREAD,
    MAX_UNREAD_TOTAL,
    "log-stderr-level",
)
#: Names that only the broker itself gives a value.
_READONLY_NAMES = (
    "broker.mapping",
    "broker.pid",
    "broker.starttime",
    "broker.uuid",
    "hostlist",
    "instance-level",
    "jobid",
    "jobid-path",
    "parent-kvs-namespace",
    "parent-uri",
    "rank",
    "security.owner",
    "size",
    "tbon.descendants",
    "tbon.level",
    "tbon.maxlevel",
    "version",
)
_PATTERNS = {
    "test.*": RUNTIME,
    "test-nr.*": 0,
    "test-im.*": IMMUTABLE,
    "test-ro.*": READONLY,
    "test-rd.*": RUNTIME,
    "vendor.*": 0,
}


class Attributes:
    """The attributes of one broker.

    Attributes:
        values: Those that have a value.
        changed: Called when one has been set or removed at run time.
    """

    def __init__(self) -> None:
        self._flags = dict.fromkeys((*_IMMUTABLE_VALUES, *_IMMUTABLE_NAMES), IMMUTABLE)
        self._flags.update(dict.fromkeys((*_VALUES, *_NAMES), 0))
        for name in _RUNTIME_NAMES:
            self._flags[name] |= RUNTIME
        for name in _READONLY_NAMES:
            self._flags[name] |= READONLY
        self.values = {**_IMMUTABLE_VALUES, **_VALUES}
        self.changed: Callable[[], Any] = lambda: None

    def flags(self, name: str) -> int | None:
        """Return the flags of a name, or None if there is no such attribute."""
        flags = self._flags.get(name)
        if flags is None:
            for pattern, flags in _PATTERNS.items():
                if fnmatchcase(name, pattern):
                    return flags
            return None
        return flags

    def names(self) -> list[str]:
        """Return the names of those that have a value, and of one that the original adds."""
        return [*self.values, *(name for name in ("parent-uri",) if name not in self.values)]

    def immutable(self) -> dict[str, str]:
        """Return what never changes, for handles that are primed with it."""
        return {
            name: value
            for name, value in self.values.items()
            if (self.flags(name) or 0) & IMMUTABLE
        }

    def preset(self, name: str, value: str) -> None:
        """Set an attribute on the broker's command line.

        Raises:
            ValueError: There is no such attribute, or it cannot be set in this way.
        """
        flags = self.flags(name)
        if flags is None:
            raise ValueError(f"{name}: unknown attribute")
        if flags & READONLY:
            raise ValueError(f"{name}: attribute may not be set on the command line")
        _check(name, value)
        self.values[name] = value

    def set(self, name: str, value: str, force: bool = False) -> None:
        """Set an attribute at run time.

        Args:
            name: Its name.
            value: Its value.
            force: Also where it is not meant to be set at run time.

        Raises:
            OSError: ENOENT, there is no such attribute; EINVAL, it is not to be set at run time,
                or not to that value; EPERM, it never changes.
        """
        flags = self.flags(name)
        if flags is None:
            raise OSError(errno.ENOENT, "unknown attribute")
        if name in self.values:
            if not force and not flags & RUNTIME:
                raise OSError(errno.EINVAL, "attribute may not be updated")
            if flags & IMMUTABLE:
                raise OSError(errno.EPERM, None)
        try:
            _check(name, value)
        except ValueError as exc:
            raise OSError(errno.EINVAL, str(exc)) from None
        self.values[name] = value
        self.changed()

    def remove(self, name: str) -> None:
        """Take an attribute's value away, if it has one.

        Raises:
            OSError: EPERM, it never changes.
        """
        if name in self.values and (self.flags(name) or 0) & IMMUTABLE:
            raise OSError(errno.EPERM, None)
        self.values.pop(name, None)
        self.changed()

    def number(self, name: str, default: int) -> int:
        """Return the value of an attribute that is a number."""
        return int(self.values.get(name, default))


def _check(name: str, value: str) -> None:
    if name == "log-stderr-level" and not (
        re.fullmatch(r"-?[0-9]+", value) and int(value) <= MAX_SEVERITY
    ):
        raise ValueError("invalid level")
    if name in (MAX_UNREAD, MAX_UNREAD_TOTAL) and not re.fullmatch(r"[0-9]{1,18}", value):
        raise ValueError(f"{name}: not a number of bytes: '{value}'")
