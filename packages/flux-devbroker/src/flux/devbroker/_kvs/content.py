"""Service ``content``: blobs by the hash of what is in them (RFC 10)."""

from __future__ import annotations

import errno
import hashlib
from typing import TYPE_CHECKING

from flux.constants import FLUX_MSGFLAG_NORESPONSE
from flux.devbroker._kvs.database import close_database, database_of, open_database
from flux.devbroker._service import Service, method
from flux.devbroker._unpack import RequestError, no_payload
from flux.message import Message

if TYPE_CHECKING:
    from flux.core.handle import Flux
    from flux.devbroker._instance import Instance

#: How many checkpoints are shown.
MAX_CHECKPOINTS = 5


class ContentBackingService(Service):
    """Stores and loads blobs.  Payloads are the blobs and their hashes as they are.

    As ``content-backing`` it is the store itself, which here is no other than the cache in front.
    """

    def __init__(self, h: Flux, instance: Instance) -> None:
        super().__init__(h, instance)
        self._db = database_of(instance)

    def _respond_raw(self, msg: Message, data: bytes) -> None:
        # Not `Flux.respond`, whose payloads are text, and end with a NUL.
        if not msg.bits & FLUX_MSGFLAG_NORESPONSE:
            self.handle.send(msg.respond(data))
        msg.answered = True

    @method("store")
    def store(self, msg: Message) -> None:
        """Store a blob and answer with its hash."""
        try:
            digest = self._db.store.put(msg.data or b"", journal=True)
            self._db.store.commit()
        except OSError as exc:
            raise RequestError(exc.errno or errno.EIO, exc.strerror) from None
        self._respond_raw(msg, digest)

    @method("load")
    def load(self, msg: Message) -> None:
        """Answer with the blob that has a hash."""
        digest = msg.data or b""
        if len(digest) != hashlib.sha1().digest_size:
            raise RequestError(errno.EPROTO)
        data = self._db.store.load(digest)
        if data is None:
            raise RequestError(errno.ENOENT, "No such file or directory")
        self._respond_raw(msg, data)

    @method("checkpoint-get")
    def checkpoint_get(self, msg: Message) -> None:
        """Answer with the checkpoints that were asked for, the newest first."""
        value = [
            {"version": 1, "rootref": rootref, "sequence": seq, "timestamp": timestamp}
            for rootref, seq, timestamp in self._db.store.checkpoints(MAX_CHECKPOINTS)
        ]
        if not value:
            raise RequestError(errno.ENOENT)
        self.handle.respond(msg, {"value": value})


class ContentService(ContentBackingService):
    """The store as clients know it; opens the database, and closes it."""

    def __init__(self, h: Flux, instance: Instance) -> None:
        open_database(instance)
        super().__init__(h, instance)
        # As clients that make references of their own ask.
        instance.attributes.values["content.hash"] = "sha1"

    def close(self) -> None:
        """Close the database."""
        close_database(self.instance)

    @method("flush")
    def flush(self, msg: Message) -> None:
        """Answer once everything is durable, which is so after each request."""
        self._db.settle()
        self.handle.respond(msg)

    @method("dropcache")
    def dropcache(self, msg: Message) -> None:
        """Answer: there is no cache before the store."""
        self.handle.respond(msg)

    @method("stats-get")
    def stats_get(self, msg: Message) -> None:
        """Answer with figures."""
        no_payload(msg)
        count, size = self._db.store.statistics()
        stats = {
            "count": count,
            "valid": count,
            "dirty": 0,
            "size": size,
            "flush-batch-count": 0,
            "mmap": {"tags": {}, "blobs": 0},
        }
        self.handle.respond(msg, stats)
