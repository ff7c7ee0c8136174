"""The key-value store: services ``content``, ``content-backing``, ``kvs`` and ``kvs-watch``."""

from __future__ import annotations

from flux.devbroker._kvs.content import ContentBackingService, ContentService
from flux.devbroker._kvs.kvs import KvsService
from flux.devbroker._kvs.watch import KvsWatchService
from flux.devbroker._service import Service

#: The services by name, in the order in which they are made.
SERVICES: dict[str, type[Service]] = {
    "content": ContentService,
    "content-backing": ContentBackingService,
    "kvs": KvsService,
    "kvs-watch": KvsWatchService,
}
