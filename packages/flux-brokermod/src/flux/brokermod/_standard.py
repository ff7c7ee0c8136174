"""The methods that every broker module answers under its own name.

They are those of flux-core's modules: ``ping``, ``stats-get``, ``stats-clear``, ``rusage``,
``debug``, ``config-reload``, ``config-update`` and ``shutdown``.  A module's own handler for the
same topic takes precedence, because it is registered later.  Requests for anything else are
answered ENOSYS by the handle itself.
"""

from __future__ import annotations

import errno
import resource
from typing import TYPE_CHECKING, Any, Callable

from flux.constants import (
    FLUX_MSGTYPE_CONTROL,
    FLUX_MSGTYPE_EVENT,
    FLUX_MSGTYPE_REQUEST,
    FLUX_MSGTYPE_RESPONSE,
    FLUX_ROLE_ALL,
    FLUX_ROLE_OWNER,
    FLUX_ROLE_USER,
    FLUX_USERID_UNKNOWN,
)

if TYPE_CHECKING:
    from flux import Flux, Message
    from flux.brokermod._state import ModuleState
    from flux.core.watchers import MessageWatcher

_TYPES = {
    "request": FLUX_MSGTYPE_REQUEST,
    "response": FLUX_MSGTYPE_RESPONSE,
    "event": FLUX_MSGTYPE_EVENT,
    "control": FLUX_MSGTYPE_CONTROL,
}
_WHO = {"self": resource.RUSAGE_SELF, "children": resource.RUSAGE_CHILDREN}
if hasattr(resource, "RUSAGE_THREAD"):
    _WHO["thread"] = resource.RUSAGE_THREAD
_USAGE = (
    *("maxrss", "ixrss", "idrss", "isrss", "minflt", "majflt", "nswap", "inblock", "oublock"),
    *("msgsnd", "msgrcv", "nsignals", "nvcsw", "nivcsw"),
)
#: Characters of an identity that stand for it in ``ping``'s route.
_SHORT = 8
#: How flux-core's C int shows an unknown userid and all roles.
_SIGN = 1 << 31


class StandardHandlers:
    """The standard methods of one module, answering from the time this is made.

    Args:
        handle: The module's handle.
        state: The module's state; ``debug`` changes it.
        without: Methods to leave out, for a service that has no use for them.
    """

    def __init__(self, handle: Flux, state: ModuleState, without: tuple[str, ...] = ()) -> None:
        self._handle = handle
        self._state = state
        self.watchers: list[MessageWatcher] = []
        handle._session.count_messages()
        for method, callback, rolemask in (
            ("ping", self.ping, FLUX_ROLE_USER),
            ("stats-get", self.stats_get, FLUX_ROLE_ALL),
            ("stats-clear", self.stats_clear, FLUX_ROLE_OWNER),
            ("rusage", self.rusage, FLUX_ROLE_USER),
            ("debug", self.debug, FLUX_ROLE_OWNER),
            ("config-reload", self.config_reload, FLUX_ROLE_OWNER),
            ("config-update", self.config_reload, FLUX_ROLE_OWNER),
        ):
            if method not in without:
                self._watch(FLUX_MSGTYPE_REQUEST, method, self._answering(callback), rolemask)
        self._watch(FLUX_MSGTYPE_EVENT, "stats-clear", self._on_stats_clear, FLUX_ROLE_OWNER)
        if "shutdown" not in without:
            self._watch(FLUX_MSGTYPE_REQUEST, "shutdown", self._on_shutdown, FLUX_ROLE_OWNER)

    def stop(self) -> None:
        """Answer no more."""
        for watcher in self.watchers:
            watcher.stop()

    def _watch(
        self, msgtype: int, method: str, callback: Callable[..., None], rolemask: int
    ) -> None:
        topic = f"{self._state.name}.{method}"
        watcher = self._handle.msg_watcher_create(callback, msgtype, topic, rolemask=rolemask)
        watcher.start()
        self.watchers.append(watcher)

    def _answering(self, method: Callable[[Message], Any]) -> Callable[..., None]:
        """Return a callback that responds with what a method returns, or the error it raises."""

        def callback(handle: Flux, _watcher: Any, msg: Message, _args: Any) -> None:
            try:
                handle.respond(msg, method(msg))
            except MethodError as exc:
                handle.respond_error(msg, exc.errnum, exc.text)
            except (ValueError, RecursionError):
                # What came could be read and cannot be sent: an integer beyond 64 bits, a route
                # that is not text.
                handle.respond_error(msg, errno.EPROTO)

        return callback

    def ping(self, msg: Message) -> dict[str, Any]:
        """Return the request with the way it took."""
        payload = _object(msg)
        if b"\\u0000" in (msg.data or b""):
            # As flux-core's, though everywhere else a NUL ends a string.
            raise MethodError(errno.EPROTO)
        hops = [*reversed(msg.routes or []), self._state.uuid]
        payload.update(
            route="!".join(hop[:_SHORT] for hop in hops),
            userid=_signed(msg.userid),
            rolemask=_signed(msg.rolemask),
            rank=self._handle.get_rank(),
        )
        return payload

    def stats_get(self, msg: Message) -> dict[str, Any]:
        """Return how many messages were sent and received, by type."""
        tx, rx = self._handle._session.count_messages()
        return {
            "tx": {name: tx[number] for name, number in _TYPES.items()},
            "rx": {name: rx[number] for name, number in _TYPES.items()},
        }

    def stats_clear(self, msg: Message) -> None:
        """Begin to count anew."""
        for counts in self._handle._session.count_messages():
            counts[:] = [0] * len(counts)

    def rusage(self, msg: Message) -> dict[str, Any]:
        """Return the resources used by this process, its children or this thread."""
        try:
            payload = msg.payload
        except OSError:
            payload = None
        who = payload.get("who", "self") if isinstance(payload, dict) else "self"
        if not isinstance(who, str):
            who = "self"
        if who not in _WHO:
            raise MethodError(errno.EINVAL, f"{who} is unsupported")
        usage = resource.getrusage(_WHO[who])
        return {
            "utime": usage.ru_utime,
            "stime": usage.ru_stime,
            **{name: getattr(usage, f"ru_{name}") for name in _USAGE},
        }

    def debug(self, msg: Message) -> dict[str, int]:
        """Change the module's debug bits and return them."""
        payload = _object(msg)
        op, flags = payload.get("op"), payload.get("flags")
        if type(flags) is not int:
            raise MethodError(errno.EPROTO)
        state = self._state
        if op == "setbit":
            state.debug_flags |= flags
        elif op == "clrbit":
            state.debug_flags &= ~flags
        elif op == "set":
            state.debug_flags = flags
        elif op == "clr":
            state.debug_flags = 0
        else:
            raise MethodError(errno.EPROTO)
        return {"flags": state.debug_flags}

    def config_reload(self, msg: Message) -> None:
        """Take a new configuration for `flux.Flux.conf_get`."""
        try:
            self._handle._cached_config = _object(msg)
        except MethodError:
            raise MethodError(errno.EPROTO, f"Failed to parse {msg.topic} request") from None

    def _on_stats_clear(self, _handle: Flux, _watcher: Any, msg: Message, _args: Any) -> None:
        self.stats_clear(msg)

    def _on_shutdown(self, handle: Flux, _watcher: Any, _msg: Message, _args: Any) -> None:
        # Never answered: the one who asks sees the module go.
        handle.reactor_stop()


class MethodError(Exception):
    """What a standard method answers in place of a result."""

    def __init__(self, errnum: int, text: str | None = None) -> None:
        super().__init__(errnum, text)
        self.errnum = errnum
        self.text = text


def _object(msg: Message) -> dict[str, Any]:
    try:
        payload = msg.payload
    except OSError:
        payload = None
    if not isinstance(payload, dict):
        raise MethodError(errno.EPROTO)
    return payload


def _signed(value: int) -> int:
    return (value & FLUX_USERID_UNKNOWN ^ _SIGN) - _SIGN
