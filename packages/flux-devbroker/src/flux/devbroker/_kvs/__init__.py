"""The key-value store: services ``content``, ``kvs`` and ``kvs-watch``."""

from __future__ import annotations

from flux.devbroker._kvs.content import ContentService
from flux.devbroker._kvs.kvs import KvsService
from flux.devbroker._kvs.watch import KvsWatchService
from flux.devbroker._service import Service

#: The services by name, in the order in which they are made.
SERVICES: dict[str, type[Service]] = {
    "content": ContentService,
    "kvs": KvsService,
    "kvs-watch": KvsWatchService,
}
