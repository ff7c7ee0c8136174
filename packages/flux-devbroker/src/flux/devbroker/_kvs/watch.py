"""Service ``kvs-watch``: lookups that are answered again whenever the key changes."""

from __future__ import annotations

import errno
from collections.abc import Iterable
from typing import TYPE_CHECKING

from orjson import loads

from flux.constants import (
    FLUX_KVS_STREAM,
    FLUX_KVS_TREEOBJ,
    FLUX_KVS_WAITCREATE,
    FLUX_KVS_WATCH,
    FLUX_KVS_WATCH_APPEND,
    FLUX_KVS_WATCH_FULL,
    FLUX_KVS_WATCH_INITIAL_SENTINEL,
    FLUX_KVS_WATCH_UNIQ,
    FLUX_MSGFLAG_STREAMING,
)
from flux.devbroker._kvs import treeobj
from flux.devbroker._kvs.database import Database, database_of
from flux.devbroker._kvs.lookup import val_response
from flux.devbroker._kvs.transaction import Namespace
from flux.devbroker._service import USER, Service, may_end, method, same_sender
from flux.devbroker._unpack import RequestError, no_payload, unpack
from flux.message import Message

if TYPE_CHECKING:
    from flux.core.handle import Flux
    from flux.devbroker._instance import Instance


class Watcher:
    """One request and how far it has been answered.

    Args:
        msg: The request.
        namespace: The name of the namespace.
        key: The key, normalized.
        flags: The flags of the lookup.
    """

    def __init__(self, msg: Message, namespace: str, key: str, flags: int) -> None:
        self.msg = msg
        self.namespace = namespace
        self.key = key
        self.flags = flags
        self._responded = False
        self._sentinel = not flags & FLUX_KVS_WATCH_INITIAL_SENTINEL
        self._previous: object = None
        # How many blobs have been sent; None if it was a value without any.
        self._blobs = 0

    def look_up(self, db: Database, handle: Flux, namespace: Namespace, initial: bool) -> bool:
        """Look the key up and answer as the flags ask for.

        Returns:
            False once there is nothing more to answer.
        """
        flags = self.flags
        if flags & (FLUX_KVS_WATCH_APPEND | FLUX_KVS_STREAM):
            flags |= FLUX_KVS_TREEOBJ
        try:
            value = db.lookup(namespace.root, self.key, flags, self.msg)
            if value is None:
                # A commit that names the key and leaves none ends the wait for it, too.
                if not initial or not flags & FLUX_KVS_WAITCREATE:
                    raise OSError(errno.ENOENT, None)
                self._send_sentinel(handle)
                return True
            if flags & (FLUX_KVS_WATCH_APPEND | FLUX_KVS_STREAM):
                self._send_blobs(db, handle, value)
            elif not flags & (FLUX_KVS_WATCH_FULL | FLUX_KVS_WATCH_UNIQ) or self._is_new(value):
                handle.respond(self.msg, val_response(value))
            self._responded = True
            if initial:
                self._send_sentinel(handle)
        except RequestError as exc:
            handle.respond_error(self.msg, exc.errno or 0, exc.text)
            return False
        except OSError as exc:
            handle.respond_error(self.msg, exc.errno or 0)
            return False
        if flags & FLUX_KVS_STREAM:
            handle.respond_error(self.msg, errno.ENODATA)
            return False
        once = flags & FLUX_KVS_WAITCREATE and not flags & FLUX_KVS_WATCH
        return not once and bool(self.msg.bits & FLUX_MSGFLAG_STREAMING)

    def _send_sentinel(self, handle: Flux) -> None:
        if not self._sentinel:
            self._sentinel = True
            handle.respond(self.msg)

    def _is_new(self, value: bytes) -> bool:
        # Compared as objects: a val may be written in different ways.
        obj = loads(value)
        new = bool(obj != self._previous)
        self._previous = obj
        return new

    def _send_blobs(self, db: Database, handle: Flux, value: bytes) -> None:
        kind = treeobj.kind(value)
        if kind == b"val" and not self._responded:
            handle.respond(self.msg, val_response(value))
            self._blobs = 1
        elif kind == b"valref":
            count = treeobj.valref_count(value)
            if count < self._blobs:
                text = "key watched with WATCH_APPEND shortened"
                raise RequestError(errno.EINVAL, text)
            for digest in treeobj.valref_digests(value, self._blobs):
                handle.respond(self.msg, val_response(db.reader.value([digest])))
            self._blobs = count
        elif self._responded:
            text = "value of key watched with WATCH_APPEND overwritten"
            raise RequestError(errno.EINVAL, text)
        else:
            what = "watched with WATCH_APPEND" if self.flags & FLUX_KVS_WATCH_APPEND else "streamed"
            text = f"{kind.decode()} cannot be {what}"
            raise RequestError(errno.EISDIR if kind == b"dirref" else errno.EINVAL, text)


class KvsWatchService(Service):
    """Follows keys for its clients."""

    def __init__(self, h: Flux, instance: Instance) -> None:
        super().__init__(h, instance)
        self._db = database_of(instance)
        self._db.listeners.append(self)
        # By namespace and key, and by namespace those that are to see every commit.
        self._table: dict[str, dict[str, list[Watcher]]] = {}

    @method("lookup", USER)
    def lookup(self, msg: Message) -> None:
        """Look a key up, now and when it changes."""
        fields = unpack(msg, namespace=str, key=str, flags=int)
        flags = fields["flags"]
        _check_flags(flags, bool(msg.bits & FLUX_MSGFLAG_STREAMING))
        self._db.settle()
        key = treeobj.normalize(fields["key"])
        watcher = Watcher(msg, fields["namespace"], key, flags)
        try:
            namespace = self._db.namespace(watcher.namespace, msg)
        except OSError as exc:
            if exc.errno != errno.ENOTSUP or not flags & FLUX_KVS_WAITCREATE:
                raise RequestError(exc.errno or 0) from None
            self._add(watcher)
            return
        if watcher.look_up(self._db, self.handle, namespace, initial=True):
            self._add(watcher)

    @method("cancel", USER)
    def cancel(self, msg: Message) -> None:
        """End a lookup that watches."""
        try:
            matchtag = unpack(msg, matchtag=int)["matchtag"]
        except RequestError:
            return
        for watcher in self._all():
            request = watcher.msg
            if request.matchtag == matchtag and same_sender(request, msg) and may_end(request, msg):
                self._remove(watcher)
                self.handle.respond_error(request, errno.ENODATA)
                return

    def disconnect(self, msg: Message) -> None:
        """Forget a client that is gone."""
        for watcher in self._all():
            if same_sender(watcher.msg, msg) and may_end(watcher.msg, msg):
                self._remove(watcher)

    @method("stats-get", USER)
    def stats_get(self, msg: Message) -> None:
        """Answer with the number of watchers."""
        no_payload(msg)
        namespaces = {}
        for name, keys in self._table.items():
            namespace = self._db.namespaces.get(name)
            namespaces[name] = {
                "owner": namespace.owner if namespace else -1,
                "rootseq": namespace.seq if namespace else -1,
                "rootref": namespace.rootref if namespace else "(null)",
                "watchers": sum(map(len, keys.values())),
            }
        stats = {
            "watchers": len(self._all()),
            "namespace-count": len(namespaces),
            "namespaces": namespaces,
        }
        self.handle.respond(msg, stats)

    # -- what becomes of namespaces

    def created(self, namespace: Namespace) -> None:
        """Begin with those that waited for a namespace."""
        for watcher in self._of(namespace.name):
            self._begin(watcher, namespace)

    def changed(self, namespace: Namespace, keys: Iterable[str]) -> None:
        """Answer those whose key was named in a commit."""
        watchers = self._table.get(namespace.name)
        if watchers is None:
            return
        found = [watcher for key in keys for watcher in watchers.get(key, ())]
        found += [
            watcher
            for watcher in self._of(namespace.name)
            if watcher.flags & FLUX_KVS_WATCH_FULL and watcher not in found
        ]
        for watcher in found:
            if not watcher.look_up(self._db, self.handle, namespace, initial=False):
                self._remove(watcher)

    def removed(self, name: str) -> None:
        """End all that watch in a namespace that is gone."""
        for watcher in self._of(name):
            self._remove(watcher)
            self.handle.respond_error(watcher.msg, errno.EOPNOTSUPP)

    def _begin(self, watcher: Watcher, namespace: Namespace) -> None:
        try:
            self._db.namespace(namespace.name, watcher.msg)
        except OSError as exc:
            self._remove(watcher)
            self.handle.respond_error(watcher.msg, exc.errno or 0)
            return
        if not watcher.look_up(self._db, self.handle, namespace, initial=True):
            self._remove(watcher)

    # -- the table of watchers

    def _add(self, watcher: Watcher) -> None:
        keys = self._table.setdefault(watcher.namespace, {})
        keys.setdefault(watcher.key, []).append(watcher)

    def _remove(self, watcher: Watcher) -> None:
        keys = self._table[watcher.namespace]
        keys[watcher.key].remove(watcher)
        if not keys[watcher.key]:
            del keys[watcher.key]
            if not keys:
                del self._table[watcher.namespace]

    def _of(self, namespace: str) -> list[Watcher]:
        keys = self._table.get(namespace, {})
        return [watcher for watchers in keys.values() for watcher in watchers]

    def _all(self) -> list[Watcher]:
        return [watcher for name in self._table for watcher in self._of(name)]


def _check_flags(flags: int, streaming: bool) -> None:
    if flags & FLUX_KVS_WATCH and not streaming:
        raise RequestError(errno.EPROTO, "KVS watch request rejected without streaming RPC flag")
    if flags & FLUX_KVS_STREAM and not streaming:
        raise RequestError(errno.EPROTO, "KVS stream request rejected without streaming RPC flag")
    if flags & FLUX_KVS_WATCH and flags & FLUX_KVS_STREAM:
        raise RequestError(errno.EINVAL, "Cannot KVS watch and stream at the same time")
    if not flags & FLUX_KVS_WATCH and flags & (
        FLUX_KVS_WATCH_FULL
        | FLUX_KVS_WATCH_UNIQ
        | FLUX_KVS_WATCH_APPEND
        | FLUX_KVS_WATCH_INITIAL_SENTINEL
    ):
        raise RequestError(errno.EINVAL, "Must set KVS watch flag with other watch flags")
    if not flags & FLUX_KVS_WATCH_APPEND and flags & FLUX_KVS_WATCH_INITIAL_SENTINEL:
        raise RequestError(
            errno.EINVAL, "Must set KVS watch append flag with initial sentinel flag"
        )
