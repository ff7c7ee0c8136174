"""Lets each user follow the events of their own jobs.

The job manager's journal has everybody's events, and is refused to guests.  This module reads it
once, as the instance owner, and passes to each who asks what belongs to their own jobs: first
what has happened so far to those that are active, then what happens.

flux module load jobevents.py
"""

from __future__ import annotations

import errno
from typing import Any

from flux import Flux
from flux.brokermod import BrokerModule, request_handler
from flux.constants import FLUX_RPC_STREAMING
from flux.future import Future
from flux.message import Message


def arguments(msg: Message) -> dict[str, Any]:
    """Return a request's payload, empty if it is not an object.

    What requesters do wrong must not raise: an exception would end the module.
    """
    try:
        payload = msg.payload
    except ValueError:
        return {}
    return payload if isinstance(payload, dict) else {}


class JobEvents(BrokerModule):
    """Forwards the journal by user."""

    def __init__(self, h: Flux) -> None:
        super().__init__(h)
        self.streams: dict[tuple[str | None, int], Message] = {}
        #: Events so far of each active job.
        self.events: dict[int, list[dict[str, Any]]] = {}
        self.journal = h.rpc("job-manager.events-journal", {}, flags=FLUX_RPC_STREAMING)
        self.journal.then(self.on_journal)

    def on_journal(self, journal: Future) -> None:
        """Take one response of the journal: events of one job."""
        try:
            response = journal.get()
        except OSError as exc:
            # The job manager was unloaded, and with it ends what there is to say.
            self.finish(exc.errno or errno.ECONNRESET)
            return
        journal.reset()
        jobid, events = response["id"], response["events"]
        # What is not known has either just been submitted, or has long ended.  The response that
        # marks the end of the past has no events at all.
        if jobid not in self.events and not (events and events[0]["name"] == "submit"):
            return
        self.events.setdefault(jobid, []).extend(events)
        for stream in self.streams.values():
            self.send(stream, jobid, events)
        if any(event["name"] in ("clean", "invalidate") for event in events):
            del self.events[jobid]

    def send(self, stream: Message, jobid: int, events: list[dict[str, Any]]) -> None:
        """Send events of a job to one who may see them."""
        # A job's first event is its submission, which says by whom.
        if self.events[jobid][0]["context"]["userid"] == stream.userid:
            self.handle.respond(stream, {"id": jobid, "events": events})

    @request_handler("watch", allow_guest=True)
    def watch(self, msg: Message) -> None:
        """Begin a stream of the events of the sender's jobs."""
        if not msg.streaming:
            self.handle.respond_error(msg, errno.EPROTO, "jobevents.watch is a streaming method")
            return
        self.streams[msg.route_first(), msg.matchtag] = msg
        for jobid, events in self.events.items():
            self.send(msg, jobid, events)

    @request_handler("cancel", allow_guest=True)
    def cancel(self, msg: Message) -> None:
        """End a stream of the same sender: {"matchtag": int}.  Never answered itself."""
        matchtag = arguments(msg).get("matchtag")
        if isinstance(matchtag, int):
            stream = self.streams.pop((msg.route_first(), matchtag), None)
            if stream is not None:
                self.handle.respond_error(stream, errno.ENODATA)

    @request_handler("disconnect", allow_guest=True)
    def disconnect(self, msg: Message) -> None:
        """Forget the streams of a sender that is gone; the broker sends this for it."""
        sender = msg.route_first()
        self.streams = {key: stream for key, stream in self.streams.items() if key[0] != sender}

    def finish(self, errnum: int) -> None:
        """End all streams and the module."""
        for stream in self.streams.values():
            self.handle.respond_error(stream, errnum)
        self.streams.clear()
        self.stop()

    def run(self) -> None:
        """Serve, then end all streams."""
        super().run()
        self.finish(errno.ENODATA)
