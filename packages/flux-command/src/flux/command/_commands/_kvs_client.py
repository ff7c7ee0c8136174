"""What the ``flux kvs`` commands ask of the KVS."""

from __future__ import annotations

import argparse
import base64
import json
import os
from typing import Any

from flux.command._common import CommandError, Parser, connect, emit
from flux.constants import FLUX_RPC_STREAMING
from flux.rpc import RPC

#: Flags of lookups, commits and operations.
READDIR, READLINK, WATCH, WAITCREATE, TREEOBJ = 1, 2, 4, 8, 16
WATCH_FULL, WATCH_UNIQ, WATCH_APPEND, STREAM = 64, 128, 256, 512
NO_MERGE, SYNC = 1, 4
APPEND = 32

_WATCHING = WATCH | WAITCREATE | STREAM


class Kvs:
    """A connection, with a namespace and perhaps a root.

    Args:
        namespace: The namespace; that of the environment or ``primary`` if None.
        rootdir: A root to look things up in, as a tree object.

    Attributes:
        handle: The connection.
        namespace: The namespace.
    """

    def __init__(self, namespace: str | None = None, rootdir: Any = None) -> None:
        self.handle = connect()
        self.namespace = namespace or os.environ.get("FLUX_KVS_NAMESPACE") or "primary"
        self._rootdir = rootdir

    def lookup_rpc(self, key: str, flags: int = 0) -> RPC:
        """Begin a lookup."""
        request: dict[str, Any] = {"key": key, "flags": flags}
        if self._rootdir is not None:
            request["rootdir"] = self._rootdir
        else:
            request["namespace"] = self.namespace
        if not flags & _WATCHING:
            return self.handle.rpc("kvs.lookup", request)
        streaming = FLUX_RPC_STREAMING if flags & (WATCH | STREAM) else 0
        return self.handle.rpc("kvs-watch.lookup", request, flags=streaming)

    def lookup(self, key: str, flags: int = 0) -> Any:
        """Return the tree object of a key.

        Raises:
            CommandError: It cannot be looked up.
        """
        return self.get(self.lookup_rpc(key, flags), key)["val"]

    def commit(self, ops: list[dict[str, Any]], flags: int = 0) -> Any:
        """Commit operations and return what the KVS answers.

        Raises:
            CommandError: They cannot be committed.
        """
        request = {"namespace": self.namespace, "flags": flags, "ops": ops}
        return self.get(self.handle.rpc("kvs.commit", request), "flux_kvs_commit")

    def getroot(self) -> Any:
        """Return what the KVS knows of the current root."""
        request = {"namespace": self.namespace, "flags": 0}
        return self.get(self.handle.rpc("kvs.getroot", request), "flux_kvs_getroot")

    def get(self, rpc: RPC, what: str) -> Any:
        """Return an RPC's response.

        Raises:
            CommandError: It failed; the text says of what.
        """
        try:
            return rpc.get()
        except OSError as exc:
            raise CommandError(f"{what}: {exc.strerror}") from None


def operation(key: str, obj: Any, flags: int = 0) -> dict[str, Any]:
    """Return an operation that gives a key a tree object; none removes it."""
    return {"key": key, "flags": flags, "dirent": obj}


def val(data: bytes) -> dict[str, Any]:
    """Return the tree object for a value."""
    return {"ver": 1, "type": "val", "data": base64.b64encode(data).decode()}


def value(obj: Any) -> bytes:
    """Return the value that a ``val`` holds."""
    return base64.b64decode(obj["data"])


def symlink(target: str, namespace: str | None = None) -> dict[str, Any]:
    """Return the tree object for a symbolic link."""
    data = {"target": target}
    if namespace is not None:
        data["namespace"] = namespace
    return {"ver": 1, "type": "symlink", "data": data}


def dirref(rootref: str) -> dict[str, Any]:
    """Return the tree object for a root."""
    return {"data": [rootref], "type": "dirref", "ver": 1}


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


def emit_result(args: argparse.Namespace, result: Any) -> int:
    """Print what the options ask for of a commit's result."""
    if args.treeobj_root:
        emit_json(dirref(result["rootref"]))
    elif args.blobref:
        emit(result["rootref"])
    elif args.sequence:
        emit(str(result["rootseq"]))
    return 0
