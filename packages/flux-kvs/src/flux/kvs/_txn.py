"""Transactions: changes that are staged, and then committed all at once or not at all."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING, Any, Union

from flux.constants import FLUX_KVS_APPEND, FLUX_KVS_TXN_COMPACT
from flux.kvs import treeobj
from flux.kvs._future import KVSFuture, namespace_name
from flux.kvs._root import KVSRoot, root_future
from flux.kvs._values import check_key, encode_raw, encode_value, prefix_of
from flux.kvs.treeobj import TreeObject

if TYPE_CHECKING:
    from typing_extensions import Self

    from flux.core.handle import Flux

__all__ = [
    "KVSTxn",
    "commit",
    "commit_async",
    "put",
    "put_mkdir",
    "put_symlink",
    "put_unlink",
]

#: The operations of a transaction as they are sent: key, flags and tree object, or None to unlink.
Operations = list[dict[str, Any]]


class KVSTxn:
    """A transaction of one's own, beside the one that each handle has.

    As a context manager, also of ``async with``, it commits on exit, be it by an exception.

    Example:
        >>> with KVSTxn(handle, "jobs.f1") as txn:
        ...     txn.put("state", "done")

    Args:
        flux_handle: The handle.
        path: The directory that keys are relative to.
        namespace: The namespace to write to; None for that of the environment variable
            FLUX_KVS_NAMESPACE, or ``primary`` without one.

    Attributes:
        fhdl: The handle.
        path: The directory.
        namespace: The namespace.
        txn: What is staged.
    """

    def __init__(
        self, flux_handle: Flux | None = None, path: str = ".", namespace: str | None = None
    ) -> None:
        self.fhdl = flux_handle
        self.path = path
        self.namespace = namespace
        self.txn: Operations = []
        self._path = prefix_of(path)

    def _full(self, key: str) -> str:
        """Return the key from the root on."""
        return self._path + check_key(key)

    def put(self, key: str, value: Any, raw: bool = False) -> None:
        """Stage a value; see `flux.kvs.put`."""
        put(self.fhdl, self._full(key), value, _kvstxn=self.txn, raw=raw)

    def append(self, key: str, value: bytes | str) -> None:
        """Stage bytes, or text, to add to the end of a value; there need be none yet.

        Raises:
            TypeError: The value is neither bytes nor str, or the key no str.
            OSError: EINVAL, there can be no such key.
        """
        key = self._full(key)
        _stage(self.txn, key, treeobj.val(encode_raw(key, value)), FLUX_KVS_APPEND)

    def put_treeobj(self, key: str, obj: TreeObject) -> None:
        """Stage a tree object as it is (RFC 11): with a ``dirref``, a copy of a whole directory.

        Raises:
            TypeError: The key is not a string.
            OSError: EINVAL, it is no tree object, or there can be no such key.
        """
        treeobj.validate(obj)
        _stage(self.txn, self._full(key), obj)

    def mkdir(self, key: str) -> None:
        """Stage an empty directory, in the place of what there is."""
        put_mkdir(self.fhdl, self._full(key), _kvstxn=self.txn)

    def unlink(self, key: str) -> None:
        """Stage that a key is removed, with all that is below; there need be none."""
        put_unlink(self.fhdl, self._full(key), _kvstxn=self.txn)

    def symlink(self, key: str, target: str, *, target_namespace: str | None = None) -> None:
        """Stage a symbolic link; see `flux.kvs.put_symlink`."""
        put_symlink(
            self.fhdl,
            self._full(key),
            target,
            _kvstxn=self.txn,
            target_namespace=target_namespace,
        )

    def clear(self) -> None:
        """Forget what is staged."""
        self.txn.clear()

    def commit(self, flags: int = 0) -> KVSRoot | None:
        """Commit what is staged; see `flux.kvs.commit`.

        Nothing is staged afterwards, also if the commit failed.
        """
        return self.commit_async(flags).get() if self.txn else None

    def commit_async(self, flags: int = 0) -> KVSFuture[KVSRoot]:
        """As `commit`, but return a future; an empty transaction is committed, too."""
        if self.fhdl is None:
            raise ValueError("a KVS transaction without a Flux handle cannot be committed")
        try:
            return commit_async(self.fhdl, flags, self.namespace, _kvstxn=self.txn)
        finally:
            self.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.commit()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_exc: object) -> None:
        if self.txn:
            await self.commit_async()


#: Where a function stages a change: a transaction, its ``txn``, or None for that of the handle.
Txn = Union[KVSTxn, Operations, None]


def _operations(flux_handle: Flux | None, txn: Txn) -> Operations:
    if txn is None:
        if flux_handle is None:
            raise ValueError("a change is staged for a Flux handle, or in a KVSTxn")
        if flux_handle.aux_txn is None:
            flux_handle.aux_txn = []
        txn = flux_handle.aux_txn
    elif isinstance(txn, KVSTxn):
        txn = txn.txn
    if not isinstance(txn, list):
        raise TypeError(f"_kvstxn is a KVSTxn or the txn of one, not {txn!r}")
    return txn


def _stage(txn: Operations, key: str, obj: TreeObject | None, flags: int = 0) -> None:
    txn.append({"key": check_key(key), "flags": flags, "dirent": obj})


# -- staging


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
    _stage(_operations(flux_handle, _kvstxn), key, treeobj.val(data))


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
    _stage(_operations(flux_handle, _kvstxn), key, treeobj.directory())


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
    _stage(_operations(flux_handle, _kvstxn), key, None)


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
    txn = _operations(flux_handle, _kvstxn)
    _stage(txn, key, treeobj.symlink(target, target_namespace))


# -- committing


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
    txn = _operations(flux_handle, _kvstxn)
    ops = txn
    if flags & FLUX_KVS_TXN_COMPACT:
        # The only flag that is not the broker's business.
        flags &= ~FLUX_KVS_TXN_COMPACT
        ops = _compacted(txn)
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
    """Return operations with the appends to each key made one."""
    compact: Operations = []
    appends: dict[str, list[bytes]] = {}
    for op in ops:
        key, data = op["key"], appends.get(op["key"])
        if op["flags"] & FLUX_KVS_APPEND:
            value = treeobj.decode_val(op["dirent"])
            if data is not None:
                data.append(value)
                continue
            appends[key] = [value]
        elif data is not None:
            raise OSError(
                errno.EINVAL,
                f"appends to KVS key '{key}' have another change after them, so they cannot be "
                "made one: commit without FLUX_KVS_TXN_COMPACT",
            )
        compact.append(op)
    return [
        {**op, "dirent": treeobj.val(b"".join(appends[op["key"]]))}
        if op["flags"] & FLUX_KVS_APPEND
        else op
        for op in compact
    ]
