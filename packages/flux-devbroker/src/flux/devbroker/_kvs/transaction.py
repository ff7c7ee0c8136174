"""Namespaces, and how a commit changes one: all of its operations, or none."""

from __future__ import annotations

import errno
from typing import Any

from flux.constants import FLUX_KVS_APPEND
from flux.devbroker._kvs import treeobj
from flux.devbroker._kvs.directory import Directory, Entry, fragment_of, loaded
from flux.devbroker._kvs.store import Root, Store
from flux.devbroker._unpack import RequestError, cut
from flux.kvs.treeobj import is_text

#: How many symbolic links may lead from one to the next.
MAX_LINKS = 10

#: The namespace that always exists.
PRIMARY = "primary"


class Namespace:
    """One namespace.

    Args:
        name: Its name.
        owner: Who may use it, besides the instance owner.
        flags: As given when it was created.
        root: The root directory.
        seq: Number of the current root.

    Attributes:
        name: Its name.
        owner: Its owner.
        flags: Its flags.
        root: The root directory.
        seq: Number of the current root, one more for each.
    """

    def __init__(self, name: str, owner: int, flags: int, root: Directory, seq: int = 0) -> None:
        self.name = name
        self.owner = owner
        self.flags = flags
        self.root = root
        self.seq = seq

    @property
    def rootref(self) -> str:
        """The blobref of the root directory."""
        return treeobj.blobref(self.root.digest())

    def stored(self) -> Root:
        """Return what is stored of it at a checkpoint."""
        return Root(self.name, self.owner, self.flags, self.seq, self.root.digest())


def decode_op(op: Any) -> tuple[str, int, Any]:
    """Return key, flags and tree object of an operation.

    Raises:
        RequestError: EPROTO, it is malformed.
    """
    if (
        op.__class__ is not dict
        or len(op) != 3
        or op.get("key").__class__ is not str
        or op.get("flags").__class__ is not int
        or "dirent" not in op
        or not is_text(op["key"])
    ):
        raise RequestError(errno.EPROTO)
    return cut(op["key"]), op["flags"], op["dirent"]


class Transaction:
    """Applies operations to a namespace.

    Args:
        namespace: The namespace.
        store: Where the blobs are.
        now: What to note as the time at which a directory was used.

    Attributes:
        keys: The keys that were changed so far.
    """

    def __init__(self, namespace: Namespace, store: Store, now: int) -> None:
        self.keys: dict[str, None] = {}
        self._namespace = namespace
        self._store = store
        self._now = now
        self._undo: list[tuple[Directory, str, Entry | None]] = []

    def apply(self, ops: list[Any]) -> None:
        """Apply the operations of one commit, in order.

        Raises:
            OSError: One cannot be; then none is.
        """
        mark = len(self._undo)
        try:
            for op in ops:
                key, flags, obj = decode_op(op)
                self._put(treeobj.normalize(key), flags, obj, 0)
        except BaseException:
            self.undo(mark)
            raise
        for op in ops:
            self.keys[treeobj.normalize(op["key"])] = None

    def undo(self, mark: int = 0) -> None:
        """Take back all changes, or those since there were so many."""
        undo = self._undo
        while len(undo) > mark:
            directory, name, entry = undo.pop()
            if entry is not None:
                directory.set(name, entry)
            elif name in directory.entries:
                directory.delete(name)

    def _put(self, key: str, flags: int, obj: Any, links: int) -> None:
        if key == ".":
            raise OSError(errno.EINVAL, "the root cannot be replaced")
        *path, last = key.split(".")
        if len(path) >= treeobj.MAX_DEPTH:
            raise OSError(errno.ENAMETOOLONG, "the key has too many parts")
        directory = self._namespace.root
        trail: list[tuple[Directory, str]] = []
        for depth, name in enumerate(path):
            entry = directory.entries.get(name)
            if entry.__class__ is not Directory:
                link = self._enter(directory, name, entry, obj is None)
                if link is not None:
                    if not link:
                        return
                    rest = ".".join((link, *path[depth + 1 :], last))
                    if links == MAX_LINKS:
                        raise OSError(errno.ELOOP, "too many symbolic links")
                    self._put(treeobj.normalize(rest), flags, obj, links + 1)
                    return
                entry = directory.entries[name]
            trail.append((directory, name))
            directory = entry  # type: ignore[assignment]
            directory.used = self._now
        old = directory.entries.get(last)
        if obj is None:
            if old is None:
                return
            self._undo.append((directory, last, old))
            directory.delete(last)
        else:
            new = self._appended(old, obj) if flags & FLUX_KVS_APPEND else self._entry(obj)
            self._undo.append((directory, last, old))
            directory.set(last, new)
            if new.__class__ is Directory:
                new.used = self._now  # type: ignore[union-attr]
        for above, name in trail:
            above.touch(name)

    def _enter(
        self, directory: Directory, name: str, entry: Entry | None, unlink: bool
    ) -> str | None:
        """Make an entry a directory that can be changed.

        Returns:
            None if it is one now, the target if it is a link, or nothing if there is nothing to
            remove below it.
        """
        if entry is not None:
            assert isinstance(entry, bytes)
            kind = treeobj.kind(entry)
            if kind == b"dirref":
                # Not a change: it is the same in another form.
                directory.open(name, loaded(self._store.load(treeobj.dirref_digest(entry))))
                return None
            if kind == b"symlink":
                data = treeobj.data_of(entry)
                if data.get("namespace", self._namespace.name) != self._namespace.name:
                    raise OSError(errno.EINVAL, "a link to another namespace")
                return str(data["target"])
        if unlink:
            return ""
        self._undo.append((directory, name, entry))
        directory.set(name, Directory())
        return None

    def _entry(self, obj: Any) -> Entry:
        if treeobj.validate(obj) == "dir":
            return Directory.build(obj["data"], self._store.put)
        return fragment_of(obj, self._store.put)

    def _appended(self, old: Entry | None, obj: Any) -> bytes:
        if obj.__class__ is not dict or obj.get("type") != "val":
            raise RequestError(errno.EPROTO)
        treeobj.validate(obj)
        if old is None:
            return fragment_of(obj, self._store.put)
        if not isinstance(old, bytes):
            raise OSError(errno.EISDIR, "cannot append to a directory")
        kind = treeobj.kind(old)
        if kind == b"dirref":
            raise OSError(errno.EISDIR, "cannot append to a directory")
        if kind == b"symlink":
            raise OSError(errno.EOPNOTSUPP, "cannot append to a symbolic link")
        put = self._store.put
        if kind == b"val":
            old = treeobj.valref(put(treeobj.decode_val(treeobj.data_of(old))))
        return treeobj.valref_append(old, put(treeobj.decode_val(obj["data"])))
