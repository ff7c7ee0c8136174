"""The handle: a connection to a Flux broker and everything that is done with it.

Longer than other files because it is the public face of what they do: most of it is docstrings.
"""

from __future__ import annotations

import errno
import os
import sys
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import TYPE_CHECKING, Any, Callable

from flux import _uri
from flux._connector import open_uri
from flux._dispatcher import Dispatcher
from flux._payload import encode_payload
from flux._session import Session
from flux.constants import (
    FLUX_MATCHTAG_NONE,
    FLUX_MSGFLAG_NORESPONSE,
    FLUX_MSGFLAG_STREAMING,
    FLUX_MSGTYPE_ANY,
    FLUX_MSGTYPE_EVENT,
    FLUX_MSGTYPE_REQUEST,
    FLUX_NODEID_ANY,
    FLUX_O_MATCHDEBUG,
    FLUX_O_NONBLOCK,
    FLUX_O_NOREQUEUE,
    FLUX_O_RPCTRACK,
    FLUX_O_TEST_NOSUB,
    FLUX_O_TRACE,
    FLUX_POLLERR,
    FLUX_POLLIN,
    FLUX_POLLOUT,
    FLUX_RQ_HEAD,
    FLUX_RQ_TAIL,
)
from flux.core.reactor import Reactor, tls
from flux.core.watchers import (
    CheckWatcher,
    FDWatcher,
    IdleWatcher,
    MessageWatcher,
    PrepareWatcher,
    SignalWatcher,
    TimerWatcher,
    Watcher,
    topic_matcher,
)
from flux.message import Message, encode_topic
from flux.rpc import RPC
from flux.wrapper import InvalidArguments, Wrapper, WrongNumArguments, is_null

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["Flux"]

_OPEN_FLAGS = (
    FLUX_O_TRACE
    | FLUX_O_NONBLOCK
    | FLUX_O_MATCHDEBUG
    | FLUX_O_TEST_NOSUB
    | FLUX_O_RPCTRACK
    | FLUX_O_NOREQUEUE
)
_ATTR_IMMUTABLE = 1
_LOG_SEVERITY = 7
_LOG_FACILITY_SHIFT = 3


class Flux:
    """A connection to a Flux broker; create one to connect to the nearest enclosing instance.

    Use a handle in one thread at a time.  It is closed when the last reference to it, its futures
    and its started watchers goes away.

    Example:
        >>> flux.Flux()
        <flux.core.handle.Flux object at 0x...>

    Args:
        url: A native URI such as ``local:///run/flux/local`` or ``ssh://host/run/flux/local``; or
            a path-like string that names an ancestor in the hierarchy of instances: ``/`` for the
            root instance, ``..`` for the parent, ``../..`` for its parent and so on.  None for
            the environment's FLUX_URI, or without that the system instance.  See flux_open(3).
        flags: ``FLUX_O_*`` flags: FLUX_O_TRACE prints all messages to standard error,
            FLUX_O_NONBLOCK makes `recv` not wait, FLUX_O_TEST_NOSUB makes `event_subscribe` and
            `event_unsubscribe` do nothing, FLUX_O_MATCHDEBUG reports late responses.
            FLUX_O_RPCTRACK and FLUX_O_NOREQUEUE have an effect on handles over libflux-core only.
        handle: In place of opening a URI: a ``flux_t *`` made by C code, which is closed with this
            handle, or a connector.

    Raises:
        OSError: ENOENT, no such broker socket or unknown scheme; EINVAL, malformed URI or unknown
            flags; ECONNREFUSED, nobody listens; EPERM, the broker does not admit this user;
            ECONNRESET, ETIMEDOUT or EPROTO, what answers does not greet as a broker does, or ssh
            failed; ENOSYS, libflux-core is needed and cannot be used.
        TypeError: The handle is something else.
    """

    #: Per-thread state of the reactors, see `flux.core.reactor.ThreadState`.
    tls = tls

    #: What is staged for the next commit of this handle to the KVS, see `flux.kvs.commit`.
    aux_txn: Any = None

    def __init__(
        self,
        url: str | bytes | os.PathLike[str] | None = None,
        flags: int = 0,
        handle: Any = None,
    ) -> None:
        if flags & ~_OPEN_FLAGS:
            raise OSError(errno.EINVAL, f"unknown FLUX_O_* flags {flags & ~_OPEN_FLAGS:#x}")
        if handle is None or is_null(handle):
            session = _open(None if is_null(url) else _uri.to_str(url), flags)
        elif isinstance(handle, Session):
            session = handle
        elif hasattr(handle, "recv"):
            session = Session(handle, type(handle).__name__, flags)
        else:
            from flux._cobjects import adopt_handle

            session = Session(adopt_handle(handle), "the flux_t", flags)
        self._setup(session, Dispatcher(session, session.ready))

    def _setup(self, session: Session, dispatcher: Dispatcher) -> None:
        self._session = session
        self._dispatcher = dispatcher
        self._reactor: Reactor | None = None
        self._attached = False
        self._active_watchers: set[Watcher] = set()
        self._cached_config: Any = None
        self._appname: str | None = None
        if session.shared is not None:
            from flux._cobjects import add_functions

            add_functions(self)

    @property
    def handle(self) -> Any:
        """The ``flux_t *`` of a handle over libflux-core, or None once it is closed.

        Raises:
            AttributeError: The handle is not over libflux-core.
        """
        if self._session.shared is None:
            raise AttributeError(
                f"the handle for {self._session.uri} speaks the Flux protocol itself and has no "
                "flux_t; open it as libflux+URI to call C functions with it"
            )
        from flux._cobjects import share

        share(self._session)
        return self._session.connector.handle  # type: ignore[attr-defined]

    def clone(self) -> Flux:
        """Return another handle on the same connection, with a reactor of its own.

        It sees the responses to RPCs made with it; requests and events stay with this one.
        See flux_clone(3).
        """
        other = type(self).__new__(type(self))
        other._setup(self._session, Dispatcher(self._session, deque()))
        return other

    def __del__(self) -> None:
        # A reactor shared with other handles would keep the connection open.
        if getattr(self, "_attached", False):
            self.get_reactor().detach(self._dispatcher)

    def close(self) -> None:
        """Raise: a handle is closed when the last reference to it goes away.

        Raises:
            RuntimeError: Always.
        """
        raise RuntimeError(
            "Unnecessary manual invocation of a Flux handle's close method. Handles are closed "
            "automatically when the last reference to them goes away; to close one at a certain "
            "point, use it as a context manager."
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        session = self._session
        session.fail(OSError(errno.EBADF, f"the handle for {session.uri} was closed"))
        if self._reactor is not None:
            self._reactor.detach(self._dispatcher)
        session.close()

    # -- per-thread state

    @classmethod
    def reactor_running(cls) -> bool:
        """Return True if this thread is running a reactor."""
        return cls.tls.reactor_depth > 0

    @classmethod
    def reactor_enter(cls) -> None:
        """Note that this thread begins to run a reactor."""
        cls.tls.reactor_depth += 1

    @classmethod
    def reactor_exit(cls) -> None:
        """Note that this thread ends to run a reactor."""
        cls.tls.reactor_depth -= 1

    @contextmanager
    def in_reactor(self) -> Iterator[None]:
        """Return a context in which `reactor_running` is true."""
        self.reactor_enter()
        try:
            yield
        finally:
            self.reactor_exit()

    @classmethod
    def set_exception(cls, exception: BaseException | None) -> BaseException | None:
        """Set the exception that this thread's next `raise_if_exception` raises.

        An exception in a callback is set in this way and raised when `reactor_run` returns.

        Args:
            exception: The exception, or None to clear it.

        Returns:
            The exception that was set before, or None.
        """
        previous, cls.tls.exception = cls.tls.exception, exception
        return previous

    @classmethod
    def raise_if_exception(cls) -> None:
        """Raise this thread's exception if one is set, and clear it.  Its traceback is kept."""
        exception = cls.set_exception(None)
        if exception is not None:
            raise exception

    # -- sending and receiving

    def send(self, message: Message, flags: int = 0) -> int:
        """Send a message.

        Args:
            message: What to send.
            flags: Accepted for compatibility; sending does not wait for the receiver.

        Returns:
            0.

        Raises:
            OSError: EPIPE, the connection is lost; EINVAL, a field is out of range.
        """
        self._session.send_message(message)
        return 0

    def recv(
        self,
        type_mask: int = FLUX_MSGTYPE_ANY,
        match_tag: int = FLUX_MATCHTAG_NONE,
        topic_glob: str | bytes | None = None,
        flags: int = 0,
    ) -> Message | None:
        """Wait for a message.  Others stay where they are, for later calls or the reactor.

        Responses to RPCs made with `rpc` go to their futures and are not seen here.

        Args:
            type_mask: ``FLUX_MSGTYPE_*`` bits to match.
            match_tag: Matchtag to match, ``FLUX_MATCHTAG_NONE`` for any.
            topic_glob: Topic, or glob in the manner of fnmatch(3), to match; None for any.
            flags: ``FLUX_O_NONBLOCK`` not to wait.

        Returns:
            The message, or None if none is there and the call does not wait.

        Raises:
            OSError: ECONNRESET, the connection is lost.
        """
        topic_match = topic_matcher(None if topic_glob is None else encode_topic(topic_glob))
        session = self._session
        found: list[Message] = []

        def matches(msg: Message) -> bool:
            return msg.match(type_mask, match_tag, topic_match)

        def look() -> bool:
            return self._dispatcher.take(matches, found)

        try:
            if (flags | session.flags) & FLUX_O_NONBLOCK:
                if not look():
                    session.inside(session.read_all)
                    if not look():
                        session.raise_if_lost()
            else:
                session.wait(look, -1.0)
        except BaseException:
            # It was taken for nobody.
            self._dispatcher.requeue(found, head=True)
            raise
        return found[0] if found else None

    def requeue(self, message: Message, flags: int = FLUX_RQ_TAIL) -> None:
        """Put a received message back, to be received again.

        Args:
            message: The message.
            flags: ``FLUX_RQ_HEAD`` before all others, ``FLUX_RQ_TAIL`` after them.

        Raises:
            OSError: EINVAL, unknown flags.
        """
        if flags not in (FLUX_RQ_HEAD, FLUX_RQ_TAIL):
            raise OSError(errno.EINVAL, "requeue takes FLUX_RQ_HEAD or FLUX_RQ_TAIL")
        self._dispatcher.requeue((message,), flags == FLUX_RQ_HEAD)
        if self._session.wake is not None:
            self._session.wake()

    def request_encode(self, topic: str | bytes | None, payload: Any = None) -> Message:
        """Make a request message, to be sent with `send`.

        Args:
            topic: Topic string.
            payload: None, a str or bytes used unmodified, or any object to send as JSON.

        Raises:
            OSError: EINVAL, no topic.
            ValueError: The topic is not a string.
        """
        msg = Message(FLUX_MSGTYPE_REQUEST)
        try:
            msg.topic = encode_topic(topic)
        except TypeError:
            signature = "request_encode(topic, payload)"
            if payload is None:
                raise WrongNumArguments("request_encode", signature, 2, (topic,)) from None
            raise InvalidArguments(
                "request_encode", signature, (topic, payload), "the topic is not a string"
            ) from None
        msg.payload = payload
        return msg

    # -- RPCs

    def rpc(
        self,
        topic: str | bytes,
        payload: Any = None,
        nodeid: int = FLUX_NODEID_ANY,
        flags: int = 0,
    ) -> RPC:
        """Call a method of a service.

        Args:
            topic: Topic string of the method, ``service.method``.
            payload: None, a str or bytes sent unmodified, or any object to send as JSON.
            nodeid: Rank to address, ``FLUX_NODEID_ANY`` or ``FLUX_NODEID_UPSTREAM``.
            flags: ``FLUX_RPC_STREAMING``, ``FLUX_RPC_NORESPONSE``.

        Returns:
            A future for the response.

        Raises:
            OSError: EINVAL, bad flags, nodeid or topic; EPROTO, the payload has a number that
                JSON has no form for; EPIPE, the connection is lost.
            TypeError: The topic is not a string, or the payload cannot be sent as JSON.
        """
        return RPC(self, topic, payload, nodeid, flags)

    def respond(self, message: Message, payload: Any = None) -> int:
        """Respond to a request.  One that wants no response gets none.

        Args:
            message: The request.
            payload: None, a str or bytes sent unmodified, or any object to send as JSON.

        Returns:
            0.

        Raises:
            OSError: EPROTO, the message is not a request, or the payload has a number that JSON
                has no form for; EPIPE, the connection is lost.
            TypeError: The payload cannot be sent as JSON.
        """
        return self._respond(message, encode_payload(payload), 0)

    def respond_error(self, message: Message, errnum: int, errstr: str | None = None) -> int:
        """Respond to a request with an error.  One that wants no response gets none.

        Args:
            message: The request.
            errnum: An errno; 0 becomes EINVAL.  ENODATA ends a streaming RPC.
            errstr: Text for the caller; the caller's ``strerror`` if None.

        Returns:
            0.

        Raises:
            OSError: EPROTO, the message is not a request; EPIPE, the connection is lost.
        """
        return self._respond(message, encode_payload(errstr), errnum or errno.EINVAL)

    def _respond(self, message: Message, data: bytes | None, errnum: int) -> int:
        if message.mtype != FLUX_MSGTYPE_REQUEST:
            raise OSError(errno.EPROTO, f"cannot respond to a message of type {message.type_str}")
        bits = message.bits
        if not bits & FLUX_MSGFLAG_NORESPONSE:
            self._session.respond(message, data, errnum)
        message.answered = bool(errnum) or not bits & FLUX_MSGFLAG_STREAMING
        return 0

    def service_register(self, name: str) -> RPC:
        """Register a service, whose requests then come to this handle.

        Args:
            name: The first word of the topics.

        Returns:
            A future without a value; EEXIST if the name is taken.
        """
        _refuse_nul("name", name)
        return self.rpc("service.add", {"service": name})

    def service_unregister(self, name: str) -> RPC:
        """Give up a service.

        Args:
            name: As registered with `service_register`.

        Returns:
            A future without a value; ENOENT if this handle has not registered the name.
        """
        _refuse_nul("name", name)
        return self.rpc("service.remove", {"service": name})

    # -- events

    def event_create(self, topic: str | bytes, payload: Any = None) -> Message:
        """Make an event message.

        Args:
            topic: The event's topic.
            payload: None, a str or bytes used unmodified, or any object to send as JSON.
        """
        return Message.from_event_encode(topic, payload)

    def event_send(self, topic: str | bytes, payload: Any = None) -> int:
        """Publish an event without waiting for its sequence number.

        Args:
            topic: The event's topic.
            payload: None, a str or bytes used unmodified, or any object to send as JSON.

        Returns:
            0.
        """
        return self.send(self.event_create(topic, payload))

    def event_publish(self, topic: str | bytes, flags: int = 0, payload: Any = None) -> RPC:
        """Publish an event and learn its sequence number (flux_event_publish(3)).

        Args:
            topic: The event's topic.
            flags: ``FLUX_MSGFLAG_PRIVATE`` for an event only for this user and the owner.
            payload: None, a str or bytes used unmodified, or any object to send as JSON.

        Returns:
            A future for ``{"seq": number}``.
        """
        import binascii

        request = {"topic": encode_topic(topic), "flags": flags}
        data = encode_payload(payload)
        if data is not None:
            request["payload"] = binascii.b2a_base64(data, newline=False).decode()
        return self.rpc("event.publish", request, nodeid=0)

    def event_recv(self, topic: str | bytes | None = None) -> Message | None:
        """Wait for an event.

        Args:
            topic: Topic, or glob in the manner of fnmatch(3), to match; None for any.
        """
        return self.recv(FLUX_MSGTYPE_EVENT, topic_glob=topic)

    def event_subscribe(self, topic: str | bytes) -> int:
        """Subscribe to the events whose topic begins with a string.

        Args:
            topic: The beginning of the topics; glob characters have no meaning.

        Returns:
            0.

        Raises:
            OSError: EINVAL, the topic is None.
            TypeError: The topic is not a string.
        """
        return self._subscription("event.subscribe", topic)

    def event_unsubscribe(self, topic: str | bytes) -> int:
        """Take back one `event_subscribe`.

        Args:
            topic: As given to `event_subscribe`.

        Returns:
            0.

        Raises:
            OSError: ENOENT, there is no such subscription; EINVAL, the topic is None.
            TypeError: The topic is not a string.
        """
        return self._subscription("event.unsubscribe", topic)

    def _subscription(self, method: str, topic: str | bytes) -> int:
        text = encode_topic(topic)
        if not self._session.flags & FLUX_O_TEST_NOSUB:
            self.rpc(method, {"topic": text}).get()
        return 0

    # -- attributes, configuration and log

    def get_rank(self) -> int:
        """Return the broker's rank."""
        return int(self.attr_get("rank"))

    def attr_get(self, attr_name: str) -> str:
        """Return the value of a broker attribute.

        Values of attributes that never change are asked for once.

        Args:
            attr_name: The attribute's name.

        Raises:
            OSError: ENOENT, the attribute does not exist or has no value.
        """
        _refuse_nul("attr_name", attr_name)
        attrs = self._session.attrs
        value = attrs.get(attr_name)
        if value is None:
            response = self.rpc("attr.get", {"name": attr_name}).get()
            try:
                value, flags = str(response["value"]), int(response["flags"])
            except (KeyError, TypeError, ValueError):
                raise OSError(
                    errno.EPROTO, f"attr.get of {attr_name} was answered {response!r}"
                ) from None
            if flags & _ATTR_IMMUTABLE:
                attrs[attr_name] = value
        if attr_name == "parent-uri":
            remote = os.environ.get("FLUX_PROXY_REMOTE")
            if remote and value.startswith("local://"):
                # The parent is on the other side of the proxy that we are connected through.
                value = f"ssh://{remote}/{value[len('local://') :].lstrip('/')}"
        return value

    def attr_set(self, attr: str, value: str) -> None:
        """Set a broker attribute.

        Args:
            attr: The attribute's name.
            value: Its value.

        Raises:
            ValueError: Either is not a string.
            OSError: ENOENT, there is no such attribute; EINVAL or EPERM, it cannot be changed.
        """
        if not isinstance(attr, str):
            raise ValueError("Attribute name must be a string")
        if not isinstance(value, str):
            raise ValueError("Attribute value must be a string")
        _refuse_nul("attr", attr)
        _refuse_nul("value", value)
        self.rpc("attr.set", {"name": attr, "value": value}).get()

    def attr_remove(self, attr: str) -> None:
        """Remove a broker attribute.

        Args:
            attr: The attribute's name.

        Raises:
            ValueError: The name is not a string.
            OSError: EPERM, the attribute cannot be changed.
        """
        if not isinstance(attr, str):
            raise ValueError("Attribute name must be a string")
        _refuse_nul("attr", attr)
        self.rpc("attr.rm", {"name": attr}).get()

    def conf_get(self, key: str | None = None, default: Any = None, update: bool = False) -> Any:
        """Return the instance's configuration, or a value from it.

        The configuration is fetched once and kept.

        Example:
            >>> handle.conf_get("tbon.topo", default="kary:32")

        Args:
            key: A key in dotted form; None for the whole configuration.
            default: What to return if the key is not set.
            update: Fetch the configuration anew.

        Raises:
            OSError: The configuration cannot be fetched.
        """
        if update or self._cached_config is None:
            self._cached_config = self.rpc("config.get").get()
        if key is None:
            return self._cached_config
        value = self._cached_config
        for part in key.split("."):
            if not isinstance(value, dict) or part not in value:
                return default
            value = value[part]
        return value

    def log(self, level: int, fstring: str | bytes) -> None:
        """Write to the broker's log.  Each line becomes an entry.

        Args:
            level: Severity, one of the ``LOG_*`` constants of the syslog module.
            fstring: The text, used as it is.

        Raises:
            OSError: EPIPE, the connection is lost.
        """
        text = fstring if isinstance(fstring, str) else fstring.decode("utf-8", "replace")
        _refuse_nul("fstring", text)
        seconds, nanoseconds = divmod(time.time_ns(), 1_000_000_000)
        now = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))
        now = f"{now}.{nanoseconds // 1000:06d}Z"
        # RFC 5424 with the rank for a hostname.  The facility stands in the low bits, where the
        # RFC has the severity.
        head = (
            f"<{(level & _LOG_SEVERITY) << _LOG_FACILITY_SHIFT}>1 {now} {self.get_rank()} "
            f"{self._appname or _default_appname()} {os.getpid()} - - "
        )
        for line in text.rstrip("\n").split("\n"):
            msg = Message(FLUX_MSGTYPE_REQUEST)
            msg.topic = "log.append"
            msg.payload_bytes = (head + line).encode("utf-8", "surrogateescape")
            self.send(msg)

    def log_set_appname(self, name: str) -> None:
        """Set the program name in log entries; by default it is that of the running script."""
        self._appname = name

    # -- watchers

    def add_watcher(self, watcher: Watcher) -> Watcher:
        """Keep a watcher alive for as long as the handle."""
        self._active_watchers.add(watcher)
        return watcher

    def del_watcher(self, watcher: Watcher) -> None:
        """Take back `add_watcher`."""
        self._active_watchers.discard(watcher)

    def msg_watcher_create(
        self,
        callback: Callable[..., Any],
        type_mask: int = FLUX_MSGTYPE_ANY,
        topic_glob: str | bytes | None = "*",
        args: Any = None,
        match_tag: int = FLUX_MATCHTAG_NONE,
        rolemask: int | None = None,
    ) -> MessageWatcher:
        """Make a watcher for messages.

        Args:
            callback: Called as ``callback(handle, watcher, message, args)``.
            type_mask: ``FLUX_MSGTYPE_*`` bits to match.
            topic_glob: Topic, or glob in the manner of fnmatch(3), to match; None for any.
            args: Passed to the callback.
            match_tag: Matchtag to match, ``FLUX_MATCHTAG_NONE`` for any.
            rolemask: ``FLUX_ROLE_*`` bits, one of which the sender must have, besides the owner;
                the owner alone if None.  Others' requests are answered EPERM.
        """
        return MessageWatcher(self, type_mask, callback, topic_glob, match_tag, rolemask, args)

    def msg_handler_allow_rolemask(self, watcher: MessageWatcher, rolemask: int) -> None:
        """Also admit senders with any of these roles to a message watcher."""
        watcher.allow_rolemask(rolemask)

    def timer_watcher_create(
        self, after: float, callback: Callable[..., Any], repeat: float = 0.0, args: Any = None
    ) -> TimerWatcher:
        """Make a timer.

        Args:
            after: Seconds from its start to the first call.
            callback: Called as ``callback(handle, watcher, revents, args)``.
            repeat: Seconds between further calls; 0 for none.
            args: Passed to the callback.

        Raises:
            OSError: EINVAL, a negative time.
        """
        return TimerWatcher(self, after, callback, repeat=repeat, args=args)

    def prepare_watcher_create(
        self, callback: Callable[..., Any], args: Any = None
    ) -> PrepareWatcher:
        """Make a watcher called before the reactor waits, as ``(handle, watcher, 0, args)``."""
        return PrepareWatcher(self, callback, args=args)

    def check_watcher_create(self, callback: Callable[..., Any], args: Any = None) -> CheckWatcher:
        """Make a watcher called after the reactor waited, as ``(handle, watcher, 0, args)``."""
        return CheckWatcher(self, callback, args=args)

    def idle_watcher_create(
        self, callback: Callable[..., Any] | None = None, args: Any = None
    ) -> IdleWatcher:
        """Make a watcher that keeps the reactor from blocking.

        Args:
            callback: Called as ``callback(handle, watcher, revents, args)`` when there is nothing
                else to do; may be None.
            args: Passed to the callback.
        """
        return IdleWatcher(self, callback, args=args)

    def signal_watcher_create(
        self, signum: int, callback: Callable[..., Any], args: Any = None
    ) -> SignalWatcher:
        """Make a watcher for a signal.

        Args:
            signum: The signal's number.
            callback: Called as ``callback(handle, watcher, signum, args)``.
            args: Passed to the callback.

        Raises:
            OSError: EINVAL, not a signal number.
        """
        return SignalWatcher(self, signum, callback, args)

    def fd_watcher_create(
        self,
        fd_int: int,
        callback: Callable[..., Any],
        events: int | None = None,
        args: Any = None,
    ) -> FDWatcher:
        """Make a watcher for a file descriptor.

        Args:
            fd_int: The descriptor, which stays the caller's.
            callback: Called as ``callback(handle, watcher, fd, revents, args)``.
            events: ``FLUX_POLLIN`` and ``FLUX_POLLOUT`` bits; both if None.
            args: Passed to the callback.

        Raises:
            OSError: EINVAL, not a descriptor or no event.
        """
        if events is None:
            events = FLUX_POLLIN | FLUX_POLLOUT | FLUX_POLLERR
        return FDWatcher(self, fd_int, events, callback, args=args)

    def _add_message_watcher(self, watcher: MessageWatcher) -> None:
        self._attach()
        self._dispatcher.add(watcher)

    def _remove_message_watcher(self, watcher: MessageWatcher) -> None:
        self._dispatcher.remove(watcher)

    # -- reactor

    def get_reactor(self) -> Reactor:
        """Return the reactor of this handle, making one if there is none yet."""
        reactor = self._reactor
        if reactor is None:
            reactor = self._reactor = Reactor()
        return reactor

    def set_reactor(self, reactor: Reactor) -> None:
        """Use another handle's reactor.

        Args:
            reactor: What `get_reactor` of a handle of the same thread returned.

        Raises:
            OSError: EEXIST, the handle has a reactor already.
        """
        if self._reactor is not None and self._reactor is not reactor:
            raise OSError(errno.EEXIST, "the handle has a reactor already")
        self._reactor = reactor

    def reactor_run(self, reactor: Reactor | None = None, flags: int = 0) -> int:
        """Run the reactor until nothing referenced is left, or it is stopped.

        Args:
            reactor: The reactor to run; this handle's own if None.
            flags: ``FLUX_REACTOR_NOWAIT`` for one iteration without blocking,
                ``FLUX_REACTOR_ONCE`` for one that blocks until at least one event is handled.

        Returns:
            The number of watchers still active and referenced, or -1 after `reactor_stop_error`.

        Raises:
            OSError: ECONNRESET, the connection is lost; EINVAL, unknown flags.
            RuntimeError: Another thread is using the handle.
            Exception: What a callback raised.
        """
        if reactor is None:
            reactor = self.get_reactor()
        depth = tls.reactor_depth
        # An exception may be raised in the inner `finally`, before it has done anything.
        try:
            try:
                tls.reactor_depth = depth + 1
                rc = reactor.run(flags)
            finally:
                tls.reactor_depth = depth
        finally:
            tls.reactor_depth = depth
        self.raise_if_exception()
        return rc

    def reactor_stop(self, reactor: Reactor | None = None) -> None:
        """Make `reactor_run` return once the callback that is running has returned."""
        (reactor or self.get_reactor()).stop()

    def reactor_stop_error(self, reactor: Reactor | None = None) -> None:
        """Make `reactor_run` return -1 once the callback that is running has returned."""
        (reactor or self.get_reactor()).stop_error()

    def _attach(self) -> None:
        """Have the reactor serve this handle's messages."""
        if not self._attached:
            self.get_reactor().attach(self._dispatcher)
            self._attached = True


# Not by inheritance: a `Wrapper` looks up what it has not, and that costs all of its attributes.
Wrapper.register(Flux)


def _open(uri: str | None, flags: int) -> Session:
    """Open a URI, native or path-like."""
    levels = None if uri is None else _uri.levels_up(uri)
    try:
        if levels is None:
            native = _uri.default() if uri is None else uri
            return Session(open_uri(_uri.parse(native), flags), native, flags)
        handle = Flux(flags=flags)
        levels = min(levels, int(handle.attr_get("instance-level")))
        while levels > 0:
            handle = Flux(handle.attr_get("parent-uri"), flags)
            levels -= 1
        return handle._session
    except OSError as exc:
        text = exc.strerror or str(exc)
        if not text.startswith("Unable to connect to Flux"):
            text = f"Unable to connect to Flux: {text}"
        raise OSError(exc.errno, text) from None


def _refuse_nul(name: str, value: object) -> None:
    """Raise ValueError where brokers, in which C strings rule, would cut a text."""
    if isinstance(value, str) and "\0" in value:
        raise ValueError(f"{name} must not contain NUL: {value!r}")


def _default_appname() -> str:
    name = os.path.basename(sys.argv[0]) if sys.argv else ""
    return name if name not in ("", "-c", "-m") else os.path.basename(sys.executable) or "python"
