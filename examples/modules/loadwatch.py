"""Does something at intervals, and takes new settings while it runs.

It looks at the system's load and warns when that is above a limit.  The settings are a table of
the instance's configuration:

    [loadwatch]
    period = 60.0
    limit = 8.0

flux config load takes effect at once, and is refused if the table is wrong.
"""

from __future__ import annotations

import errno
import os
from typing import Any

from flux import Flux
from flux.brokermod import BrokerModule, request_handler
from flux.message import Message


class Settings:
    """The module's table of the configuration."""

    def __init__(self, conf: dict[str, Any]) -> None:
        table = conf.get("loadwatch", {})
        if not isinstance(table, dict):
            raise ValueError("loadwatch must be a table")
        unknown = ", ".join(table.keys() - {"period", "limit"})
        if unknown:
            raise ValueError(f"[loadwatch] has no setting {unknown}")
        self.period = table.get("period", 60.0)
        self.limit = table.get("limit", float(os.cpu_count() or 1))
        for name in ("period", "limit"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, (int, float)) or value <= 0:
                raise ValueError(f"[loadwatch] {name} must be a number above zero")


class LoadWatch(BrokerModule):
    """Samples the load."""

    def __init__(self, h: Flux) -> None:
        super().__init__(h)
        self.settings = Settings(h.conf_get())
        self.samples: list[float] = []
        self.timer = h.timer_watcher_create(0.0, self.sample, repeat=self.settings.period).start()

    def sample(self, *_args: Any) -> None:
        """Look at the load."""
        load = os.getloadavg()[0]
        self.samples = [*self.samples[-9:], load]
        if load > self.settings.limit:
            text = f"the load is {load:.1f}, above {self.settings.limit:g}"
            self.log.warning(text)

    @request_handler("config-reload")
    def config_reload(self, msg: Message) -> None:
        """Take a new configuration, or say what is wrong with it."""
        try:
            self.settings = Settings(msg.payload)
        except ValueError as exc:
            self.handle.respond_error(msg, errno.EINVAL, str(exc))
            return
        self.timer.reset(0.0, self.settings.period)
        self.handle.respond(msg)

    @request_handler("get")
    def get(self, msg: Message) -> None:
        """Return the newest samples."""
        self.handle.respond(msg, {"samples": self.samples, "period": self.settings.period})
