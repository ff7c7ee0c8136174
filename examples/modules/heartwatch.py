"""Driven by events: notes the instance's heartbeat, and says when it has stopped.

flux module load heartwatch.py 10
flux python -c 'import flux; print(flux.Flux().rpc("heartwatch.get").get())'
"""

from __future__ import annotations

import time
from typing import Any

from flux import Flux
from flux.brokermod import BrokerModule, event_handler, request_handler
from flux.message import Message


class HeartWatch(BrokerModule):
    """Waits for heartbeats, for as many seconds at a time as its argument says."""

    def __init__(self, h: Flux, patience: str = "10") -> None:
        super().__init__(h, patience)
        self.beats = 0
        self.last: float | None = None
        self.alarm = h.timer_watcher_create(float(patience), self.missed).start()

    @event_handler("heartbeat.pulse", prefix=False)
    def beat(self, msg: Message) -> None:
        """Note a heartbeat."""
        self.beats += 1
        self.last = time.time()
        # Armed anew by each beat, so it goes off only after none came for that long.
        self.alarm.reset()

    def missed(self, *_args: Any) -> None:
        """Tell that there was none for too long."""
        self.log.warning("the heartbeat has stopped")
        self.handle.event_send(f"{self.name}.missed", {"beats": self.beats})

    @request_handler("get", allow_guest=True)
    def get(self, msg: Message) -> None:
        """Return how many heartbeats there were, and the time of the last."""
        self.handle.respond(msg, {"beats": self.beats, "last": self.last})
