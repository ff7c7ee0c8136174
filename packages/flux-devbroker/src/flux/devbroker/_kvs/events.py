"""The events of the KVS: for those outside of the broker who want to know of changes."""

from __future__ import annotations

from typing import Any

from flux.core.handle import Flux
from flux.devbroker._kvs.transaction import Namespace
from flux.devbroker._router import Router
from flux.message import Message


class Events:
    """Publishes the events, as far as anybody has subscribed to them.

    Args:
        handle: The handle to publish with.
        router: Knows who has subscribed.
    """

    def __init__(self, handle: Flux, router: Router) -> None:
        self._handle = handle
        self._router = router

    def wants_root(self, namespace: Namespace) -> bool:
        """Return True if somebody wants to know of each new root of a namespace."""
        return self._has_audience(_topic(namespace.name, "setroot"))

    def setroot(self, namespace: Namespace, names: list[str], keys: dict[str, None]) -> None:
        """Tell of a new root.

        Args:
            namespace: The namespace.
            names: The commits that led to it.
            keys: The keys that were changed.
        """
        topic = _topic(namespace.name, "setroot")
        if self._has_audience(topic):
            payload = {
                "namespace": namespace.name,
                "rootseq": namespace.seq,
                "rootref": namespace.rootref,
                "names": names,
                "keys": keys,
                "owner": namespace.owner,
            }
            self._publish(topic, payload)

    def created(self, namespace: Namespace) -> None:
        """Tell of a new namespace."""
        payload = {
            "namespace": namespace.name,
            "rootseq": namespace.seq,
            "rootref": namespace.rootref,
            "owner": namespace.owner,
        }
        self._publish(_topic(namespace.name, "created"), payload)

    def removed(self, name: str) -> None:
        """Tell of a namespace that is gone."""
        self._publish(_topic(name, "removed"), {"namespace": name})

    def _has_audience(self, topic: str) -> bool:
        return any(peer.wants(topic) for peer in self._router.peers.values())

    def _publish(self, topic: str, payload: dict[str, Any]) -> None:
        msg = Message.from_event_encode(topic, payload)
        msg.private = True
        self._handle.send(msg)


def _topic(name: str, what: str) -> str:
    return f"kvs.namespace-{name}-{what}"
