"""Service ``overlay``: the tree of brokers, of which this is the only one."""

from __future__ import annotations

import errno
import time

from flux.constants import FLUX_MSGFLAG_STREAMING
from flux.devbroker._service import USER, Service, method
from flux.devbroker._unpack import RequestError, no_payload, unpack
from flux.message import Message


class OverlayService(Service):
    """Answers what a tree of one broker looks like."""

    @method("topology", USER)
    def topology(self, msg: Message) -> None:
        """Answer with the tree below a rank."""
        if unpack(msg, rank=int)["rank"] != 0:
            text = "requested rank is not this broker or its direct child"
            raise RequestError(errno.ENOENT, text)
        self.handle.respond(msg, {"rank": 0, "size": 1, "children": []})

    @method("health", USER)
    def health(self, msg: Message) -> None:
        """Answer with the state of the tree."""
        no_payload(msg)
        duration = time.monotonic() - self.instance.started
        health = {"rank": 0, "status": "full", "duration": duration, "children": []}
        self.handle.respond(msg, health)

    @method("stats-get", USER)
    def stats_get(self, msg: Message) -> None:
        """Answer with counts of what goes over the tree: nothing."""
        no_payload(msg)
        stats = {
            "child-count": 0,
            "child-connected": 0,
            "parent-count": 0,
            "parent-rpc": 0,
            "child-rpc": 0,
            "interthread": {"sendq": 0, "recvq": 0},
        }
        self.handle.respond(msg, stats)

    @method("monitor")
    def monitor(self, msg: Message) -> None:
        """Tell of children that come and go; as there are none, nothing ever."""
        if not msg.bits & FLUX_MSGFLAG_STREAMING:
            raise RequestError(errno.EPROTO)

    @method("disconnect-subtree")
    def disconnect_subtree(self, msg: Message) -> None:
        """Disconnect a child."""
        unpack(msg, rank=int)
        raise RequestError(errno.ENOENT, "requested rank is not this broker's direct child")
