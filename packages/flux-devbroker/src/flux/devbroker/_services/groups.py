"""Service ``groups``: groups of broker ranks, here of the one rank that there is."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

from flux.constants import FLUX_MSGFLAG_STREAMING
from flux.core.handle import Flux
from flux.devbroker._service import USER, Pending, Service, method, sender_of
from flux.devbroker._unpack import RequestError, no_payload, unpack
from flux.message import Message

if TYPE_CHECKING:
    from flux.devbroker._instance import Instance

#: Seconds for which the original gathers changes before it makes them known.
BATCH_TIME = 0.1

#: The group of all brokers that are up.
ONLINE = "broker.online"


class Group:
    """One group.

    Attributes:
        joined: Who put this rank into the group, by identity; None if it is not in.
        online: Whether that is known already.
        watchers: Requests to be answered at each change.
    """

    def __init__(self) -> None:
        self.joined: bytes | None = None
        self.online = False
        self.watchers = Pending()

    def members(self) -> dict[str, str]:
        """Return who is in it, as ``groups.get`` answers."""
        return {"members": "0" if self.online else ""}


class GroupsService(Service):
    """Lets clients join and leave groups."""

    def __init__(self, h: Flux, instance: Instance) -> None:
        super().__init__(h, instance)
        self._groups: dict[str, Group] = {}
        self._batch = h.timer_watcher_create(BATCH_TIME, lambda *_args: self._publish())
        online = self._group(ONLINE)
        online.joined, online.online = instance.router.frame, True

    def _group(self, name: str) -> Group:
        group = self._groups.get(name)
        if group is None:
            group = self._groups[name] = Group()
        return group

    @method("join")
    def join(self, msg: Message) -> None:
        """Put this rank into a group."""
        name = unpack(msg, name=str)["name"]
        group = self._group(name)
        if group.joined is not None:
            raise RequestError(errno.EEXIST, f"rank 0 is already a member of {name}")
        group.joined = sender_of(msg)
        self._batch.start()
        self.handle.respond(msg)

    @method("leave")
    def leave(self, msg: Message) -> None:
        """Take this rank out of a group."""
        name = unpack(msg, name=str)["name"]
        group = self._group(name)
        if group.joined is None:
            raise RequestError(errno.ENOENT, f"rank 0 is not a member of {name}")
        group.joined = None
        self._batch.start()
        self.handle.respond(msg)

    @method("get", USER)
    def get(self, msg: Message) -> None:
        """Answer with a group's members, and again at each change if the request is streaming."""
        group = self._group(unpack(msg, name=str)["name"])
        self.handle.respond(msg, group.members())
        if msg.bits & FLUX_MSGFLAG_STREAMING:
            group.watchers.add(msg)

    @method("stats-get", USER)
    def stats_get(self, msg: Message) -> None:
        """Answer with all groups."""
        no_payload(msg)
        subtree = {name: group.members()["members"] for name, group in self._groups.items()}
        self.handle.respond(msg, {"subtree": subtree})

    def disconnect(self, msg: Message) -> None:
        """Forget a client that is gone, and undo what it has joined."""
        sender = sender_of(msg)
        for group in self._groups.values():
            group.watchers.disconnect(msg)
            if group.joined == sender:
                group.joined = None
                self._batch.start()

    def _publish(self) -> None:
        for group in self._groups.values():
            online = group.joined is not None
            if online != group.online:
                group.online = online
                group.watchers.respond(self.handle, group.members())
