"""SQLite, as the content store uses it."""

from __future__ import annotations

import errno
import sqlite3

#: What marks a database as ours, and says how it is laid out.
APPLICATION_ID, VERSION = 0x466C7578, 1

#: KiB of the database that SQLite keeps in memory.
CACHE_SIZE = 8192

#: Seconds to wait for a broker that is just ending, and then to give up.
LOCK_TIMEOUT = 1.0

_SCHEMA = """
CREATE TABLE blobs (hash BLOB PRIMARY KEY, base BLOB, data BLOB NOT NULL);
CREATE TABLE journal (id INTEGER PRIMARY KEY, kind INTEGER NOT NULL, data BLOB NOT NULL);
CREATE TABLE namespaces (name TEXT PRIMARY KEY, owner INTEGER NOT NULL, flags INTEGER NOT NULL,
    seq INTEGER NOT NULL, root BLOB NOT NULL);
CREATE TABLE checkpoints (id INTEGER PRIMARY KEY, rootref TEXT NOT NULL, seq INTEGER NOT NULL,
    timestamp REAL NOT NULL);
"""


class StoreError(OSError):
    """The database cannot be used."""


def open_sqlite(path: str) -> sqlite3.Connection:
    """Open the database, and make it if it is not there.

    Args:
        path: Where it is; empty for one that ends with the connection.

    Raises:
        StoreError: It cannot be opened, or is another program's or version's.
    """
    try:
        db = sqlite3.connect(path, timeout=LOCK_TIMEOUT, isolation_level=None)
    except sqlite3.Error as exc:
        raise StoreError(None, _refusal(path, exc)) from None
    try:
        _set_up(db, path)
    except sqlite3.Error as exc:
        db.close()
        raise StoreError(None, _refusal(path, exc)) from None
    except BaseException:
        db.close()
        raise
    return db


def _refusal(path: str, exc: sqlite3.Error) -> str:
    text = f"{path}: {exc}"
    if "unable to open" in text or "readonly" in text:
        return f"{text}; attribute statedir has to be a directory that can be written to"
    if "full" in text or "disk I/O" in text:
        return f"{text}; make room there, or choose another place for attribute statedir"
    return text


def _set_up(db: sqlite3.Connection, path: str) -> None:
    execute = db.execute
    [(application,)], [(version,)], [(tables,)] = (
        list(execute("PRAGMA application_id")),
        list(execute("PRAGMA user_version")),
        list(execute("SELECT count(*) FROM sqlite_master")),
    )
    if tables and (application, version) != (APPLICATION_ID, VERSION):
        raise StoreError(None, f"{path}: not a database of this broker's version")
    execute(f"PRAGMA cache_size = -{CACHE_SIZE}")
    if path:
        # Another broker with the same state directory would undo what we do.
        execute("PRAGMA locking_mode = EXCLUSIVE")
        execute("PRAGMA journal_mode = WAL")
        execute("PRAGMA synchronous = NORMAL")
    else:
        execute("PRAGMA journal_mode = MEMORY")
        execute("PRAGMA synchronous = OFF")
    if not tables:
        db.executescript(
            f"BEGIN IMMEDIATE; {_SCHEMA} PRAGMA application_id = {APPLICATION_ID};"
            f"PRAGMA user_version = {VERSION}; COMMIT"
        )


class Transaction:
    """A context that ends with COMMIT, or with ROLLBACK if it is left by an exception."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db

    def __enter__(self) -> None:
        self._db.execute("BEGIN")

    def __exit__(self, exc_type: type[BaseException] | None, *_args: object) -> None:
        if exc_type is None:
            try:
                self._db.execute("COMMIT")
                return
            except sqlite3.Error:
                self._rollback()
                raise
        self._rollback()

    def _rollback(self) -> None:
        # SQLite ends a transaction by itself after some errors.
        if self._db.in_transaction:
            self._db.execute("ROLLBACK")


def os_error(exc: sqlite3.Error) -> OSError:
    """Return the error that stands for one of SQLite."""
    full = "full" in str(exc)
    return OSError(errno.ENOSPC if full else errno.EIO, f"the KVS cannot be written: {exc}")
