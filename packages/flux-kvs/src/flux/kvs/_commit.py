"""Committing what is staged."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flux.constants import FLUX_KVS_APPEND, FLUX_KVS_TXN_COMPACT
from flux.kvs import treeobj
from flux.kvs._future import KVSFuture, namespace_name
from flux.kvs._root import KVSRoot, root_future
from flux.kvs._staging import Operations, Txn, operations

if TYPE_CHECKING:
    from flux.core.handle import Flux

__all__ = ["commit", "commit_async"]


def commit(
    flux_handle: Flux, flags: int = 0, namespace: str | None = None, _kvstxn: Txn = None
) -> KVSRoot | None:
    """Write what is staged: all of it, or nothing if that fails (flux_kvs_commit(3)).

    What was staged for the handle is gone afterwards, also if the commit failed.  What is staged
    in another transaction stays there.

    Args:
        flux_handle: The handle.
        flags: ``FLUX_KVS_NO_MERGE`` to make a root of this commit alone; ``FLUX_KVS_TXN_COMPACT``
            to make one of several appends to the same key; ``FLUX_KVS_SYNC`` to wait until it is
            on the disk, in the primary namespace.
        namespace: The namespace to write to; None for that of the environment variable
            FLUX_KVS_NAMESPACE, or ``primary`` without one.
        _kvstxn: The transaction; None for that of the handle.

    Returns:
        The new root, whose ``sequence`` `wait_version` waits for; None if nothing was staged for
        the handle, and so nothing was sent.

    Raises:
        OSError: EINVAL, it would replace the root, or has a flag that cannot be had here; ENOTSUP,
            there is no such namespace, or a symbolic link was to be appended to; EISDIR, a
            directory was; EPERM, the namespace is another user's; EPROTO, a key or target has no
            form in UTF-8; ECONNRESET, the connection was lost, and nobody knows if before or after
            the commit.
    """
    if _kvstxn is None and not flux_handle.aux_txn:
        return None
    return commit_async(flux_handle, flags, namespace, _kvstxn).get()


def commit_async(
    flux_handle: Flux, flags: int = 0, namespace: str | None = None, _kvstxn: Txn = None
) -> KVSFuture[KVSRoot]:
    """As `commit`, but return a future; where nothing is staged, an empty commit makes a root."""
    ops = operations(flux_handle, _kvstxn)
    if flags & FLUX_KVS_TXN_COMPACT:
        # The only flag that is not the broker's business.
        flags &= ~FLUX_KVS_TXN_COMPACT
        ops = _compacted(ops)
    name = namespace_name(namespace)
    request = {"namespace": name, "flags": flags, "ops": ops}
    # Brokers do not say which of several could not be.
    key = ops[0]["key"] if len(ops) == 1 else None
    future = root_future(flux_handle, "kvs.commit", name, request, key)
    future._links = True
    if _kvstxn is None:
        flux_handle.aux_txn = None
    return future


def _compacted(ops: Operations) -> Operations:
    """Return operations with the appends to each key made one, though not across other changes.

    Those may be of a directory that the key is in, or of what a link in it leads to.
    """
    compact: list[tuple[dict[str, Any], list[bytes]]] = []
    appends: dict[str, list[bytes]] = {}
    for op in ops:
        if not op["flags"] & FLUX_KVS_APPEND:
            appends.clear()
            compact.append((op, []))
            continue
        value = treeobj.decode_val(op["dirent"])
        if op["key"] in appends:
            appends[op["key"]].append(value)
        else:
            values = appends[op["key"]] = [value]
            compact.append((op, values))
    return [
        {**op, "dirent": treeobj.val(b"".join(values))} if len(values) > 1 else op
        for op, values in compact
    ]
