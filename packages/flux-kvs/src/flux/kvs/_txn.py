"""`KVSTxn`: a transaction of one's own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flux.constants import FLUX_KVS_APPEND
from flux.kvs import treeobj
from flux.kvs._commit import commit_async
from flux.kvs._future import KVSFuture
from flux.kvs._root import KVSRoot
from flux.kvs._staging import Operations, put, put_mkdir, put_symlink, put_unlink, stage
from flux.kvs._values import check_key, encode_raw, prefix_of
from flux.kvs.treeobj import TreeObject

if TYPE_CHECKING:
    from typing_extensions import Self

    from flux.core.handle import Flux

__all__ = ["KVSTxn"]


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
        stage(self.txn, key, treeobj.val(encode_raw(key, value)), FLUX_KVS_APPEND)

    def put_treeobj(self, key: str, obj: TreeObject) -> None:
        """Stage a tree object as it is (RFC 11): with a ``dirref``, a copy of a whole directory.

        Raises:
            TypeError: The key is not a string.
            OSError: EINVAL, it is no tree object, or there can be no such key.
        """
        treeobj.validate(obj)
        stage(self.txn, self._full(key), obj)

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
