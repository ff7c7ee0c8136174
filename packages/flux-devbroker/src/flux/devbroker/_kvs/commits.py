"""Commits: how they become new roots, and who is told.

Commits that arrive in one turn of the reactor become one new root, and one entry of the journal;
their senders hear of it once that is written.
"""

from __future__ import annotations

import errno
from typing import Any, Callable

from flux.brokermod import BrokerLogger
from flux.constants import FLUX_KVS_NO_MERGE, FLUX_KVS_SYNC, FLUX_MSGFLAG_NORESPONSE
from flux.core.handle import Flux
from flux.devbroker._kvs import store as journal
from flux.devbroker._kvs import treeobj
from flux.devbroker._kvs.database import Database
from flux.devbroker._kvs.events import Events
from flux.devbroker._kvs.transaction import PRIMARY, Namespace, decode_op
from flux.devbroker._unpack import RequestError
from flux.message import Message


class _Batch:
    """What is to become the next root of a namespace."""

    def __init__(self, database: Database, namespace: Namespace) -> None:
        self.namespace = namespace
        self.transaction = database.transaction(namespace)
        self.requests: list[Message] = []
        self.names: list[str] = []

    def wants_response(self) -> bool:
        return not all(msg.bits & FLUX_MSGFLAG_NORESPONSE for msg in self.requests)


class Committer:
    """Takes commits, and answers them when they are durable.

    Args:
        handle: The handle to answer with.
        database: What they change.
        events: Tells others.
        is_own: Tells if a request comes from a part of this broker.
        log: Where to write what goes wrong.

    Attributes:
        count: How many there have been.
    """

    def __init__(
        self,
        handle: Flux,
        database: Database,
        events: Events,
        is_own: Callable[[Message], bool],
        log: BrokerLogger,
    ) -> None:
        self.count = 0
        self._handle = handle
        self._db = database
        self._events = events
        self._is_own = is_own
        self._log = log
        self._batches: dict[str, _Batch] = {}
        self._timer = handle.timer_watcher_create(0.0, lambda *_args: self.finish())

    def add(self, msg: Message, namespace: Namespace, ops: list[Any], flags: int) -> None:
        """Take a commit.

        Args:
            msg: The request.
            namespace: What it changes.
            ops: Its operations.
            flags: ``FLUX_KVS_NO_MERGE`` and ``FLUX_KVS_SYNC``; others have no meaning here.

        Raises:
            OSError: It cannot be made; nothing has changed.
        """
        if flags & FLUX_KVS_SYNC and namespace.name != PRIMARY:
            raise RequestError(errno.EINVAL)
        alone = flags & (FLUX_KVS_NO_MERGE | FLUX_KVS_SYNC)
        if alone:
            self.finish()
        batch = self._batches.get(namespace.name) or _Batch(self._db, namespace)
        self.count += 1
        batch.transaction.apply(ops)
        if not self._batches:
            # In the next turn, when all that has arrived in this one is in the batch.
            self._timer.reset()
        self._batches[namespace.name] = batch
        batch.requests.append(msg)
        batch.names.append(f"transaction_req.0.{self.count - 1}")
        if alone:
            self.finish(sync=bool(flags & FLUX_KVS_SYNC))

    def finish(self, sync: bool = False) -> None:
        """Make durable what there is, and tell everybody.

        Args:
            sync: Make a checkpoint, and wait for the disk.
        """
        if not self._batches:
            return
        batches, self._batches = list(self._batches.values()), {}
        self._timer.stop()
        store = self._db.store
        for batch in batches:
            store.log(journal.COMMITS, b"".join(map(_request, batch.requests)))
            batch.namespace.seq += 1
            if self._is_public(batch):
                batch.namespace.root.store(store, journal=True)
        try:
            if sync:
                self._db.checkpoint(record=True)
            else:
                store.commit()
        except OSError as exc:
            self._fail(batches, exc)
            return
        if sync:
            self._wait_for_disk(batches)
        for batch in batches:
            self._announce(batch)
        if store.due:
            self._checkpoint()

    def _wait_for_disk(self, batches: list[_Batch]) -> None:
        try:
            self._db.store.flush()
        except OSError as exc:
            # It is committed; what was asked for beyond that has failed.
            self._log.error(str(exc.strerror))
            for batch in batches:
                for msg in batch.requests:
                    self._handle.respond_error(msg, exc.errno or errno.EIO, exc.strerror)
                batch.requests.clear()

    def _is_public(self, batch: _Batch) -> bool:
        """Return True if others than the broker's own modules learn of the root.

        They may then ask for what the root refers to.
        """
        return self._events.wants_root(batch.namespace) or not all(
            msg.bits & FLUX_MSGFLAG_NORESPONSE or self._is_own(msg) for msg in batch.requests
        )

    def _fail(self, batches: list[_Batch], exc: OSError) -> None:
        self._log.error(str(exc.strerror))
        for batch in batches:
            batch.transaction.undo()
            batch.namespace.seq -= 1
            for msg in batch.requests:
                self._handle.respond_error(msg, exc.errno or errno.EIO, exc.strerror)

    def _announce(self, batch: _Batch) -> None:
        namespace, keys = batch.namespace, batch.transaction.keys
        self._events.setroot(namespace, batch.names, keys)
        if batch.wants_response():
            response = {"rootref": namespace.rootref, "rootseq": namespace.seq}
            for msg in batch.requests:
                self._handle.respond(msg, response)
        for listener in self._db.listeners:
            listener.changed(namespace, keys)

    def _checkpoint(self) -> None:
        try:
            self._db.checkpoint()
        except OSError as exc:
            # It is all in the journal; the next one may go better.
            self._log.error(str(exc.strerror))


def _request(msg: Message) -> bytes:
    """Return a request as it is in the journal: as it came, up to its first NUL."""
    data = msg.data or b""
    return data[: data.index(0) + 1]


def authorize_guest(ops: list[Any]) -> None:
    """Check that a guest's commit has only values, empty directories and what removes keys.

    Raises:
        RequestError: EPROTO, an operation is malformed; EPERM, it has something else.
    """
    for op in ops:
        try:
            obj = decode_op(op)[2]
        except RequestError:
            raise RequestError(errno.EPROTO, "could not decode commit operation") from None
        if obj is None:
            continue
        try:
            type_ = treeobj.validate(obj)
        except OSError:
            type_ = "???"
        if type_ != "val" and not (type_ == "dir" and not obj["data"]):
            text = f"{'non-empty ' if type_ == 'dir' else ''}{type_}"
            raise RequestError(errno.EPERM, f"guests may not commit {text} objects")
