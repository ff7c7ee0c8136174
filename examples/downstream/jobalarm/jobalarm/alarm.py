"""The broker module: follows the journal of all jobs."""

from __future__ import annotations

from flux import Flux
from flux.abc import JournalEventBase
from flux.brokermod import BrokerModule, request_handler
from flux.job.journal import JournalConsumer, JournalEvent
from flux.message import Message


class Alarm(BrokerModule):
    """Publishes ``alarm.failed`` for each job that fails, and remembers them."""

    def __init__(self, h: Flux) -> None:
        super().__init__(h)
        self.failed: dict[str, int] = {}
        self.journal = JournalConsumer(h).start()
        self.journal.set_callback(self.on_event)

    def on_event(self, event: JournalEventBase | None) -> None:
        """Take one event of some job."""
        if not isinstance(event, JournalEvent):
            # The job manager was unloaded: there is nothing left to watch.
            self.stop()
        elif event.name == "finish" and event.context["status"]:
            self.failed[event.jobid.f58plain] = event.context["status"]
            self.handle.event_send("alarm.failed", {"id": event.jobid.f58plain})

    @request_handler("list")
    def list_failed(self, msg: Message) -> None:
        """Answer with the status of each job that failed, by its id."""
        self.handle.respond(msg, self.failed)
