"""A directory of the KVS that is being changed, or was not long ago.

The KVS is a hash tree (RFC 11): a directory is named by the hash of its text, and that contains
the names of those below it.  So each change gives all directories above it new names.  Here they
are found only when somebody asks for one, and then without going through the whole text of large
directories: those keep the state of the hash function at regular points, and what changes most
often, recent jobs, comes last in their order.
"""

from __future__ import annotations

import errno
import hashlib
from bisect import bisect_left, insort
from typing import TYPE_CHECKING, Any, Callable, Union

from orjson import dumps, loads

from flux.devbroker._kvs import treeobj
from flux.kvs.treeobj import encode, invalid

if TYPE_CHECKING:
    from flux.devbroker._kvs.store import Store

#: How many entries are between two remembered states of the hash function.
STEP = 64

#: From how many entries on a directory is stored as what has changed in it, and how often in a row
#: before all of it is stored again.
LARGE, MAX_DELTAS = 256, 64

_HEAD, _TAIL = b'{"data":{', b'},"type":"dir","ver":1}'

Entry = Union[bytes, "Directory"]


class Directory:
    """A directory whose entries can be changed.

    It has one place in one tree.  Whoever changes it must `touch` the ones above.

    Args:
        entries: What it contains: fragments and other directories, by name.

    Attributes:
        entries: What it contains.  Changed only by the methods.
        used: When it was last of use, as its user counts.
    """

    __slots__ = (
        "_base",
        "_changed",
        "_deltas",
        "_digest",
        "_open",
        "_order",
        "_states",
        "_stored",
        "_unstored",
        "entries",
        "used",
    )

    def __init__(self, entries: dict[str, Entry] | None = None) -> None:
        self.entries: dict[str, Entry] = {} if entries is None else entries
        self.used = 0
        self._digest: bytes | None = None
        self._stored = False
        # Names of those that may have to be stored, and of all, that are directories here.
        self._unstored: set[str] = set()
        self._open: set[str] = set()
        # Of a large one: the names in order, and the states before the first, STEPth, ... name.
        self._order: list[str] | None = None
        self._states: list[Any] = []
        # Of a large one: how it was last stored, what has changed since, and how often it was
        # stored in this way.
        self._base: bytes | None = None
        self._changed: set[str] = set()
        self._deltas = 0

    @classmethod
    def load(cls, data: bytes) -> Directory:
        """Make a directory of its text.

        Raises:
            OSError: EINVAL, it is not that of a directory.
        """
        try:
            obj = loads(data)
        except ValueError:
            raise invalid() from None
        if treeobj.validate(obj) != "dir":
            raise invalid()
        directory = cls.build(obj["data"], lambda data: None)
        if not directory._open:
            # One with directories in its text is to be stored anew, with references to them.
            directory._digest = hashlib.sha1(data).digest()
            directory._stored = True
        return directory

    @classmethod
    def build(cls, data: dict[str, Any], store: Callable[[bytes], bytes | None]) -> Directory:
        """Make a directory of what a valid tree object has for ``data``.

        Args:
            data: The tree objects in it.
            store: Stores a blob and returns its digest; None to leave a large value as it is.
        """
        directory = cls()
        for name, obj in data.items():
            if obj["type"] == "dir":
                directory.set(name, cls.build(obj["data"], store))
            else:
                directory.entries[name] = fragment_of(obj, store)
        return directory

    # -- changing

    def set(self, name: str, entry: Entry) -> None:
        """Add or replace an entry."""
        if self._order is not None and name not in self.entries:
            insort(self._order, name)
        self.entries[name] = entry
        if entry.__class__ is Directory:
            self._open.add(name)
        else:
            self._open.discard(name)
        self.touch(name)

    def delete(self, name: str) -> None:
        """Remove an entry."""
        self.touch(name)
        if self._order is not None:
            del self._order[bisect_left(self._order, name)]
        del self.entries[name]
        self._open.discard(name)
        self._unstored.discard(name)

    def touch(self, name: str) -> None:
        """Take note that an entry has changed, or something below it."""
        self._digest = None
        self._stored = False
        if name in self._open:
            self._unstored.add(name)
        if self._base is not None:
            self._changed.add(name)
        if self._order is not None:
            del self._states[bisect_left(self._order, name) // STEP + 1 :]

    def open(self, name: str, directory: Directory) -> None:
        """Put a directory where so far there was only a reference to it."""
        self.entries[name] = directory
        self._open.add(name)
        if not directory._stored:
            self._unstored.add(name)

    def collapse(self, before: int) -> None:
        """Replace by references all stored directories below that were not used since."""
        for name in tuple(self._open):
            entry = self.entries[name]
            assert isinstance(entry, Directory)
            if entry.used < before and entry._stored:
                self.entries[name] = treeobj.dirref(entry.digest())
                self._open.discard(name)
            else:
                entry.collapse(before)

    # -- reading

    def digest(self) -> bytes:
        """Return the hash of the directory."""
        if self._digest is None:
            if len(self.entries) > STEP:
                self._digest = self._hash_large()
            else:
                self._order = None
                self._digest = hashlib.sha1(self.text()).digest()
        return self._digest

    def text(self) -> bytes:
        """Return the directory as a fragment, which is also its blob."""
        return b"%b%b%b" % (_HEAD, self._join(sorted(self.entries)), _TAIL)

    def store(self, store: Store, journal: bool) -> None:
        """Store the directory, and all below it, as far as they are not stored yet.

        Args:
            store: Where to.
            journal: Whether they cannot be had from the journal otherwise.
        """
        if self._stored:
            return
        for name in self._unstored:
            entry = self.entries[name]
            if isinstance(entry, Directory):
                entry.store(store, journal)
        self._unstored.clear()
        self._stored = True
        if (
            self._base is not None
            and self._deltas < MAX_DELTAS
            and len(self._changed) * 4 < len(self.entries)
        ):
            names = sorted(self._changed)
            parts = [self._join([n]) if n in self.entries else dumps(n) + b":null" for n in names]
            store.put_delta(self.digest(), self._base, b"{%b}" % b",".join(parts), journal)
            self._deltas += 1
        else:
            store.put(self.text(), journal)
            self._deltas = 0
        self._base = self.digest() if len(self.entries) > LARGE else None
        self._changed.clear()

    def _join(self, names: list[str]) -> bytes:
        entries = self.entries
        parts = []
        for name in names:
            entry = entries[name]
            if isinstance(entry, Directory):
                entry = treeobj.dirref(entry.digest())
            parts.append(b"%b:%b" % (dumps(name), entry))
        return b",".join(parts)

    def _hash_large(self) -> bytes:
        order, states = self._order, self._states
        if order is None:
            order = self._order = sorted(self.entries)
            states[:] = [hashlib.sha1(_HEAD)]
        # One at the very end is of no use: what is added there begins with a comma.
        del states[(len(order) - 1) // STEP + 1 :]
        state = states[-1].copy()
        for start in range((len(states) - 1) * STEP, len(order), STEP):
            if start:
                state.update(b",")
            state.update(self._join(order[start : start + STEP]))
            if start + STEP < len(order):
                states.append(state.copy())
        state.update(_TAIL)
        return bytes(state.digest())


def fragment_of(obj: dict[str, Any], store: Callable[[bytes], bytes | None]) -> bytes:
    """Return a valid tree object other than a ``dir`` as a fragment.

    Args:
        obj: The tree object.
        store: Stores a large value and returns its digest; None to leave it as it is.

    Raises:
        OSError: EPROTO, a large value is not base64.
    """
    if obj["type"] == "val" and len(obj["data"]) > treeobj.MAX_INLINE:
        digest = store(treeobj.decode_val(obj["data"]))
        if digest is not None:
            return treeobj.valref(digest)
    return encode(obj)


def loaded(data: bytes | None) -> Directory:
    """Return the directory with a blob's text.

    Raises:
        OSError: ENOENT, there is no such blob; EINVAL, it is not a directory.
    """
    if data is None:
        raise OSError(errno.ENOENT, "a directory is missing from the content store")
    return Directory.load(data)
