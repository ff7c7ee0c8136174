"""Staging changes, to be committed all at once or not at all."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Union

from flux.kvs import treeobj
from flux.kvs._values import check_key, encode_raw, encode_value
from flux.kvs.treeobj import TreeObject

if TYPE_CHECKING:
    from flux.core.handle import Flux
    from flux.kvs._txn import KVSTxn

__all__ = ["put", "put_mkdir", "put_symlink", "put_unlink"]

#: The operations of a transaction as they are sent: key, flags and tree object, or None to unlink.
Operations = list[dict[str, Any]]

#: Where a function stages a change: a transaction, its ``txn``, or None for that of the handle.
Txn = Union["KVSTxn", Operations, None]


def operations(flux_handle: Flux | None, txn: Txn) -> Operations:
    """Return what a function has to stage a change in.

    Raises:
        ValueError: There is neither a handle nor a transaction.
        TypeError: The transaction is something else.
    """
    if txn is None:
        if flux_handle is None:
            raise ValueError("a change is staged for a Flux handle, or in a KVSTxn")
        if flux_handle.aux_txn is None:
            flux_handle.aux_txn = []
        txn = flux_handle.aux_txn
    ops = getattr(txn, "txn", txn)
    if not isinstance(ops, list):
        raise TypeError(f"_kvstxn is a KVSTxn or the txn of one, not {txn!r}")
    return ops


def stage(ops: Operations, key: str, obj: TreeObject | None, flags: int = 0) -> None:
    """Stage a tree object for a key, or None to remove it.

    Raises:
        TypeError: The key is not a string.
        OSError: EINVAL, there can be no such key.
    """
    ops.append({"key": check_key(key), "flags": flags, "dirent": obj})


def put(
    flux_handle: Flux | None, key: str, value: Any, _kvstxn: Txn = None, raw: bool = False
) -> None:
    """Stage a value, to be written by `commit`.

    Args:
        flux_handle: The handle.
        key: The key; the directories that it is in are made where there are none.
        value: Anything that has a form in JSON; or bytes, which are stored as they are.
        raw: Store bytes or a str as they are, and not as JSON.
        _kvstxn: The transaction to stage it in; None for that of the handle.

    Raises:
        TypeError: The value has no form in JSON, or with ``raw`` is neither bytes nor str (this
            one is an AttributeError, too); the key is not a string.
        OSError: EINVAL, there can be no such key.
    """
    data = encode_raw(key, value) if raw else encode_value(key, value)
    stage(operations(flux_handle, _kvstxn), key, treeobj.val(data))


def put_mkdir(flux_handle: Flux | None, key: str, _kvstxn: Txn = None) -> None:
    """Stage an empty directory, in the place of what there is.

    Args:
        flux_handle: The handle.
        key: The key.
        _kvstxn: The transaction to stage it in; None for that of the handle.

    Raises:
        TypeError: The key is not a string.
        OSError: EINVAL, there can be no such key.
    """
    stage(operations(flux_handle, _kvstxn), key, treeobj.directory())


def put_unlink(flux_handle: Flux | None, key: str, _kvstxn: Txn = None) -> None:
    """Stage that a key is removed, with all that is below; there need be none.

    Args:
        flux_handle: The handle.
        key: The key.
        _kvstxn: The transaction to stage it in; None for that of the handle.

    Raises:
        TypeError: The key is not a string.
        OSError: EINVAL, there can be no such key.
    """
    stage(operations(flux_handle, _kvstxn), key, None)


def put_symlink(
    flux_handle: Flux | None,
    key: str,
    target: str,
    _kvstxn: Txn = None,
    *,
    target_namespace: str | None = None,
) -> None:
    """Stage a symbolic link.

    Args:
        flux_handle: The handle.
        key: The key.
        target: The key that it leads to, from the root on; there need be none.
        _kvstxn: The transaction to stage it in; None for that of the handle.
        target_namespace: The namespace of the target; None for the one that the link is in.

    Raises:
        TypeError: The key or the target is not a string.
        OSError: EINVAL, there can be no such key.
    """
    for name in (target, target_namespace or ""):
        if not isinstance(name, str):
            raise TypeError(f"the target of a KVS symbolic link is a str, not {name!r}")
    ops = operations(flux_handle, _kvstxn)
    stage(ops, key, treeobj.symlink(target, target_namespace))
