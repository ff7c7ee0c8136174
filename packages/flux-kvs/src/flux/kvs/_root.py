"""Roots: each commit makes a new one, and a lookup can be made at any of them."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING, Any, NamedTuple, Union

from flux.kvs import treeobj
from flux.kvs._future import KVSFuture, field, namespace_name
from flux.kvs.treeobj import TreeObject

if TYPE_CHECKING:
    from flux.core.handle import Flux

__all__ = ["KVSRoot", "getroot", "getroot_async", "wait_version", "wait_version_async"]


class KVSRoot(NamedTuple):
    """The root directory of a namespace at a certain moment: a snapshot of all that is below it.

    Attributes:
        sequence: Its number; each commit makes it one more, also one that changes nothing.
        ref: Its blobref, which is the same for the same content.
        namespace: The namespace.
        owner: The userid of the namespace's owner; None if it was not asked for.
    """

    sequence: int
    ref: str
    namespace: str
    owner: int | None = None

    def treeobj(self) -> TreeObject:
        """Return it as a tree object, a ``dirref``."""
        return treeobj.dirref(self.ref)


#: A root to look up keys at: as `getroot` or a commit gave it, its blobref, or its tree object.
Root = Union[KVSRoot, str, TreeObject]


def rootdir(at: Root) -> TreeObject:
    """Return a root as a tree object.

    Raises:
        OSError: EINVAL, it is none.
    """
    obj: Any = at.treeobj() if isinstance(at, KVSRoot) else at
    if isinstance(obj, str):
        obj = treeobj.dirref(obj)
    try:
        if treeobj.validate(obj) == "dirref":
            return obj  # type: ignore[no-any-return]
    except OSError:
        pass
    raise OSError(
        errno.EINVAL, f"a KVS root is a KVSRoot, a blobref or a dirref object, not {at!r}"
    )


def root_future(
    flux_handle: Flux,
    topic: str,
    namespace: str,
    request: dict[str, Any],
    key: str | None = None,
) -> KVSFuture[KVSRoot]:
    """Send a request whose response tells of a root of a namespace."""

    def read(response: Any) -> KVSRoot:
        sequence, ref = field(response, "rootseq", int), field(response, "rootref", str)
        return KVSRoot(sequence, ref, namespace, response.get("owner"))

    return KVSFuture(flux_handle, topic, request, read, key=key, namespace=namespace)


def getroot(flux_handle: Flux, namespace: str | None = None) -> KVSRoot:
    """Return the current root of a namespace (flux_kvs_getroot(3)).

    Example:
        >>> root = flux.kvs.getroot(handle)
        >>> flux.kvs.get(handle, "a.b", at=root)
        42

    Args:
        flux_handle: The handle.
        namespace: The namespace; None for that of the environment variable FLUX_KVS_NAMESPACE, or
            ``primary`` without one.

    Raises:
        OSError: ENOTSUP, there is no such namespace; EPERM, it is another user's.
    """
    return getroot_async(flux_handle, namespace).get()


def getroot_async(flux_handle: Flux, namespace: str | None = None) -> KVSFuture[KVSRoot]:
    """As `getroot`, but return a future."""
    name = namespace_name(namespace)
    return root_future(flux_handle, "kvs.getroot", name, {"namespace": name, "flags": 0})


def wait_version(flux_handle: Flux, version: int, namespace: str | None = None) -> KVSRoot:
    """Wait until this broker has a root of at least a certain number (flux_kvs_wait_version(3)).

    What a commit wrote can be read at once on the broker that it was made at, and later on others:
    there, wait for the commit's ``sequence`` first.

    Args:
        flux_handle: The handle.
        version: The sequence number.
        namespace: The namespace; None as for `getroot`.

    Returns:
        The root that there is now.

    Raises:
        OSError: ENOTSUP, there is no such namespace, or no more; EPERM, it is another user's.
    """
    return wait_version_async(flux_handle, version, namespace).get()


def wait_version_async(
    flux_handle: Flux, version: int, namespace: str | None = None
) -> KVSFuture[KVSRoot]:
    """As `wait_version`, but return a future."""
    name = namespace_name(namespace)
    request = {"rootseq": version, "namespace": name}
    return root_future(flux_handle, "kvs.wait-version", name, request)
