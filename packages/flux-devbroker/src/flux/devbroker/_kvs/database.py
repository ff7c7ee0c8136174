"""The state that the services ``content``, ``kvs`` and ``kvs-watch`` have in common."""

from __future__ import annotations

import errno
import time
from typing import TYPE_CHECKING, Any, Callable, Protocol

from orjson import dumps, loads

from flux._payload import decode_json
from flux.constants import FLUX_ROLE_OWNER, FLUX_ROLE_USER
from flux.devbroker._kvs import store as journal
from flux.devbroker._kvs import treeobj
from flux.devbroker._kvs.directory import Directory, loaded
from flux.devbroker._kvs.lookup import Reader
from flux.devbroker._kvs.store import Checkpoint, Store
from flux.devbroker._kvs.transaction import PRIMARY, Namespace, Transaction
from flux.kvs.treeobj import is_text

if TYPE_CHECKING:
    from collections.abc import Iterable

    from flux.devbroker._instance import Instance
    from flux.message import Message


EMPTY = Directory()


class Listener(Protocol):
    """Who wants to know what becomes of namespaces."""

    def created(self, namespace: Namespace) -> None:
        """Take note that there is a new namespace."""

    def changed(self, namespace: Namespace, keys: Iterable[str]) -> None:
        """Take note that a namespace has a new root."""

    def removed(self, name: str) -> None:
        """Take note that a namespace is gone."""


class Database:
    """All namespaces, and the store behind them.

    Args:
        statedir: Where to keep them; None to keep them as long as the process lives.
        owner: The instance owner.

    Attributes:
        store: The content store.
        namespaces: The namespaces by name.
        reader: Looks up keys.
        settle: To be called before reading, so that what is read is between two commits.
        listeners: Told of each change, once it is durable.

    Raises:
        StoreError: The database cannot be opened.
        OSError: It is damaged.
    """

    def __init__(self, statedir: str | None, owner: int) -> None:
        self.store = Store(statedir)
        self.reader = Reader(self.store)
        self.namespaces: dict[str, Namespace] = {}
        self.settle: Callable[[], None] = lambda: None
        self.listeners: list[Listener] = []
        self.now = 0
        try:
            for name, uid, flags, seq, digest in self.store.roots():
                root = loaded(self.store.load(digest))
                self.namespaces[name] = Namespace(name, uid, flags, root, seq)
            if PRIMARY not in self.namespaces:
                self.namespaces[PRIMARY] = Namespace(PRIMARY, owner, 0, Directory())
            for kind, data in self.store.journal():
                self._replay(kind, data)
            self.checkpoint()
        except BaseException:
            self.store.close()
            raise

    def _replay(self, kind: int, data: bytes) -> None:
        if kind == journal.BLOB:
            self.store.put(data)
        elif kind == journal.DELTA:
            size = len(EMPTY.digest())
            self.store.put_delta(data[:size], data[size : 2 * size], data[2 * size :], False)
        elif kind == journal.COMMITS:
            # One row for each root: the requests that led to it.
            requests = [decode_json(part + b"\0") for part in data.split(b"\0")[:-1]]
            namespace = self.namespaces[requests[0]["namespace"]]
            transaction = self.transaction(namespace)
            for request in requests:
                transaction.apply(operations(request["ops"]))
            namespace.seq += 1
        elif kind == journal.CREATE:
            self.add(**loads(data))
        else:
            self.namespaces.pop(data.decode(), None)

    def transaction(self, namespace: Namespace) -> Transaction:
        """Begin to change a namespace."""
        return Transaction(namespace, self.store, self.now)

    def add(self, name: str, rootref: str, owner: int, flags: int) -> Namespace:
        """Add a namespace with a given root, which need not be in the store until it is read.

        Raises:
            OSError: EINVAL, it is not a blobref; ENOENT, no such directory is in the store.
        """
        if not treeobj.is_blobref(rootref):
            raise OSError(errno.EINVAL, "invalid rootref")
        digest = treeobj.digest_of(rootref)
        # The empty directory need not have been stored by anyone.
        root = Directory() if digest == EMPTY.digest() else loaded(self.store.load(digest))
        namespace = self.namespaces[name] = Namespace(name, owner, flags, root)
        return namespace

    def create(self, name: str, rootref: str, owner: int, flags: int) -> Namespace:
        """Add a namespace, durably.

        Raises:
            OSError: EEXIST, there is one of this name; EPROTO, it is not text; otherwise as `add`.
        """
        if name in self.namespaces:
            raise OSError(errno.EEXIST, None)
        if not is_text(name):
            raise OSError(errno.EPROTO, None)
        namespace = self.add(name, rootref, owner, flags)
        fields = {"name": name, "rootref": rootref, "owner": owner, "flags": flags}
        self.store.log(journal.CREATE, dumps(fields))
        try:
            self.store.commit()
        except OSError:
            del self.namespaces[name]
            raise
        return namespace

    def remove(self, name: str) -> None:
        """Remove a namespace that exists.

        Raises:
            OSError: It cannot be made durable.
        """
        self.store.log(journal.REMOVE, name.encode())
        self.store.commit()
        del self.namespaces[name]

    def checkpoint(self, record: bool = False) -> None:
        """Write everything, and let go of the memory that it took.

        Args:
            record: Whether clients are to see it among the checkpoints.

        Raises:
            OSError: ENOSPC or what else is wrong; then all is as before, but what was logged and
                not committed is dropped.
        """
        for namespace in self.namespaces.values():
            namespace.root.store(self.store, journal=False)
        primary = self.namespaces[PRIMARY]
        self.store.checkpoint(
            [namespace.stored() for namespace in self.namespaces.values()],
            Checkpoint(primary.rootref, primary.seq, time.time()) if record else None,
        )
        for namespace in self.namespaces.values():
            namespace.root.collapse(self.now)
        self.now += 1

    # -- access

    def namespace(self, name: str, msg: Message) -> Namespace:
        """Return a namespace for the sender of a request.

        Raises:
            OSError: ENOTSUP, there is no such namespace; EPERM, it is not the sender's.
        """
        namespace = self.namespaces.get(name)
        if namespace is None:
            raise OSError(errno.ENOTSUP, None)
        authorize(msg, namespace.owner)
        return namespace

    def lookup(self, root: Directory, key: str, flags: int, msg: Message) -> bytes | None:
        """Look up a key for the sender of a request; see `Reader.lookup`."""
        value = self.reader.lookup(root, key, flags, lambda name: self.namespace(name, msg))
        self._commit_blobs()
        return value

    def expose(self, namespace: Namespace) -> None:
        """Store the current root, for whoever gets to know it may look at it later."""
        namespace.root.store(self.store, journal=True)
        self._commit_blobs()

    def _commit_blobs(self) -> None:
        try:
            self.store.commit()
        except OSError:
            # Reading goes on where nothing can be written: it is in memory, and tried again.
            pass


def authorize(msg: Message, owner: int) -> None:
    """Check that the sender of a request is the instance owner or a certain user.

    Raises:
        OSError: EPERM, it is another user.
    """
    roles = msg.rolemask
    if not roles & FLUX_ROLE_OWNER and not (roles & FLUX_ROLE_USER and msg.userid == owner):
        raise OSError(errno.EPERM, None)


def operations(ops: Any) -> list[Any]:
    """Return the operations of a commit; what is no array has none."""
    return ops if ops.__class__ is list else []


def open_database(instance: Instance) -> Database:
    """Open the database of a broker.

    Raises:
        StoreError: It cannot be opened.
    """
    values = instance.attributes.values
    # Without a state directory of its own, the broker has the one that ends with it.
    statedir = values["statedir"] if values["statedir"] != values["rundir"] else None
    database = _databases[instance] = Database(statedir, instance.router.owner)
    return database


def database_of(instance: Instance) -> Database:
    """Return the database of a broker, which the service ``content`` has opened."""
    return _databases[instance]


def close_database(instance: Instance) -> None:
    """Write what is not yet in its place, and close the database of a broker."""
    database = _databases.pop(instance)
    database.settle()
    try:
        database.checkpoint()
    except OSError:
        # It is all in the journal.
        pass
    database.store.close()


_databases: dict[Instance, Database] = {}
