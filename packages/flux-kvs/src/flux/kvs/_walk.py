"""Walking through a directory and all that are below."""

from __future__ import annotations

from collections.abc import AsyncIterator, Generator, Iterator
from typing import TYPE_CHECKING, Any, Union

from flux.kvs._dir import KVSDir, get_dir_async
from flux.kvs._future import KVSFuture
from flux.kvs._root import Root
from flux.kvs._values import join

if TYPE_CHECKING:
    from typing_extensions import Self

    from flux.core.handle import Flux

__all__ = ["join", "walk"]

#: A directory, relative to where the walk began; the names in it that are directories; the others.
Entry = tuple[str, Iterator[str], Iterator[str]]

# What the walk is made of: entries, and futures for directories, which are sent back in.
_Steps = Generator[Union[Entry, KVSFuture[KVSDir]], Any, None]


class Walk(Iterator[Entry], AsyncIterator[Entry]):
    """What `walk` returns, for both ``for`` and ``async for``."""

    def __init__(self, steps: _Steps) -> None:
        self._steps = steps

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Entry:
        step = next(self._steps)
        while isinstance(step, KVSFuture):
            step = self._steps.send(step.get())
        return step

    def next(self) -> Entry:
        """As ``next(walk)``."""
        return next(self)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Entry:
        try:
            step = next(self._steps)
            while isinstance(step, KVSFuture):
                step = self._steps.send(await step)
        except StopIteration:
            raise StopAsyncIteration from None
        return step


def walk(
    directory: str | KVSDir,
    topdown: bool = False,
    flux_handle: Flux | None = None,
    namespace: str | None = None,
    *,
    at: Root | None = None,
) -> Walk:
    """Walk through a directory and all that are below, as `os.walk` does.

    At a root, that of a `KVSDir` too, nothing changes meanwhile.  Otherwise a directory that is
    removed before the walk comes to it is an error.

    Example:
        >>> for path, directories, files in flux.kvs.walk("jobs", flux_handle=handle):
        ...     for name in files:
        ...         print(flux.kvs.join("jobs", path, name))

    Args:
        directory: The directory, or its key.
        topdown: Give a directory before those in it; otherwise after them.
        flux_handle: The handle; needed for a key.
        namespace: The namespace; None for that of the directory, or as for `get`.
        at: The root to walk at; None for that of the directory, or the current one.

    Returns:
        An iterator, also an asynchronous one, over the key relative to the directory, the names in
        it that are directories, and the other names.

    Raises:
        ValueError: There is a key and no handle.
        OSError: As `get_dir`; while walking as well.
    """
    if isinstance(directory, KVSDir):
        first = directory
        if namespace is None:
            namespace = directory.namespace
        if at is None:
            at = directory.at
    elif flux_handle is None:
        raise ValueError("If directory is a key, flux_handle must be specified")
    else:
        first = KVSDir(flux_handle, directory, namespace=namespace, at=at)

    def below(kvsdir: KVSDir, path: str) -> _Steps:
        if topdown:
            yield path, kvsdir.directories(), kvsdir.files()
        for name in kvsdir.directories():
            key = kvsdir.key_at(name)
            found = yield get_dir_async(kvsdir._handle(), key, namespace, at=at)
            yield from below(found, join(path, name))
        if not topdown:
            yield path, kvsdir.directories(), kvsdir.files()

    return Walk(below(first, ""))
