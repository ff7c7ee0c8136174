"""The key-value store of a Flux instance: values, directories, transactions, watches, snapshots.

A function that waits has a counterpart whose name ends in ``_async``, which returns a future: to be
awaited, to be called back by with ``then``, or to wait for with ``get``.
"""

from __future__ import annotations

from typing import Any

import flux._ours  # noqa: F401 - refuses another flux
from flux.kvs._commit import commit, commit_async
from flux.kvs._dir import KVSDir, get, get_async, get_dir, get_dir_async
from flux.kvs._future import KVSFuture
from flux.kvs._lookup import (
    KVSLookupFuture,
    exists,
    exists_async,
    get_key_direct,
    isdir,
    isdir_async,
    lookup,
)
from flux.kvs._namespace import (
    dropcache,
    dropcache_async,
    kvs_checkpoint_lookup,
    kvs_checkpoint_lookup_async,
    namespace_create,
    namespace_create_async,
    namespace_list,
    namespace_list_async,
    namespace_remove,
    namespace_remove_async,
)
from flux.kvs._root import KVSRoot, getroot, getroot_async, wait_version, wait_version_async
from flux.kvs._staging import put, put_mkdir, put_symlink, put_unlink
from flux.kvs._txn import KVSTxn
from flux.kvs._values import join
from flux.kvs._walk import walk
from flux.kvs._watch import KVSWatchFuture, WatchImplementation, kvs_watch_async

# Without what is for C code, so that `import *` does not load cffi.
__all__ = [
    "KVSDir",
    "KVSFuture",
    "KVSLookupFuture",
    "KVSRoot",
    "KVSTxn",
    "KVSWatchFuture",
    "WatchImplementation",
    "commit",
    "commit_async",
    "dropcache",
    "dropcache_async",
    "exists",
    "exists_async",
    "get",
    "get_async",
    "get_dir",
    "get_dir_async",
    "get_key_direct",
    "getroot",
    "getroot_async",
    "isdir",
    "isdir_async",
    "join",
    "kvs_checkpoint_lookup",
    "kvs_checkpoint_lookup_async",
    "kvs_watch_async",
    "lookup",
    "namespace_create",
    "namespace_create_async",
    "namespace_list",
    "namespace_list_async",
    "namespace_remove",
    "namespace_remove_async",
    "put",
    "put_mkdir",
    "put_symlink",
    "put_unlink",
    "wait_version",
    "wait_version_async",
    "walk",
]


def __getattr__(name: str) -> Any:
    if name in ("RAW", "KVSWrapper", "ffi"):
        from flux.kvs import _clib

        return getattr(_clib, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
