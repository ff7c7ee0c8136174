"""What the ``flux kvs`` commands ask of the KVS."""

from __future__ import annotations

import argparse
import json
from typing import Any, Callable, TypeVar

import flux.kvs
from flux.command._common import CommandError, Parser, connect, emit
from flux.kvs import KVSLookupFuture, KVSRoot, KVSTxn
from flux.kvs.treeobj import TreeObject

T = TypeVar("T")


class Kvs:
    """A connection, with a namespace and perhaps a root.

    Args:
        namespace: The namespace; that of the environment or ``primary`` if None.
        rootdir: A root to look things up in, as a tree object.

    Attributes:
        handle: The connection.
        namespace: The namespace, or None.
    """

    def __init__(self, namespace: str | None = None, rootdir: Any = None) -> None:
        self.handle = connect()
        self.namespace = namespace
        self._rootdir = rootdir

    def look_up(self, key: str, flags: int = 0) -> KVSLookupFuture:
        """Begin a lookup.

        Raises:
            CommandError: There can be no such key or root.
        """
        return checked(
            key, lambda: flux.kvs.lookup(self.handle, key, flags, self.namespace, at=self._rootdir)
        )

    def lookup(self, key: str, flags: int = 0) -> TreeObject:
        """Return the tree object of a key.

        Raises:
            CommandError: It cannot be looked up.
        """
        return checked(key, self.look_up(key, flags).get_treeobj)

    def txn(self) -> KVSTxn:
        """Begin a transaction."""
        return KVSTxn(self.handle, namespace=self.namespace)

    def commit(self, txn: KVSTxn, flags: int = 0) -> KVSRoot:
        """Commit a transaction, also an empty one, and return the new root.

        Raises:
            CommandError: It cannot be committed.
        """
        return checked("flux_kvs_commit", lambda: txn.commit_async(flags).get())

    def getroot(self) -> KVSRoot:
        """Return the current root.

        Raises:
            CommandError: There is no such namespace, or it is another user's.
        """
        return checked("flux_kvs_getroot", lambda: flux.kvs.getroot(self.handle, self.namespace))


def checked(what: str, call: Callable[[], T]) -> T:
    """Return what a function returns.

    Raises:
        CommandError: It failed; the text says of what.
    """
    try:
        return call()
    except OSError as exc:
        raise CommandError(f"{what}: {exc.strerror}") from None


def add_namespace(parser: argparse.ArgumentParser) -> None:
    """Declare the option for the namespace."""
    parser.add_argument("-N", "--namespace", metavar="NS", help="namespace to use")


def add_result(parser: Parser) -> None:
    """Declare the options for what to print of a commit's result."""
    add_namespace(parser)
    add = parser.add_argument
    add("-O", "--treeobj-root", action="store_true", help="print the new root as a tree object")
    add("-b", "--blobref", action="store_true", help="print the new root's blobref")
    add("-s", "--sequence", action="store_true", help="print the new root's sequence number")


def emit_json(obj: Any) -> None:
    """Print a tree object."""
    emit(json.dumps(obj, ensure_ascii=False, separators=(",", ":"), sort_keys=True))


def emit_result(args: argparse.Namespace, root: KVSRoot) -> int:
    """Print what the options ask for of the root that a commit made."""
    if args.treeobj_root:
        emit_json(root.treeobj())
    elif args.blobref:
        emit(root.ref)
    elif args.sequence:
        emit(str(root.sequence))
    return 0
