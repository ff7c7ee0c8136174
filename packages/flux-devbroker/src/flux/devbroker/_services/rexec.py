"""Service ``rexec``: running processes, of which this broker so far runs none."""

from __future__ import annotations

from flux.devbroker._service import Service, method
from flux.devbroker._unpack import no_payload
from flux.message import Message


class RexecService(Service):
    """Answers which processes run."""

    @method("list")
    def list(self, msg: Message) -> None:
        """Answer with the processes."""
        no_payload(msg)
        self.handle.respond(msg, {"rank": 0, "procs": []})
