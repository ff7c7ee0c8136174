"""Who gets what a session has received: continuations, message watchers, `recv`."""

from __future__ import annotations

import errno
from collections import defaultdict, deque
from collections.abc import Iterable, Iterator
from itertools import compress, repeat
from operator import is_not, not_
from threading import get_ident
from typing import TYPE_CHECKING, Any, Callable

from flux._future import Again, Future
from flux._session import Session, _use_up
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

_FIRST = (0,)


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
        self.held: dict[Future, None] = {}
        self.local = session.local
        self.fileno = session.connector.fileno
        self.receive: Callable[[], Any] = session.receive
        # Newest first, which is the order in which they are tried.
        self._watchers: tuple[MessageWatcher, ...] = ()
        # The watchers of each message type and topic, as far as known.
        self._routes: defaultdict[int, dict[str, tuple[MessageWatcher, ...]]] = defaultdict(dict)
        # Messages that arrived before there was any watcher.
        self._kept: deque[Message] = deque()
        # To whom an event is still to be given, if to more than one.
        self._copies: list[tuple[MessageWatcher, Message]] = []
        self._token: tuple[int] | None = None

    def add(self, watcher: MessageWatcher) -> None:
        """Deliver messages to a watcher from now on."""
        self._watchers = (watcher, *(other for other in self._watchers if other is not watcher))
        self._routes.clear()
        self._restore()

    def remove(self, watcher: MessageWatcher) -> None:
        """Deliver no more messages to a watcher."""
        self._watchers = tuple(other for other in self._watchers if other is not watcher)
        self._routes.clear()

    def _restore(self) -> None:
        """Put messages that no watcher wanted back before all others."""
        kept = self._kept
        while kept:
            claim = self.session.look(1)
            msg = kept[-1]
            taken = map(not_, map(kept.__delitem__, map((-1,).__getitem__, claim)))
            next(map(self.ready.appendleft, compress((msg,), taken)), None)

    def waits(self) -> bool:
        """Return True if a continuation is outstanding, for which the reactor is to run."""
        held = self.held
        for future in tuple(held):
            if future.keeps_running():
                return True
            if not future._armed:
                # Whoever called it back was cut short.
                held.pop(future, None)
        return False

    # -- the reactor's side

    def begin(self, reactor: Reactor) -> None:
        """Note that a reactor run begins, in this thread alone."""
        if self._token is None:
            self._token = (get_ident(),)
        self.session.enter(self._token)
        self.session.corks[reactor] = None

    def end(self, reactor: Reactor) -> None:
        """Note that a reactor run ends."""
        session = self.session
        session.corks.pop(reactor, None)
        token = self._token
        if token is not None:
            session.leave(token)
            self._token = None
        session.uncorked()

    def prepare(self) -> tuple[bool, bool]:
        """Write output; return whether work is ready, and whether output is left."""
        session = self.session
        if session._in or session._due:
            # What an exception has left.
            session.sort()
            session.tell()
        unsent = bool(session._out) and session.flush()
        if session.shared:
            session.receive()  # as in `Session.wait`
        return bool(self.ready) or session.error is not None, unsent

    def dispatch(self, reactor: Reactor) -> None:
        """Call the callbacks of what is ready now."""
        ready = self.ready
        session = self.session
        if ready or self._copies:
            try:
                self._call_copies()
                for _ in range(len(ready)):
                    # As `Session.look`, which would be one call more for each.
                    _use_up(session.claim)
                    session.claim = claim = repeat(0, 1)
                    # A blocking call within a callback may have taken some.
                    if reactor.stopping or not ready:
                        return
                    item = ready[0]
                    if isinstance(item, Message):
                        self._deliver(item, claim)
                        if self._copies:
                            self._call_copies()
                    else:
                        self._call_back(item, claim)
            except Exception as exc:
                reactor.fail(exc)
        elif session.error is not None and not reactor.stopping:
            session.bury()
            reactor.fail(OSError(session.error.errno, session.error.strerror))

    def _call_back(self, future: Future, claim: Iterator[int]) -> None:
        """Call a future's continuation, if it still waits to be called."""
        place = map(self.ready.__delitem__, claim)
        then = future._then
        if then is None or not future._armed or not future.results:
            future._passed = True
            next(place, None)
            return
        callback, args = then
        if not future.under_way():
            # Unless it is reset, nothing keeps the reactor running for it any more.  A stream that
            # ends later is found out by `waits`.
            self.held.pop(future, None)
        # Taken from its place, no longer waiting, and called: in one.
        taken = map(is_not, place, map(future._armed.pop, _FIRST))
        try:
            next(map(callback, compress((future,), taken), *zip(args)), None)
        except BaseException:
            # It may be called for the same result again, from the place of the next.
            future._passed = True
            if isinstance(callback, Again) and future._then is then:
                future._await_next()
                future.schedule()
            raise

    def _deliver(self, msg: Message, claim: Iterator[int]) -> None:
        taken: Iterator[Any] = map(not_, map(self.ready.__delitem__, claim))
        if not self._watchers:
            next(map(self._kept.append, compress((msg,), taken)), None)
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
            copies = [(watcher, msg) for watcher in watchers if msg.rolemask & watcher.rolemask]
            if len(copies) != 1:
                next(map(self._copies.extend, compress((copies,), taken)), None)
                return
            self._call(copies[0][0], compress((msg,), taken))
            return
        for watcher in watchers:
            if watcher.match_tag != FLUX_MATCHTAG_NONE and watcher.match_tag != msg.aux2:
                continue
            if msg.rolemask & watcher.rolemask:
                self._call(watcher, compress((msg,), taken))
            elif watcher.rolemask == FLUX_ROLE_OWNER:
                self._refuse(msg, taken, errno.EPERM, "Request requires owner credentials")
            else:
                text = "Request rejected due to insufficient privilege"
                self._refuse(msg, taken, errno.EPERM, text)
            return
        self._refuse(msg, taken, errno.ENOSYS, f"Unknown service method '{msg.raw_topic}'")

    def _call(self, watcher: MessageWatcher, taken: Iterator[Message]) -> None:
        """Call a watcher with a message that is taken in the same moment."""
        callback: Any = watcher.callback
        next(map(callback, (watcher.flux_handle,), (watcher,), taken, (watcher.args,)), None)

    def _call_copies(self) -> None:
        """Call all watchers of an event."""
        copies = self._copies
        while True:
            claim = self.session.look(1)
            if not copies:
                return
            watcher, msg = copies[0]
            taken = map(copies.pop, claim)
            if watcher.active:
                self._call(watcher, compress((msg,), taken))
            else:
                next(taken, None)

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

    def _refuse(self, msg: Message, taken: Iterator[Any], errnum: int, text: str) -> None:
        if msg.mtype == FLUX_MSGTYPE_REQUEST and not msg.bits & FLUX_MSGFLAG_NORESPONSE:
            response = msg.respond(text.encode()[:255] + b"\0", errnum)
            next(map(self.session.send_message, compress((response,), taken)), None)
        else:
            next(taken, None)

    # -- receiving without a watcher, flux_recv(3)

    def take(self, matches: Callable[[Message], bool], found: list[Message]) -> bool:
        """Move the first message that matches to a list, leaving the others in place.

        Args:
            matches: What is looked for.
            found: Where to put it.

        Returns:
            True if there is one.
        """
        while not found:
            claim = self.session.look(1)
            for queue in (self._kept, self.ready):
                for i, item in enumerate(tuple(queue)):
                    if isinstance(item, Message) and matches(item):
                        counts = self.session._rx_counts
                        if counts is not None and item.mtype != FLUX_MSGTYPE_RESPONSE:
                            counts[item.mtype] += 1
                        where = map((i,).__getitem__, claim)
                        taken = map(not_, map(queue.__delitem__, where))
                        next(map(found.append, compress((item,), taken)), None)
                        break
                else:
                    continue
                break
            else:
                return False
        return True

    def requeue(self, msgs: Iterable[Message], head: bool) -> None:
        """Put messages back, before or after all others."""
        if head:
            self._restore()
            self.ready.extendleft(msgs)
        else:
            self.ready.extend(msgs)
