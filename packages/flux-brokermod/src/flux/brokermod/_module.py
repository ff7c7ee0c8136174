"""`BrokerModule`, the base class of broker modules."""

from __future__ import annotations

import errno
import inspect
import syslog
import traceback
from typing import TYPE_CHECKING, Any, Callable

from flux.brokermod._errors import as_oserror, describe, errnum_of
from flux.brokermod._handlers import Spec, find_handlers, subscription
from flux.brokermod._logger import BrokerLogger
from flux.brokermod._state import RUNNING, get_state
from flux.constants import FLUX_MSGTYPE_EVENT, FLUX_RPC_NORESPONSE

if TYPE_CHECKING:
    from flux import Flux, Message
    from flux.brokermod._aio import Runner
    from flux.core.watchers import MessageWatcher

#: Name of a module whose handle no loader made.
UNKNOWN_NAME = "unknown"


class BrokerModule:
    """Base class of broker modules.

    Mark methods with `request_handler` and `event_handler`, then call `run`.  Topics begin with
    the module's name unless a decorator says ``prefix=False``.

    Example:
        >>> class MyModule(BrokerModule):
        ...     @request_handler("info")
        ...     def info(self, msg):
        ...         self.handle.respond(msg, {"name": self.name})
        ...
        ...     @event_handler("panic")
        ...     def panic(self, msg):
        ...         self.stop_error()

    The loader makes and runs it if it is the only subclass in its file; otherwise define
    ``mod_main(h, *args)``.

    Args:
        h: The handle that the loader made.
        *args: The module's arguments.

    Attributes:
        log: A `BrokerLogger`.

    Raises:
        OSError: An event could not be subscribed to.
    """

    log: BrokerLogger

    def __init__(self, h: Flux, *args: str) -> None:
        self._h = h
        self._args = args
        state = get_state(h)
        self._name = UNKNOWN_NAME if state is None else state.name
        self._watchers: list[MessageWatcher] = []
        self._failed = False
        self._logged: BaseException | None = None
        self._runner: Runner | None = None
        self._is_async = False
        self.log = BrokerLogger(h)
        self._register_handlers()

    @property
    def handle(self) -> Flux:
        """The handle, for everything else that Flux offers: RPCs, events, watchers."""
        return self._h

    @property
    def name(self) -> str:
        """The module's name, as the broker gave it; "unknown" on a handle without a module."""
        return self._name

    @property
    def args(self) -> tuple[str, ...]:
        """The arguments that the module was loaded with."""
        return self._args

    def set_running(self) -> None:
        """Tell the broker that the module is running, so that ``flux module load`` returns.

        That is otherwise done when `run` first waits for messages.  See
        flux_module_set_running(3).

        Raises:
            OSError: EPIPE, the connection to the broker is lost.
        """
        self._h.rpc("module.status", {"status": RUNNING}, flags=FLUX_RPC_NORESPONSE)

    def debug_test(self, flag: int, clear: bool = False) -> bool:
        """Test a debug bit, which ``flux module debug`` sets.

        Args:
            flag: The bit, as a mask.
            clear: Clear it if it is set.

        Returns:
            True if it was set.
        """
        state = get_state(self._h)
        return state is not None and state.debug_test(flag, clear)

    def stop(self) -> None:
        """Make `run` return once the handler that is running has returned."""
        self._h.reactor_stop()

    def stop_error(self) -> None:
        """Make `run` raise OSError once the handler that is running has returned."""
        self._failed = True
        self._h.reactor_stop_error()

    def run(self) -> None:
        """Handle messages until the module is stopped or unloaded.

        Raises:
            OSError: ECONNRESET, `stop_error` was called, or the connection to the broker is lost;
                or what a handler or other callback raised.  An exception that is no OSError
                comes as one that is both: an OSError and what it was, and has that as its
                ``__cause__``.
        """
        try:
            if self._is_async:
                from flux.brokermod._aio import Runner

                result = Runner(self).run()
            else:
                result = self._h.reactor_run()
        except Exception as exc:
            self._log_exception(exc, "callback")
            error = as_oserror(exc)
            if error is exc:
                raise
            raise error from exc
        if result < 0 or self._failed:
            raise OSError(errno.ECONNRESET, f"{self._name}: the module stopped with an error")

    # -- handlers

    def _register_handlers(self) -> None:
        for attribute, spec in find_handlers(type(self)):
            method = getattr(self, attribute)
            topic = spec.full_topic(self._name)
            if spec.msgtype == FLUX_MSGTYPE_EVENT:
                self._h.event_subscribe(subscription(topic))
            callback: Callable[..., None]
            if inspect.iscoroutinefunction(method):
                self._is_async = True
                callback = self._async_callback(method, spec)
            else:
                callback = self._callback(method, spec)
            watcher = self._h.msg_watcher_create(
                callback, spec.msgtype, topic, rolemask=spec.rolemask
            )
            watcher.start()
            self._watchers.append(watcher)

    def _callback(self, method: Callable[[Message], Any], spec: Spec) -> Callable[..., None]:
        def callback(_handle: Flux, _watcher: Any, msg: Message, _args: Any) -> None:
            try:
                method(msg)
            except Exception as exc:
                self._handler_failed(exc, msg)
                raise
            except BaseException:
                self._handler_ended(msg)
                raise

        return callback

    def _async_callback(self, method: Callable[[Message], Any], spec: Spec) -> Callable[..., None]:
        def callback(_handle: Flux, _watcher: Any, msg: Message, _args: Any) -> None:
            if self._runner is None:
                raise RuntimeError(f"{method.__qualname__} is async and needs BrokerModule.run()")
            self._runner.start(method, msg)

        return callback

    def _handler_failed(self, exc: Exception, msg: Message) -> None:
        """Answer the request whose handler raised, and log why."""
        self._log_exception(exc, f"handler of {msg.type_str} {msg.raw_topic}")
        if msg.type_str == "request" and not msg.answered:
            try:
                # Not ECONNRESET, which would look as if the requester had lost its broker.
                self._h.respond_error(msg, errnum_of(exc, errno.EIO), describe(exc))
            except OSError:
                # The connection is lost, which `run` will raise if nothing else.
                pass

    def _handler_ended(self, msg: Message) -> None:
        """Answer the request whose handler was ended, with the module, before it could."""
        if msg.type_str == "request" and not msg.answered:
            try:
                # A broker says the same to those whose requests it still holds.
                self._h.respond_error(msg, errno.EHOSTUNREACH, "module disconnect")
            except OSError:
                pass

    def _log_exception(self, exc: Exception, where: str) -> None:
        if self._logged is exc:
            return
        self._logged = exc
        text = "".join(traceback.format_exception(type(exc), exc, exc.__traceback__))
        try:
            # Not through `log`: its threshold is for what the module has to say.
            self._h.log(syslog.LOG_ERR, f"{self._name}: exception in {where}\n{text}")
        except OSError:
            pass
