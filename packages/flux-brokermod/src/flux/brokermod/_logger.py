"""`BrokerLogger`: what a module says, filtered by a threshold, to the broker's log."""

from __future__ import annotations

import syslog
from typing import TYPE_CHECKING, ClassVar, Union

if TYPE_CHECKING:
    from flux import Flux

LevelName = Union[int, str]


class BrokerLogger:
    """Logs to the broker: the ring buffer that ``flux dmesg`` shows, and its standard error.

    There is a method for each severity, and the logger may itself be called as
    ``log(level, msg)``, in the way of `flux.Flux.log`.

    Example:
        >>> self.log.level = "info"
        >>> self.log.error(f"cannot read {path}: {exc}")

    Args:
        h: The handle to log on.
    """

    #: Names of the levels, as assigned to `level`.
    LEVEL_NAMES: ClassVar[dict[str, int]] = {
        "emerg": syslog.LOG_EMERG,
        "alert": syslog.LOG_ALERT,
        "crit": syslog.LOG_CRIT,
        "err": syslog.LOG_ERR,
        "warning": syslog.LOG_WARNING,
        "notice": syslog.LOG_NOTICE,
        "info": syslog.LOG_INFO,
        "debug": syslog.LOG_DEBUG,
    }

    def __init__(self, h: Flux) -> None:
        self._h = h
        self._level: int = syslog.LOG_DEBUG

    @property
    def level(self) -> int:
        """The threshold, a ``LOG_*`` number of the syslog module.

        Less urgent messages, whose number is higher, are dropped.  At first it is ``LOG_DEBUG``,
        which drops none and leaves the choice to the broker.  Assign a number or one of
        `LEVEL_NAMES`.

        Raises:
            ValueError: What is assigned is neither.
        """
        return self._level

    @level.setter
    def level(self, value: LevelName) -> None:
        if isinstance(value, str):
            number = self.LEVEL_NAMES.get(value.lower())
            if number is None:
                names = ", ".join(self.LEVEL_NAMES)
                raise ValueError(f"invalid log level {value!r}: expected one of {names}")
            self._level = number
        else:
            try:
                self._level = int(value)
            except (TypeError, ValueError):
                raise ValueError(f"invalid log level {value!r}") from None

    @property
    def level_name(self) -> str:
        """The name of the threshold, or its number as a string if it has no name."""
        for name, number in self.LEVEL_NAMES.items():
            if number == self._level:
                return name
        return str(self._level)

    def __call__(self, level: int, msg: str) -> None:
        """Log a message, unless its level is beyond the threshold.

        Args:
            level: Severity, one of the ``LOG_*`` numbers of the syslog module.
            msg: The text; each line becomes an entry.

        Raises:
            OSError: EPIPE, the connection to the broker is lost.
        """
        if level <= self._level:
            self._h.log(level, msg)

    def debug(self, msg: str) -> None:
        """Log what only someone who looks for a fault wants to read."""
        self(syslog.LOG_DEBUG, msg)

    def info(self, msg: str) -> None:
        """Log what is worth knowing."""
        self(syslog.LOG_INFO, msg)

    def notice(self, msg: str) -> None:
        """Log what is normal but significant."""
        self(syslog.LOG_NOTICE, msg)

    def warning(self, msg: str) -> None:
        """Log what may turn out to be an error."""
        self(syslog.LOG_WARNING, msg)

    def error(self, msg: str) -> None:
        """Log an error."""
        self(syslog.LOG_ERR, msg)

    def critical(self, msg: str) -> None:
        """Log an error that the module cannot live with."""
        self(syslog.LOG_CRIT, msg)

    def alert(self, msg: str) -> None:
        """Log what somebody must act on at once."""
        self(syslog.LOG_ALERT, msg)

    def emerg(self, msg: str) -> None:
        """Log that the system is unusable."""
        self(syslog.LOG_EMERG, msg)
