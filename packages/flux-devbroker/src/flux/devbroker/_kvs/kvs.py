"""Service ``kvs``: commits, lookups and namespaces.

Whatever is asked for first has the commits finished that are under way, so nobody sees a root that
is still being made.
"""

from __future__ import annotations

import errno
from collections.abc import Iterable
from typing import TYPE_CHECKING

from flux.constants import FLUX_ROLE_OWNER, FLUX_USERID_UNKNOWN
from flux.devbroker._kvs import treeobj
from flux.devbroker._kvs.commits import Committer, authorize_guest
from flux.devbroker._kvs.database import database_of, operations
from flux.devbroker._kvs.events import Events
from flux.devbroker._kvs.lookup import val_response
from flux.devbroker._kvs.transaction import PRIMARY, Namespace
from flux.devbroker._local import LocalPeer
from flux.devbroker._router import FRAME_SIZE
from flux.devbroker._service import USER, Service, may_end, method, same_sender
from flux.devbroker._unpack import Optional, RequestError, no_payload, unpack
from flux.kvs.treeobj import invalid
from flux.message import Message

if TYPE_CHECKING:
    from flux.core.handle import Flux
    from flux.devbroker._instance import Instance


class KvsService(Service):
    """The key-value store."""

    def __init__(self, h: Flux, instance: Instance) -> None:
        super().__init__(h, instance)
        self._db = database_of(instance)
        self._events = Events(h, instance.router)
        self._commits = Committer(h, self._db, self._events, self._is_own, self.log)
        self._db.settle = self._commits.finish
        self._db.listeners.append(self)
        self._waiting: list[tuple[str, int, Message]] = []

    def _is_own(self, msg: Message) -> bool:
        route = (msg.route or b"")[FRAME_SIZE:]
        return isinstance(self.instance.sender(route), LocalPeer)

    @method("commit", USER)
    def commit(self, msg: Message) -> None:
        """Change a namespace."""
        fields = unpack(msg, ops=object, namespace=str, flags=int)
        ops = operations(fields["ops"])
        if not msg.rolemask & FLUX_ROLE_OWNER:
            authorize_guest(ops)
        try:
            namespace = self._db.namespace(fields["namespace"], msg)
            self._commits.add(msg, namespace, ops, fields["flags"])
        except OSError as exc:
            raise RequestError(exc.errno or errno.EIO) from None

    # -- reading

    @method("getroot", USER)
    def getroot(self, msg: Message) -> None:
        """Answer with the current root of a namespace."""
        name = unpack(msg, namespace=str)["namespace"]
        self._db.settle()
        try:
            namespace = self._db.namespace(name, msg)
        except OSError as exc:
            raise RequestError(exc.errno or errno.EIO) from None
        self._db.expose(namespace)
        response = {
            "owner": namespace.owner,
            "rootseq": namespace.seq,
            "rootref": namespace.rootref,
            "flags": namespace.flags,
            "namespace": namespace.name,
        }
        self.handle.respond(msg, response)

    @method("lookup", USER)
    def lookup(self, msg: Message) -> None:
        """Answer with the value of a key."""
        value = self._look_up(msg)[0]
        if value is None:
            raise RequestError(errno.ENOENT)
        self.handle.respond(msg, val_response(value))

    @method("lookup-plus", USER)
    def lookup_plus(self, msg: Message) -> None:
        """Answer with the value of a key, and the root that it is in."""
        value, rootseq, rootref = self._look_up(msg)
        if value is None:
            missing = {"errno": errno.ENOENT, "rootseq": rootseq, "rootref": rootref}
            self.handle.respond(msg, missing)
            return
        text = b'{"val":%b,"rootseq":%d,"rootref":"%b"}' % (value, rootseq, rootref.encode())
        self.handle.respond(msg, text)

    def _look_up(self, msg: Message) -> tuple[bytes | None, int, str]:
        fields = unpack(
            msg,
            key=str,
            flags=int,
            namespace=Optional(str),
            rootdir=Optional(object),
            rootseq=Optional(int, 0),
        )
        name, rootdir, seq = fields["namespace"], fields["rootdir"], fields["rootseq"]
        if name is None and rootdir is None:
            raise RequestError(errno.EPROTO)
        self._db.settle()
        try:
            if rootdir is not None:
                if treeobj.validate(rootdir) != "dirref":
                    raise invalid()
                ref = rootdir["data"][0]
                root = self._db.reader.directory(treeobj.digest_of(ref))
            else:
                namespace = self._db.namespace(name, msg)
                # The hash of a directory that is being changed is not for free.
                ref = namespace.rootref if msg.topic.endswith("-plus") else ""
                root, seq = namespace.root, namespace.seq
            key = treeobj.normalize(fields["key"])
            return self._db.lookup(root, key, fields["flags"], msg), seq, ref
        except OSError as exc:
            raise RequestError(exc.errno or errno.EIO) from None

    @method("wait-version", USER)
    def wait_version(self, msg: Message) -> None:
        """Answer once a namespace has reached a root sequence number."""
        fields = unpack(msg, rootseq=int, namespace=str)
        self._db.settle()
        try:
            namespace = self._db.namespace(fields["namespace"], msg)
        except OSError as exc:
            raise RequestError(exc.errno or errno.EIO) from None
        self._waiting.append((namespace.name, fields["rootseq"], msg))
        self.changed(namespace, ())

    def changed(self, namespace: Namespace, keys: Iterable[str]) -> None:
        """Answer those who wait for a root, if it is there now."""
        if not self._waiting:
            return
        waiting, self._waiting = self._waiting, []
        for entry in waiting:
            name, seq, msg = entry
            if name == namespace.name and seq <= namespace.seq:
                response = {"rootseq": namespace.seq, "rootref": namespace.rootref}
                self.handle.respond(msg, response)
            else:
                self._waiting.append(entry)

    def created(self, namespace: Namespace) -> None:
        """Nobody can have waited for a root of a new namespace."""

    def removed(self, name: str) -> None:
        """End those who wait for a root of a namespace that is gone."""
        waiting, self._waiting = self._waiting, []
        for entry in waiting:
            if entry[0] == name:
                self.handle.respond_error(entry[2], errno.EOPNOTSUPP)
            else:
                self._waiting.append(entry)

    def disconnect(self, msg: Message) -> None:
        """Forget what a client that is gone waited for."""
        self._waiting = [
            entry
            for entry in self._waiting
            if not (same_sender(entry[2], msg) and may_end(entry[2], msg))
        ]

    # -- namespaces

    @method("namespace-create")
    def namespace_create(self, msg: Message) -> None:
        """Make a namespace."""
        fields = unpack(msg, namespace=str, rootref=str, owner=int, flags=int)
        owner = fields["owner"] & FLUX_USERID_UNKNOWN
        if owner == FLUX_USERID_UNKNOWN:
            owner = self.instance.router.owner
        self._db.settle()
        try:
            namespace = self._db.create(
                fields["namespace"], fields["rootref"], owner, fields["flags"]
            )
        except OSError as exc:
            raise RequestError(exc.errno or errno.EIO) from None
        self._events.created(namespace)
        for listener in self._db.listeners:
            listener.created(namespace)
        self.handle.respond(msg)

    @method("namespace-remove")
    def namespace_remove(self, msg: Message) -> None:
        """Remove a namespace; there need be none."""
        name = unpack(msg, namespace=str)["namespace"]
        if name.lower() == PRIMARY:
            raise RequestError(errno.EOPNOTSUPP)
        self._db.settle()
        if name in self._db.namespaces:
            try:
                self._db.remove(name)
            except OSError as exc:
                raise RequestError(exc.errno or errno.EIO) from None
            self._events.removed(name)
            for listener in self._db.listeners:
                listener.removed(name)
        self.handle.respond(msg)

    @method("namespace-list")
    def namespace_list(self, msg: Message) -> None:
        """Answer with all namespaces."""
        self._db.settle()
        namespaces = [
            {"namespace": ns.name, "owner": ns.owner, "flags": ns.flags}
            for ns in self._db.namespaces.values()
        ]
        self.handle.respond(msg, {"namespaces": namespaces})

    # -- the rest

    @method("stats-get", USER)
    def stats_get(self, msg: Message) -> None:
        """Answer with figures."""
        no_payload(msg)
        self._db.settle()
        zeroes = {"count": 0, "min": 0, "mean": 0.0, "stddev": 0.0, "max": 0}
        stats = {
            "cache": {
                "obj size total (MiB)": 0.0,
                "obj size (KiB)": zeroes,
                "#obj dirty": 0,
                "#obj incomplete": 0,
                "#faults": 0,
            },
            "namespace": {
                ns.name: {
                    "#versionwaiters": sum(entry[0] == ns.name for entry in self._waiting),
                    "#no-op stores": 0,
                    "#transactions": 0,
                    "#readytransactions": 0,
                    "store revision": ns.seq,
                }
                for ns in self._db.namespaces.values()
            },
            "transaction-opcount": {"commit": {**zeroes, "count": self._commits.count}},
            "pending_requests": len(self._waiting),
        }
        self.handle.respond(msg, stats)
