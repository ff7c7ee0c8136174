"""Looking up a key."""

from __future__ import annotations

import errno
from collections import OrderedDict
from typing import Callable

from flux.constants import FLUX_KVS_READDIR, FLUX_KVS_READLINK, FLUX_KVS_TREEOBJ
from flux.devbroker._kvs import treeobj
from flux.devbroker._kvs.directory import Directory, Entry, loaded
from flux.devbroker._kvs.store import Store
from flux.devbroker._kvs.transaction import MAX_LINKS, Namespace

#: Directories kept that were read but are not being changed.
MAX_READ = 64

#: Finds the namespace that a link leads to, or raises OSError.
Follow = Callable[[str], Namespace]


class Reader:
    """Looks up keys.

    Args:
        store: Where the blobs are.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._read: OrderedDict[bytes, Directory] = OrderedDict()

    def directory(self, digest: bytes) -> Directory:
        """Return a directory by its hash, not to be changed.

        Raises:
            OSError: ENOENT, there is none in the store; EINVAL, it is something else.
        """
        directory = self._read.get(digest)
        if directory is None:
            directory = self._read[digest] = loaded(self._store.load(digest))
            if len(self._read) > MAX_READ:
                self._read.popitem(last=False)
        else:
            self._read.move_to_end(digest)
        return directory

    def lookup(self, root: Directory, key: str, flags: int, follow: Follow) -> bytes | None:
        """Look up a key.

        Args:
            root: Where to begin.
            key: The key, normalized.
            flags: ``FLUX_KVS_READDIR``, ``FLUX_KVS_READLINK`` and ``FLUX_KVS_TREEOBJ``; others
                have no meaning here.
            follow: Finds a namespace.

        Returns:
            The tree object as a fragment, with all that it refers to in the store; None if there is
            no such key.

        Raises:
            OSError: It is not of the kind that the flags ask for; or what went wrong on the way.
        """
        if key == ".":
            entry: Entry | None = root
        else:
            entry = self._walk(
                root, key.split("."), not flags & (FLUX_KVS_READLINK | FLUX_KVS_TREEOBJ), follow, 0
            )
        if entry is None:
            return None
        if isinstance(entry, Directory):
            if not flags & (FLUX_KVS_READDIR | FLUX_KVS_TREEOBJ):
                # The cheap case of the same below: nobody gets to see the directory.
                raise OSError(errno.EINVAL if flags & FLUX_KVS_READLINK else errno.EISDIR, None)
            entry.store(self._store, journal=True)
            if flags & FLUX_KVS_TREEOBJ:
                return treeobj.dirref(entry.digest())
            return _checked_directory(entry, flags)
        if flags & FLUX_KVS_TREEOBJ:
            return entry
        kind = treeobj.kind(entry)
        if kind == b"dirref":
            return _checked_directory(self.directory(treeobj.dirref_digest(entry)), flags)
        if kind == b"symlink":
            if flags & FLUX_KVS_READDIR:
                raise OSError(errno.ENOTDIR, None)
            return entry
        if flags & FLUX_KVS_READLINK:
            raise OSError(errno.EINVAL, None)
        if flags & FLUX_KVS_READDIR:
            raise OSError(errno.ENOTDIR, None)
        return entry if kind == b"val" else self.value(treeobj.valref_digests(entry))

    def value(self, digests: list[bytes]) -> bytes:
        """Return blobs one after another as a ``val``.

        Raises:
            OSError: ENOENT, one is missing.
        """
        blobs = [self._store.load(digest) for digest in digests]
        if None in blobs:
            raise OSError(errno.ENOENT, "a value is missing from the content store")
        return treeobj.encode_val(b"".join(blobs))  # type: ignore[arg-type]

    def _walk(
        self, root: Directory, path: list[str], to_end: bool, follow: Follow, links: int
    ) -> Entry | None:
        entry: Entry | None = root
        last = len(path) - 1
        for depth, name in enumerate(path):
            if isinstance(entry, bytes):
                if treeobj.kind(entry) != b"dirref":
                    # Nothing is below a value.
                    return None
                entry = self.directory(treeobj.dirref_digest(entry))
            assert entry is not None
            entry = entry.entries.get(name)
            if entry is None:
                return None
            if (
                (to_end or depth < last)
                and isinstance(entry, bytes)
                and treeobj.kind(entry) == b"symlink"
            ):
                if links == MAX_LINKS:
                    raise OSError(errno.ELOOP, None)
                data = treeobj.data_of(entry)
                name = data.get("namespace")
                start = root if name is None else follow(name).root
                target = treeobj.normalize(data["target"])
                if target == ".":
                    entry = start
                else:
                    entry = self._walk(start, target.split("."), True, follow, links + 1)
                    if entry is None:
                        return None
        return entry


def _checked_directory(directory: Directory, flags: int) -> bytes:
    if flags & FLUX_KVS_READLINK:
        raise OSError(errno.EINVAL, None)
    if not flags & FLUX_KVS_READDIR:
        raise OSError(errno.EISDIR, None)
    return directory.text()


def val_response(fragment: bytes) -> bytes:
    """Return the payload of a lookup's response."""
    return b'{"val":%b}' % fragment
