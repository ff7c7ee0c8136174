"""Who gets what a session has received: continuations, message watchers, `recv`."""

from __future__ import annotations

import errno
import threading
from collections import defaultdict, deque
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Callable

from flux._connector import MemoryConnector
from flux._future import Future
from flux._session import Session
from flux.constants import (
    FLUX_MATCHTAG_NONE,
    FLUX_MSGFLAG_NORESPONSE,
    FLUX_MSGTYPE_EVENT,
    FLUX_MSGTYPE_REQUEST,
    FLUX_MSGTYPE_RESPONSE,
    FLUX_ROLE_OWNER,
)
from flux.message import Message

if TYPE_CHECKING:
    from flux.core.reactor import Reactor
    from flux.core.watchers import MessageWatcher

#: Distinct topics whose message watchers are remembered.
MAX_ROUTES = 1024

_get_ident = threading.get_ident


class Dispatcher:
    """Calls the callbacks of one handle; the reactor's view of it (`flux.core.reactor.Source`).

    A clone of a handle shares the session and has a dispatcher of its own, which then only sees
    the futures made with the clone.

    Attributes:
        session: The connection.
        ready: What is to be dispatched.
        held: Futures whose continuation is outstanding.
        local: Whether the broker is in this thread.
    """

    def __init__(self, session: Session, ready: deque[Message | Future]) -> None:
        self.session = session
        self.ready = ready
        self.held: set[Future] = set()
        self.local = isinstance(session.connector, MemoryConnector)
        self.fileno = session.connector.fileno
        self.receive: Callable[[], Any] = session.receive
        # Newest first, which is the order in which they are tried.
        self._watchers: list[MessageWatcher] = []
        # The watchers of each message type and topic, as far as known.
        self._routes: defaultdict[int, dict[str, tuple[MessageWatcher, ...]]] = defaultdict(dict)
        # Messages that arrived before there was any watcher.
        self._kept: deque[Message] = deque()

    def add(self, watcher: MessageWatcher) -> None:
        """Deliver messages to a watcher from now on."""
        self._watchers.insert(0, watcher)
        self._routes.clear()
        if self._kept:
            self.ready.extendleft(reversed(self._kept))
            self._kept.clear()

    def remove(self, watcher: MessageWatcher) -> None:
        """Deliver no more messages to a watcher."""
        self._watchers.remove(watcher)
        self._routes.clear()

    # -- the reactor's side

    def begin(self) -> None:
        """Note that a reactor run begins."""
        self.session.cork()

    def end(self) -> None:
        """Note that a reactor run ends."""
        self.session.uncork()

    def prepare(self) -> tuple[bool, bool]:
        """Write output; return whether work is ready, and whether output is left."""
        session = self.session
        unsent = bool(session._out or session._unsent) and session.flush()
        if session.shared:
            session.receive()  # as in `Session.wait`
        return bool(self.ready) or session.error is not None, unsent

    def dispatch(self, reactor: Reactor) -> None:
        """Call the callbacks of what is ready now."""
        ready = self.ready
        if ready:
            session = self.session
            owner, session._owner = session._owner, _get_ident()
            try:
                for _ in range(len(ready)):
                    # A blocking call within a callback may have taken some.
                    if reactor.stopping or not ready:
                        return
                    item = ready.popleft()
                    if isinstance(item, Message):
                        self._deliver(item)
                    else:
                        item.run_continuation()
            except Exception as exc:
                reactor.fail(exc)
            finally:
                session._owner = owner
        elif self.session.error is not None and not reactor.stopping:
            reactor.fail(OSError(self.session.error.errno, self.session.error.strerror))

    def _deliver(self, msg: Message) -> None:
        if not self._watchers:
            self._kept.append(msg)
            return
        mtype = msg.mtype
        topic = msg.raw_topic or ""
        counts = self.session._rx_counts
        if counts is not None and mtype != FLUX_MSGTYPE_RESPONSE:
            counts[mtype] += 1
        watchers = self._routes[mtype].get(topic)
        if watchers is None:
            watchers = self._route(mtype, topic)
        if mtype == FLUX_MSGTYPE_EVENT:
            for watcher in watchers:
                if watcher.active and msg.rolemask & watcher.rolemask:
                    watcher.deliver(msg)
            return
        for watcher in watchers:
            if watcher.match_tag != FLUX_MATCHTAG_NONE and watcher.match_tag != msg.aux2:
                continue
            if msg.rolemask & watcher.rolemask:
                watcher.deliver(msg)
            elif watcher.rolemask == FLUX_ROLE_OWNER:
                self._refuse(msg, errno.EPERM, "Request requires owner credentials")
            else:
                self._refuse(msg, errno.EPERM, "Request rejected due to insufficient privilege")
            return
        self._refuse(msg, errno.ENOSYS, f"Unknown service method '{msg.raw_topic}'")

    def _route(self, mtype: int, topic: str) -> tuple[MessageWatcher, ...]:
        """Find the watchers for a type and topic, newest first.

        Those of requests that name the topic come before globs.
        """
        routes = self._routes[mtype]
        if len(routes) >= MAX_ROUTES:
            routes.clear()
        found = [
            watcher
            for watcher in self._watchers
            if watcher.type_mask & mtype and (watcher.matches is None or watcher.matches(topic))
        ]
        if mtype == FLUX_MSGTYPE_REQUEST:
            found.sort(key=lambda watcher: watcher.topic_glob != topic)
        watchers = routes[topic] = tuple(found)
        return watchers

    def _refuse(self, msg: Message, errnum: int, text: str) -> None:
        if msg.mtype == FLUX_MSGTYPE_REQUEST and not msg.bits & FLUX_MSGFLAG_NORESPONSE:
            self.session.send_message(msg.respond(text.encode()[:255] + b"\0", errnum))

    # -- receiving without a watcher, flux_recv(3)

    def take(self, matches: Callable[[Message], bool]) -> Message | None:
        """Remove and return the first message that matches, leaving the others in place."""
        for queue in (self._kept, self.ready):
            for i, item in enumerate(queue):
                if isinstance(item, Message) and matches(item):
                    del queue[i]
                    counts = self.session._rx_counts
                    if counts is not None and item.mtype != FLUX_MSGTYPE_RESPONSE:
                        counts[item.mtype] += 1
                    return item
        return None

    def requeue(self, msgs: Iterable[Message], head: bool) -> None:
        """Put messages back, before or after all others."""
        if head:
            self.ready.extendleft(reversed(self._kept))
            self._kept.clear()
            self.ready.extendleft(msgs)
        else:
            self.ready.extend(msgs)
