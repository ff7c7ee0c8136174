"""What is in a directory."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flux.constants import FLUX_KVS_READDIR
from flux.kvs import treeobj
from flux.kvs._lookup import KVSLookupFuture, directory_of
from flux.kvs._root import Root
from flux.kvs._values import prefix_of
from flux.kvs.treeobj import TreeObject

if TYPE_CHECKING:
    from flux.core.handle import Flux


class Listing:
    """What is in a directory, by the names of flux_kvsdir_create(3); `KVSDir.pimpl` is one.

    Args:
        flux_handle: The handle to look it up with.
        path: The directory.
        handle: In place of looking it up: the tree object of a directory.
        namespace: The namespace.
        at: The root to look it up at.

    Attributes:
        handle: The tree object.
    """

    def __init__(
        self,
        flux_handle: Flux | None = None,
        path: str = ".",
        handle: TreeObject | None = None,
        namespace: str | None = None,
        *,
        at: Root | None = None,
    ) -> None:
        if handle is None:
            if flux_handle is None:
                raise ValueError("a KVS directory needs a Flux handle to look it up with")
            lookup = KVSLookupFuture(flux_handle, path, FLUX_KVS_READDIR, namespace, at)
            handle = directory_of(lookup.response())
        elif treeobj.validate(handle) != "dir":
            raise treeobj.invalid()
        self.handle = handle
        self._entries: dict[str, TreeObject] = handle["data"]
        self._prefix = prefix_of(path)

    def key_at(self, name: str) -> str:
        """Return the key for a name in the directory."""
        return self._prefix + name

    def get_size(self) -> int:
        """Return the number of names."""
        return len(self._entries)

    def names(self) -> list[str]:
        """Return the names, in order."""
        return sorted(self._entries)

    def exists(self, name: str) -> bool:
        """Return True if there is such a name."""
        return name in self._entries

    def isdir(self, name: str) -> bool:
        """Return True if a name is a directory itself, not by a link."""
        entry = self._entries.get(name)
        return entry is not None and treeobj.is_directory(entry)

    def issymlink(self, name: str) -> bool:
        """Return True if a name is a symbolic link."""
        entry = self._entries.get(name)
        return entry is not None and entry["type"] == "symlink"
