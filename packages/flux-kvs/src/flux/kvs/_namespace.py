"""Namespaces, and what lies below the KVS: its checkpoints, and the cache of the content store."""

from __future__ import annotations

import os
from functools import partial
from typing import TYPE_CHECKING, Any

from flux._payload import PayloadError
from flux.future import Future
from flux.kvs import treeobj
from flux.kvs._future import KVSFuture, field
from flux.kvs._root import Root, rootdir

if TYPE_CHECKING:
    from flux.core.handle import Flux

__all__ = [
    "dropcache",
    "dropcache_async",
    "kvs_checkpoint_lookup",
    "kvs_checkpoint_lookup_async",
    "namespace_create",
    "namespace_create_async",
    "namespace_list",
    "namespace_list_async",
    "namespace_remove",
    "namespace_remove_async",
]


def namespace_create(
    flux_handle: Flux,
    namespace: str,
    owner: int = os.getuid(),
    flags: int = 0,
    *,
    at: Root | None = None,
) -> None:
    """Make a namespace (flux_kvs_namespace_create(3)).

    Args:
        flux_handle: The handle.
        namespace: The name.
        owner: The userid of who may use it, besides the instance owner.
        flags: None are defined.
        at: The root that it begins with; None for nothing in it.

    Raises:
        OSError: EEXIST, there is one of that name; EPERM, you are not the instance owner; EINVAL,
            it is not a root.
    """
    if at is None:
        at = _empty(flux_handle.attr_get("content.hash"))
    _create(flux_handle, namespace, owner, flags, at).get()


def namespace_create_async(
    flux_handle: Flux,
    namespace: str,
    owner: int = os.getuid(),
    flags: int = 0,
    *,
    at: Root | None = None,
) -> Future:
    """As `namespace_create`, but return a future."""
    create = partial(_create, flux_handle, namespace, owner, flags)
    if at is not None:
        return create(at)
    # Not `Flux.attr_get`, which would block.
    attr = flux_handle.rpc("attr.get", {"name": "content.hash"})
    return attr.and_then(lambda attr: create(_empty(attr.get()["value"])))


def _empty(hash_name: str) -> str:
    """Return the blobref of the empty directory, which is in the store of each instance."""
    return treeobj.blobref(treeobj.encode(treeobj.directory()), hash_name)


def _create(flux_handle: Flux, namespace: str, owner: int, flags: int, at: Root) -> KVSFuture[None]:
    ref = rootdir(at)["data"][0]
    request = {"namespace": namespace, "rootref": ref, "owner": owner, "flags": flags}
    return KVSFuture(flux_handle, "kvs.namespace-create", request, nodeid=0, key=namespace)


def namespace_remove(flux_handle: Flux, namespace: str) -> None:
    """Have a namespace removed, which happens some time after this returns.

    Args:
        flux_handle: The handle.
        namespace: The name; there need be none of that name.

    Raises:
        OSError: ENOTSUP, it is ``primary``; EPERM, you are not the instance owner.
    """
    namespace_remove_async(flux_handle, namespace).get()


def namespace_remove_async(flux_handle: Flux, namespace: str) -> KVSFuture[None]:
    """As `namespace_remove`, but return a future."""
    request = {"namespace": namespace}
    return KVSFuture(flux_handle, "kvs.namespace-remove", request, nodeid=0, key=namespace)


def namespace_list(flux_handle: Flux) -> list[str]:
    """Return the names of all namespaces.

    Args:
        flux_handle: The handle.

    Raises:
        OSError: EPERM, you are not the instance owner.
    """
    return namespace_list_async(flux_handle).get()


def namespace_list_async(flux_handle: Flux) -> KVSFuture[list[str]]:
    """As `namespace_list`, but return a future."""
    return KVSFuture(flux_handle, "kvs.namespace-list", None, _names)


def _names(response: Any) -> list[str]:
    return [field(entry, "namespace", str) for entry in field(response, "namespaces", list)]


def kvs_checkpoint_lookup(flux_handle: Flux, cache_bypass: bool = False) -> list[dict[str, Any]]:
    """Return the checkpoints of the primary namespace, the newest first.

    Each has ``version``, ``rootref``, ``sequence``, and ``timestamp`` in seconds since the epoch.

    Args:
        flux_handle: The handle.
        cache_bypass: Ask the backing store itself.

    Raises:
        OSError: ENOENT, there is none; ENOSYS, there is no backing store; EPERM, you are not the
            instance owner.
    """
    return kvs_checkpoint_lookup_async(flux_handle, cache_bypass).get()


def kvs_checkpoint_lookup_async(
    flux_handle: Flux, cache_bypass: bool = False
) -> KVSFuture[list[dict[str, Any]]]:
    """As `kvs_checkpoint_lookup`, but return a future."""
    service = "content-backing" if cache_bypass else "content"
    return KVSFuture(flux_handle, f"{service}.checkpoint-get", None, _checkpoints)


def _checkpoints(response: Any) -> list[dict[str, Any]]:
    value = response.get("value") if isinstance(response, dict) else None
    # Older releases of flux-core answer with only one.
    found = [value] if isinstance(value, dict) else value
    if not isinstance(found, list) or not all(isinstance(entry, dict) for entry in found):
        raise PayloadError("a response of the content store has no checkpoints")
    return found


def dropcache(flux_handle: Flux) -> None:
    """Have the broker forget what its content cache holds and the backing store has, too.

    Reading then takes longer for a while; there is no other effect.

    Args:
        flux_handle: The handle.

    Raises:
        OSError: EPERM, you are not the instance owner; ENOSYS, the broker has no such cache.
    """
    dropcache_async(flux_handle).get()


def dropcache_async(flux_handle: Flux) -> KVSFuture[None]:
    """As `dropcache`, but return a future."""
    return KVSFuture(flux_handle, "content.dropcache")
