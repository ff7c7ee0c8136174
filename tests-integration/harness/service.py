"""A service for the scenarios to call: on a handle of its own, in a thread of its own."""

from __future__ import annotations

import errno
import threading
from typing import Any, Callable

from flux import Flux
from flux.constants import FLUX_MSGTYPE_REQUEST
from flux.message import Message


class Service:
    """A registered service, running from now on until `stop`.

    Its methods: ``echo`` answers the payload; ``fail`` answers the errno and text asked for;
    ``count`` streams as many numbers as asked for and ends; ``follow`` begins a stream that only
    ``cancel`` ends; ``note`` answers nothing and ``notes`` what was noted; ``sender`` answers
    who asks; ``disconnect``s are published as an event.

    Args:
        connect: Makes a handle.
        name: The service's name.

    Attributes:
        name: As given.
    """

    def __init__(self, connect: Callable[[], Flux], name: str) -> None:
        self.name = name
        self._connect = connect
        self._ready = threading.Event()
        self._is_serving = False
        self._error: BaseException | None = None
        self._notes: list[Any] = []
        self._streams: dict[tuple[str | None, int], Message] = {}
        self._thread = threading.Thread(target=self._run, name=name)
        self._thread.start()
        self._ready.wait()
        if not self._is_serving:
            self.stop()

    def _run(self) -> None:
        try:
            with self._connect() as handle:
                handle.service_register(self.name).get()
                topic = f"{self.name}.*"
                watcher = handle.msg_watcher_create(self._serve, FLUX_MSGTYPE_REQUEST, topic)
                with watcher:
                    self._is_serving = True
                    self._ready.set()
                    handle.reactor_run()
        except BaseException as exc:
            self._error = exc
        finally:
            self._ready.set()

    def stop(self) -> None:
        """End it.

        Raises:
            Exception: Whatever ended it before.
        """
        if self._error is None and self._thread.is_alive():
            with self._connect() as handle:
                handle.rpc(f"{self.name}.quit").get()
        self._thread.join()
        if self._error is not None:
            raise self._error

    def _serve(self, handle: Flux, _watcher: Any, msg: Message, _args: Any) -> None:
        getattr(self, f"_on_{msg.topic.rpartition('.')[2]}")(handle, msg)

    def _on_echo(self, handle: Flux, msg: Message) -> None:
        handle.respond(msg, msg.payload)

    def _on_fail(self, handle: Flux, msg: Message) -> None:
        handle.respond_error(msg, msg.payload["errnum"], msg.payload.get("text"))

    def _on_count(self, handle: Flux, msg: Message) -> None:
        for number in range(msg.payload["to"]):
            handle.respond(msg, {"number": number})
        handle.respond_error(msg, errno.ENODATA)

    def _on_follow(self, handle: Flux, msg: Message) -> None:
        self._streams[msg.route_first(), msg.matchtag] = msg
        handle.respond(msg, {"following": True})

    def _on_cancel(self, handle: Flux, msg: Message) -> None:
        stream = self._streams.pop((msg.route_first(), msg.payload["matchtag"]), None)
        if stream is not None:
            handle.respond_error(stream, errno.ENODATA)

    def _on_note(self, handle: Flux, msg: Message) -> None:
        self._notes.append(msg.payload)
        handle.respond(msg)

    def _on_notes(self, handle: Flux, msg: Message) -> None:
        handle.respond(msg, {"notes": self._notes})

    def _on_sender(self, handle: Flux, msg: Message) -> None:
        handle.respond(msg, {"userid": msg.userid, "rolemask": msg.rolemask})

    def _on_quit(self, handle: Flux, msg: Message) -> None:
        handle.respond(msg)
        handle.reactor_stop()

    def _on_disconnect(self, handle: Flux, _msg: Message) -> None:
        handle.event_send(f"{self.name}.gone")
