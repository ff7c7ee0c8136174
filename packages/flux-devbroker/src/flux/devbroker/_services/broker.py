"""Service ``broker``: the process.  Ping, statistics and debug bits are the standard ones."""

from __future__ import annotations

import errno
import os

from flux.devbroker._service import ALL, Service, method
from flux.devbroker._unpack import RequestError, unpack
from flux.message import Message

#: What ``flux config builtin`` can ask for.  There is no installation behind most of it.
BUILTIN = {"rundir": "/run/flux", "exec_path": "", "module_path": "", "connector_path": ""}


class BrokerService(Service):
    """Answers about the broker's process."""

    @method("getenv")
    def getenv(self, msg: Message) -> None:
        """Answer with those variables of the broker's environment that are set."""
        names = unpack(msg, names=object)["names"]
        env = {}
        # The original takes anything else than an array for an empty one.
        for name in names if isinstance(names, list) else ():
            if isinstance(name, str) and name in os.environ:
                env[name] = os.environ[name]
        self.handle.respond(msg, {"env": env})

    @method("setenv")
    def setenv(self, msg: Message) -> None:
        """Change the environment of what the broker will start; all of it, or nothing."""
        env = unpack(msg, env=dict)["env"]
        for name, value in env.items():
            if not name or "=" in name or "\0" in name:
                raise RequestError(errno.EPROTO)
            if value is not None and (not isinstance(value, str) or "\0" in value):
                raise RequestError(errno.EPROTO)
        for name, value in env.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
        self.handle.respond(msg)

    @method("conf-builtin", ALL)
    def conf_builtin(self, msg: Message) -> None:
        """Answer with values that the original has compiled in."""
        values = {}
        for key in unpack(msg, keys=list)["keys"]:
            if not isinstance(key, str):
                raise RequestError(errno.EPROTO)
            if key not in BUILTIN:
                raise RequestError(errno.EINVAL, f"{key}: invalid key")
            values[key] = BUILTIN[key]
        self.handle.respond(msg, {"values": values})
