"""The content store: blobs by hash, and the journal from which a crash is recovered; in SQLite.

What is written at each commit is the commit itself, as one row of the journal.  Blobs, and among
them the directories as they are at that time, follow at a *checkpoint*, all at once and in order
of their hashes; the journal then starts anew.  In between they are in memory.  So a commit costs
the same however much there is already.

Durability: what was answered survives the end of the broker, kill -9 included, because SQLite has
then handed it to the system (write-ahead log, ``synchronous=NORMAL``).  After a crash of the system
the database is sound, but what was committed in the last moments may be missing, except what a
commit with ``FLUX_KVS_SYNC`` waited for.

Without a state directory there is no journal, and SQLite's temporary database is used: in memory
up to `CACHE_SIZE`, and beyond that in a file without a name, which ends with the broker.
"""

from __future__ import annotations

import hashlib
import os
import sqlite3
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from orjson import OPT_SORT_KEYS, dumps, loads

from flux.devbroker._kvs.sqlite import Transaction, open_sqlite, os_error

#: The database's name in the state directory.
FILE = "devbroker-kvs.sqlite"

#: How much may wait for the next checkpoint: journal entries, and bytes of blobs.
MAX_ENTRIES, MAX_BYTES = 2000, 4 << 20

#: Kinds of journal entries.
BLOB, DELTA, COMMITS, CREATE, REMOVE = range(5)


class Root(NamedTuple):
    """A namespace, as it is stored."""

    name: str
    owner: int
    flags: int
    seq: int
    digest: bytes


class Checkpoint(NamedTuple):
    """A root that was on the disk at a certain time."""

    rootref: str
    seq: int
    timestamp: float


class Store:
    """Blobs and the journal.

    Args:
        statedir: The directory for the database; None to keep it to this process.

    Attributes:
        due: Whether it is time for a checkpoint.

    Raises:
        StoreError: The database cannot be opened.
    """

    def __init__(self, statedir: str | None) -> None:
        self._path = "" if statedir is None else os.path.join(statedir, FILE)
        # With the hash of what it is to be applied to, for what is not the blob itself.
        self._blobs: dict[bytes, tuple[bytes | None, bytes]] = {}
        self._journaled: set[bytes] = set()
        self._bytes = 0
        self._entries = 0
        self._rows: list[tuple[int, bytes]] = []
        self._db = open_sqlite(self._path)

    def close(self) -> None:
        """Close the database."""
        self._db.close()

    # -- blobs

    def put(self, data: bytes, journal: bool = False) -> bytes:
        """Store a blob and return its digest.

        Args:
            data: The blob.
            journal: Whether it cannot be had from the journal otherwise; the next `commit` then
                makes it durable.
        """
        digest = hashlib.sha1(data).digest()
        self._put(digest, None, data)
        if journal and digest not in self._journaled:
            self._journaled.add(digest)
            self.log(BLOB, data)
        return digest

    def put_delta(self, digest: bytes, base: bytes, data: bytes, journal: bool) -> None:
        """Store a directory as what is different in it from another one that is stored.

        Args:
            digest: The hash of the directory's text.
            base: The hash of the other one.
            data: JSON object with the entries that are different; null for no such entry.
            journal: As for `put`.
        """
        self._put(digest, base, data)
        if journal and digest not in self._journaled:
            self._journaled.add(digest)
            self.log(DELTA, digest + base + data)

    def _put(self, digest: bytes, base: bytes | None, data: bytes) -> None:
        if digest not in self._blobs:
            self._blobs[digest] = (base, data)
            self._bytes += len(data)

    def load(self, digest: bytes) -> bytes | None:
        """Return a blob, or None if there is none of that digest."""
        found = self._find(digest)
        deltas: list[bytes] = []
        while found is not None:
            base, data = found
            if base is None:
                return _applied(data, deltas) if deltas else data
            deltas.append(data)
            found = self._find(base)
        return None

    def _find(self, digest: bytes) -> tuple[bytes | None, bytes] | None:
        found = self._blobs.get(digest)
        if found is None:
            query = "SELECT base, data FROM blobs WHERE hash = ?"
            found = self._db.execute(query, (digest,)).fetchone()
        return found

    def statistics(self) -> tuple[int, int]:
        """Return the number of blobs that are in memory, and their size in bytes."""
        return len(self._blobs), self._bytes

    # -- the journal

    def log(self, kind: int, data: bytes) -> None:
        """Add an entry to the journal.  The next `commit` makes it durable."""
        self._entries += 1
        if self._path:
            self._rows.append((kind, data))

    def commit(self) -> None:
        """Make durable what was logged.

        Raises:
            OSError: ENOSPC or what else is wrong; then nothing of it is, and all but blobs is
                dropped.
        """
        rows, self._rows = self._rows, []
        if not rows:
            return
        try:
            if len(rows) == 1:
                self._db.execute("INSERT INTO journal (kind, data) VALUES (?, ?)", rows[0])
                return
            with Transaction(self._db):
                self._db.executemany("INSERT INTO journal (kind, data) VALUES (?, ?)", rows)
        except sqlite3.Error as exc:
            self._rows = rows
            self._drop_rows()
            raise os_error(exc) from None

    def _drop_rows(self) -> None:
        self._rows = [row for row in self._rows if row[0] in (BLOB, DELTA)]

    def journal(self) -> Iterator[tuple[int, bytes]]:
        """Return the entries since the last checkpoint."""
        for kind, data in self._db.execute("SELECT kind, data FROM journal ORDER BY id"):
            yield kind, bytes(data)

    # -- checkpoints

    @property
    def due(self) -> bool:
        """Whether it is time for a checkpoint."""
        return self._entries > MAX_ENTRIES or self._bytes > MAX_BYTES

    def checkpoint(self, roots: Iterable[Root], record: Checkpoint | None = None) -> None:
        """Write all blobs, and where the namespaces are, and start the journal anew.

        Args:
            roots: Where the namespaces are.
            record: What to add to the checkpoints that clients see; None for nothing.

        Raises:
            OSError: ENOSPC or what else is wrong; then all is as before, but what was logged since
                the last commit is dropped, except blobs.
        """
        execute = self._db.execute
        try:
            with Transaction(self._db):
                self._db.executemany(
                    "INSERT OR IGNORE INTO blobs VALUES (?, ?, ?)",
                    ((digest, *self._blobs[digest]) for digest in sorted(self._blobs)),
                )
                execute("DELETE FROM namespaces")
                self._db.executemany("INSERT INTO namespaces VALUES (?, ?, ?, ?, ?)", roots)
                execute("DELETE FROM journal")
                if record is not None:
                    execute("INSERT INTO checkpoints VALUES (NULL, ?, ?, ?)", record)
        except sqlite3.Error as exc:
            self._drop_rows()
            raise os_error(exc) from None
        self._blobs.clear()
        self._journaled.clear()
        self._rows.clear()
        self._bytes = self._entries = 0

    def flush(self) -> None:
        """Wait until all that is durable is on the disk.

        Raises:
            OSError: It cannot be written.
        """
        if self._path:
            try:
                self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            except sqlite3.Error as exc:
                raise os_error(exc) from None

    def roots(self) -> list[Root]:
        """Return the namespaces as of the last checkpoint."""
        return [Root(*row) for row in self._db.execute("SELECT * FROM namespaces")]

    def checkpoints(self, limit: int) -> list[Checkpoint]:
        """Return the newest checkpoints that clients asked for."""
        query = "SELECT rootref, seq, timestamp FROM checkpoints ORDER BY id DESC LIMIT ?"
        return [Checkpoint(*row) for row in self._db.execute(query, (limit,))]


def _applied(data: bytes, deltas: list[bytes]) -> bytes:
    """Return a directory's text after changes, of which the last is the first to be made."""
    directory = loads(data)
    entries = directory["data"]
    for delta in reversed(deltas):
        for name, entry in loads(delta).items():
            if entry is None:
                entries.pop(name, None)
            else:
                entries[name] = entry
    return dumps(directory, option=OPT_SORT_KEYS)
