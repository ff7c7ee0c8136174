"""Directories: what is in them, and reading and writing what is below."""

from __future__ import annotations

import errno
from collections.abc import Iterator, Mapping, MutableMapping
from functools import partial
from typing import TYPE_CHECKING, Any

from flux.constants import FLUX_KVS_READDIR
from flux.kvs._future import KVSFuture
from flux.kvs._listing import Listing
from flux.kvs._lookup import KVSLookupFuture, directory_of, exists, exists_async, look_up
from flux.kvs._root import KVSRoot, Root
from flux.kvs._txn import KVSTxn
from flux.kvs._values import check_key, prefix_of
from flux.kvs.treeobj import TreeObject

if TYPE_CHECKING:
    from collections.abc import Generator

    from typing_extensions import Self

    from flux.core.handle import Flux

__all__ = ["KVSDir", "get", "get_async", "get_dir", "get_dir_async"]


class KVSDir(MutableMapping[str, Any]):
    """A directory as a mapping of names to values.

    What is in it is read once, when it is made: that is what iteration, ``len``, `files` and
    `directories` tell of.  Values are read when they are asked for.  Assigning and deleting stages
    a change, which `commit` writes; so does the end of a ``with`` or ``async with`` block, be it by
    an exception.

    A name may be any key below the directory, as in ``d["a.b"]``.  The value of a name that is a
    directory is a `KVSDir`, which stages its changes in the same transaction.

    Example:
        >>> with flux.kvs.get_dir(handle, "myapp") as d:
        ...     d["count"] = d.get("count", 0) + 1

    Args:
        flux_handle: The handle.
        path: The directory.
        handle: In place of looking it up: what is in the directory, as a tree object; that of
            another `KVSDir` is its ``handle``.
        namespace: The namespace; None for that of the environment variable FLUX_KVS_NAMESPACE, or
            ``primary`` without one.
        at: The root to read it at, and what is below; None for the current one.  Changes go to
            the namespace all the same.
        _kvstxn: The transaction to stage changes in; None for one of its own.

    Attributes:
        fhdl: The handle.
        path: The directory.
        namespace: The namespace.
        at: The root.
        kvstxn: The transaction.

    Raises:
        OSError: ENOENT, there is no such key; ENOTDIR, it is a value; both with the key as
            ``filename``; and as `get`.
        ValueError: There is no handle.
    """

    #: What `pimpl` is.
    InnerWrapper = Listing

    class KVSDirIterator(Iterator[str]):
        """Iterates over the names in a directory, in order."""

        def __init__(self, kvsdir: KVSDir) -> None:
            self.kvsdir = kvsdir
            self._names = iter(kvsdir.pimpl.names())

        def __next__(self) -> str:
            return next(self._names)

        def next(self) -> str:
            """As ``next(iterator)``."""
            return next(self._names)

    def __init__(
        self,
        flux_handle: Flux | None = None,
        path: str = ".",
        handle: TreeObject | None = None,
        namespace: str | None = None,
        _kvstxn: KVSTxn | None = None,
        *,
        at: Root | None = None,
    ) -> None:
        self.fhdl = flux_handle
        self.path = path
        self.namespace = namespace
        self.at = at
        self.pimpl = Listing(flux_handle, path, handle, namespace, at=at)
        # One for all directories that are reached from here, so their keys are from the root on.
        self.kvstxn = _kvstxn or KVSTxn(flux_handle, ".", namespace)
        self._path = prefix_of(path)

    @property
    def handle(self) -> TreeObject:
        """What is in the directory, as a tree object."""
        return self.pimpl.handle

    def _handle(self) -> Flux:
        if self.fhdl is None:
            raise ValueError(f"there is no Flux handle to read KVS directory '{self.path}' with")
        return self.fhdl

    def key_at(self, key: str) -> str:
        """Return the key, from the root on, for one that is relative to the directory."""
        return self._path + key

    # -- reading

    def __getitem__(self, key: str) -> Any:
        try:
            full = self.key_at(check_key(key))
            return get(self._handle(), full, self.namespace, self.kvstxn, at=self.at)
        except OSError as exc:
            # There is no such key, or there cannot be one.
            if exc.errno not in (errno.ENOENT, errno.EINVAL):
                raise
        raise KeyError(f"{key} not found under directory {self.path}")

    def get_async(self, key: str) -> KVSFuture[Any]:
        """As `flux.kvs.get_async`, for a key that is relative to the directory."""
        full = self.key_at(key)
        return get_async(self._handle(), full, self.namespace, self.kvstxn, at=self.at)

    def exists(self, name: str) -> bool:
        """Return True if there is such a key now, relative to the directory.

        Raises:
            OSError: As `flux.kvs.exists`.
        """
        return exists(self._handle(), self.key_at(name), self.namespace, at=self.at)

    def exists_async(self, name: str) -> KVSFuture[bool]:
        """As `exists`, but return a future."""
        return exists_async(self._handle(), self.key_at(name), self.namespace, at=self.at)

    def __iter__(self) -> KVSDirIterator:
        return self.KVSDirIterator(self)

    def __len__(self) -> int:
        return self.pimpl.get_size()

    def files(self) -> Iterator[str]:
        """Iterate over the names that are not directories, in order."""
        isdir = self.pimpl.isdir
        return (name for name in self.pimpl.names() if not isdir(name))

    def directories(self) -> Iterator[str]:
        """Iterate over the names that are directories, in order; a link to one is none."""
        isdir = self.pimpl.isdir
        return (name for name in self.pimpl.names() if isdir(name))

    def list_all(self) -> tuple[list[str], list[str]]:
        """Return the names that are not directories, and those that are."""
        return [*self.files()], [*self.directories()]

    # -- writing

    def __setitem__(self, key: str, value: Any) -> None:
        self.kvstxn.put(self.key_at(check_key(key)), value)

    def __delitem__(self, key: str) -> None:
        self.kvstxn.unlink(self.key_at(check_key(key)))

    def clear(self) -> None:
        """Stage that all there is in the directory is removed."""
        for name in self:
            del self[name]

    def commit(self, flags: int = 0) -> KVSRoot | None:
        """Write what is staged; see `KVSTxn.commit`."""
        return self.kvstxn.commit(flags)

    def commit_async(self, flags: int = 0) -> KVSFuture[KVSRoot]:
        """As `commit`, but return a future; where nothing is staged, that is an empty commit."""
        return self.kvstxn.commit_async(flags)

    def fill(self, contents: Mapping[str, Any]) -> None:
        """Write several values, and what else is staged.

        Args:
            contents: The values by keys relative to the directory.

        Raises:
            TypeError: One of them has no form in JSON; then nothing is staged or written.
            ValueError: The contents are None.
            OSError: As `commit`.
        """
        self._stage(self._path, contents)
        self.commit()

    def fill_async(self, contents: Mapping[str, Any]) -> KVSFuture[KVSRoot]:
        """As `fill`, but return a future."""
        self._stage(self._path, contents)
        return self.commit_async()

    def mkdir(self, key: str, contents: Mapping[str, Any] | None = None) -> None:
        """Make a directory in the place of what there is, and write what else is staged.

        Args:
            key: The key, relative to the directory.
            contents: What to put there, as for `fill`, in the same commit.

        Raises:
            TypeError: As `fill`.
            OSError: As `commit`.
        """
        self._stage_directory(key, contents)
        self.commit()

    def mkdir_async(
        self, key: str, contents: Mapping[str, Any] | None = None
    ) -> KVSFuture[KVSRoot]:
        """As `mkdir`, but return a future."""
        self._stage_directory(key, contents)
        return self.commit_async()

    def _stage(self, prefix: str, contents: Mapping[str, Any], made: str | None = None) -> None:
        """Stage all that there is to write, or nothing if some of it cannot be."""
        if contents is None:
            raise ValueError("contents must be non-None: pass a mapping of keys to values")
        txn = KVSTxn()
        if made is not None:
            txn.mkdir(made)
        for key, value in contents.items():
            txn.put(prefix + check_key(key), value)
        self.kvstxn.txn += txn.txn

    def _stage_directory(self, key: str, contents: Mapping[str, Any] | None) -> None:
        made = self.key_at(check_key(key))
        self._stage(prefix_of(made), contents or {}, made)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.commit()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.kvstxn.__aexit__(*exc)

    def __repr__(self) -> str:
        return f"<flux.kvs.KVSDir {self.path} of {len(self)}>"


# -- functions


class _Directory(KVSFuture[KVSDir]):
    """A lookup of a directory."""

    def __init__(
        self,
        flux_handle: Flux,
        key: str,
        namespace: str | None,
        txn: KVSTxn | None,
        at: Root | None,
    ) -> None:
        look_up(self, flux_handle, key, FLUX_KVS_READDIR, namespace, at)
        self._found = partial(KVSDir, flux_handle, key, namespace=namespace, _kvstxn=txn, at=at)

    def _read(self, response: Any) -> KVSDir:
        return self._found(handle=directory_of(response))


class _ValueOrDirectory(KVSLookupFuture):
    """A lookup of a value, and of the directory if it is one."""

    def __init__(
        self,
        flux_handle: Flux,
        key: str,
        namespace: str | None,
        txn: KVSTxn | None,
        at: Root | None,
    ) -> None:
        super().__init__(flux_handle, key, 0, namespace, at)
        self._directory = partial(_Directory, flux_handle, key, namespace, txn, at)

    def get(self) -> Any:
        try:
            return super().get()
        except IsADirectoryError:
            return self._directory().get()

    def __await__(self) -> Generator[Any, None, Any]:
        if not self.is_ready():
            from flux._asyncio import wait

            yield from wait(self)
        try:
            return super().get()
        except IsADirectoryError:
            pass
        return (yield from self._directory().__await__())


def get(
    flux_handle: Flux,
    key: str,
    namespace: str | None = None,
    _kvstxn: KVSTxn | None = None,
    *,
    at: Root | None = None,
) -> Any:
    """Return the value of a key, or the directory that it is.

    Example:
        >>> flux.kvs.get(handle, "resource.R")["version"]
        1

    Args:
        flux_handle: The handle.
        key: The key.
        namespace: The namespace; None for that of the environment variable FLUX_KVS_NAMESPACE, or
            ``primary`` without one.
        at: The root to look it up at, from `getroot` or a commit; None for the current one.
        _kvstxn: The transaction in which the `KVSDir` stages changes; None for one of its own.

    Returns:
        What the value stands for if it is JSON, otherwise a str if it is text, otherwise bytes;
        None if it is empty.  A `KVSDir` for a directory.

    Raises:
        OSError: ENOENT, there is no such key; ELOOP, its symbolic links have no end; each with the
            key as ``filename``.  EINVAL, there can be no such key.  ENOTSUP, there is no such
            namespace; EPERM, it is another user's; ECONNRESET, the connection was lost; EPROTO,
            the response is malformed.
        TypeError: The key is not a string.
        KeyboardInterrupt: SIGINT was received while waiting.
    """
    try:
        return KVSLookupFuture(flux_handle, key, 0, namespace, at).get()
    except IsADirectoryError:
        return get_dir(flux_handle, key, namespace, _kvstxn, at=at)


def get_async(
    flux_handle: Flux,
    key: str,
    namespace: str | None = None,
    _kvstxn: KVSTxn | None = None,
    *,
    at: Root | None = None,
) -> KVSFuture[Any]:
    """As `get`, but return a future.

    Only ``await`` does not wait a second time where the key is a directory.
    """
    return _ValueOrDirectory(flux_handle, key, namespace, _kvstxn, at)


def get_dir(
    flux_handle: Flux,
    key: str = ".",
    namespace: str | None = None,
    _kvstxn: KVSTxn | None = None,
    *,
    at: Root | None = None,
) -> KVSDir:
    """Return a directory.

    Args:
        flux_handle: The handle.
        key: The key; ``.`` is the root.
        namespace: The namespace; None as for `get`.
        at: The root to read it at, and what is below; None for the current one.
        _kvstxn: The transaction in which it stages changes; None for one of its own.

    Raises:
        OSError: ENOTDIR, the key is a value; and as `get`.
        TypeError: The key is not a string.
    """
    return KVSDir(flux_handle, key, namespace=namespace, _kvstxn=_kvstxn, at=at)


def get_dir_async(
    flux_handle: Flux,
    key: str = ".",
    namespace: str | None = None,
    _kvstxn: KVSTxn | None = None,
    *,
    at: Root | None = None,
) -> KVSFuture[KVSDir]:
    """As `get_dir`, but return a future."""
    return _Directory(flux_handle, key, namespace, _kvstxn, at)
