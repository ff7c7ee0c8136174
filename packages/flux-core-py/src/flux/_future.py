"""One future: `Future` and `FutureExt`.  They are public as `flux.future`."""

from __future__ import annotations

import errno
import os
import time
from collections import deque
from collections.abc import Generator, Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any, Callable

from flux.message import error_text
from flux.wrapper import Pimpl, Wrapper

if TYPE_CHECKING:
    from typing_extensions import Self

    from flux.core.handle import Flux
    from flux.core.reactor import Reactor
    from flux.core.watchers import TimerWatcher


class Pending:
    """The type of `PENDING`, which stands for a result that is not there."""

    def __repr__(self) -> str:
        return "PENDING"


PENDING = Pending()


class Failure:
    """A result that is an error."""

    __slots__ = ("_text", "errnum")

    def __init__(self, errnum: int, text: str | bytes | None = None) -> None:
        self.errnum = errnum
        self._text = text

    @property
    def text(self) -> str:
        """What was said of the error, or else what ``strerror`` says."""
        text = self._text
        if isinstance(text, str) and text:
            return text
        return error_text(self.errnum, text if isinstance(text, bytes) else None)

    def throw(self) -> None:
        """Raise the error as OSError, anew each time so that tracebacks do not pile up."""
        raise OSError(self.errnum, self.text)


class Future:
    """A result that may not be there yet.

    A future of this class is fulfilled by its user with `fulfill` or `fulfill_error`; subclasses
    are fulfilled by what they stand for.  Fulfilled more than once, it queues its results, and
    `reset` moves on to the next.  ``await future`` waits in the running asyncio loop and gives
    what `get` returns.

    Args:
        future_handle: Another future, whose results this one is to have as well; or a
            ``flux_future_t *`` made by C code, which is destroyed with this future; None for none.
        prefixes: Accepted for compatibility; not used.
        pimpl_t: Accepted for compatibility; not used.
        flux_handle: Handle whose reactor calls the continuation.

    Attributes:
        flux_handle: The handle, or None.
    """

    # Defaults are class attributes so that an RPC costs only what differs from them.
    flux_handle: Flux | None = None
    _result: Any = PENDING
    _queue: deque[Any] | None = None
    _then: tuple[Callable[..., Any], tuple[Any, ...], Mapping[str, Any]] | None = None
    _armed = False
    # How many results in the queue have a place among what is to be dispatched.
    _places = 0
    _outstanding = False
    _timer: TimerWatcher | None = None
    _timeout = -1.0
    _observers: list[Callable[[Future], None]] | None = None
    _origin: Future | None = None

    def __init__(
        self,
        future_handle: Any = None,
        prefixes: Any = None,
        pimpl_t: Any = None,
        *,
        flux_handle: Flux | None = None,
    ) -> None:
        if flux_handle is not None:
            self.flux_handle = flux_handle
        if future_handle is not None:
            if not isinstance(future_handle, Future) or isinstance(future_handle.pimpl, Wrapper):
                self.handle = future_handle
                return
            self._origin = future_handle
            if self.flux_handle is None:
                self.flux_handle = future_handle.flux_handle
            if future_handle.is_ready():
                self.fulfill_with(future_handle)
            future_handle.observe(self.fulfill_with)

    # -- reading

    def is_ready(self) -> bool:
        """Return True if there is a result, so that `get` does not block."""
        return self._result is not PENDING

    def get(self) -> Any:
        """Wait for the result and return it: what `fulfill` was given.

        Raises:
            OSError: The future was fulfilled with an error; EDEADLK, nothing can fulfil it.
            KeyboardInterrupt: SIGINT was received while waiting.
        """
        if self._result is PENDING:
            self.wait_for()
        if self._result.__class__ is Failure:
            self._result.throw()
        return self._result

    def wait_for(self, timeout: float = -1.0) -> Self:
        """Wait for the result without taking it.

        Args:
            timeout: Seconds to wait at most; negative for no limit.

        Returns:
            The future.

        Raises:
            OSError: ETIMEDOUT, the time ran out; EDEADLK, nothing can fulfil the future.
            KeyboardInterrupt: SIGINT was received.
        """
        if self._result is PENDING:
            if timeout != 0:
                self._wait(timeout)
            if self._result is PENDING:
                raise OSError(errno.ETIMEDOUT, os.strerror(errno.ETIMEDOUT))
        return self

    def _wait(self, timeout: float) -> None:
        """Block until there is a result or the time has run out."""
        if self._origin is not None:
            self._origin._wait(timeout)
            return
        if timeout < 0:
            raise OSError(
                errno.EDEADLK,
                f"{os.strerror(errno.EDEADLK)}: nothing is under way that could fulfil this future",
            )
        time.sleep(timeout)

    def error_string(self) -> str | None:
        """Return the text of the error that the future was fulfilled with, or None."""
        result = self._result
        return result.text if isinstance(result, Failure) else None

    # -- fulfilling

    def fulfill(self, result: Any = None) -> None:
        """Fulfil the future with a result, or queue one if it already has a result."""
        if self._result is PENDING:
            self._result = result
            if self._armed:
                self._schedule()
            if self._timer is not None:
                self._timer.stop()
        else:
            if self._queue is None:
                self._queue = deque()
            self._queue.append(result)
            if self._then is not None:
                # In its place among the other messages, as if there were no queue.
                self._places += 1
                self._schedule()
        if self._observers:
            for observer in tuple(self._observers):
                observer(self)

    def fulfill_error(self, errnum: int = errno.ENOENT, errstr: str | None = None) -> None:
        """Fulfil the future with an error.

        Args:
            errnum: An errno.
            errstr: What to say of it; ``strerror`` says it if None.
        """
        self.fulfill(Failure(errnum, errstr))

    def fulfill_with(self, other: Future) -> None:
        """Fulfil the future with the newest result of another."""
        queue = other._queue
        result = queue[-1] if queue else other._result
        self.fulfill(other._decoded(result))

    def _decoded(self, result: Any) -> Any:
        """Return what `get` would make of a result, errors included."""
        return result

    def fail(self, failure: Failure) -> None:
        """Fulfil the future with an error that ends it."""
        self.fulfill(failure)

    def reset(self) -> None:
        """Drop the result and go on to the next one.

        The continuation, if there is one, will be called for that.
        """
        self._result = PENDING
        then = self._then is not None
        if then and not self._armed:
            self._armed = True
            self._hold()
        if self._queue:
            self._result = self._queue.popleft()
            if self._places:
                self._places -= 1
            elif then:
                self._schedule()
        elif then:
            self._start_timer()

    # -- continuations

    def then(
        self, callback: Callable[..., Any], *args: Any, timeout: float = -1.0, **kwargs: Any
    ) -> Self:
        """Have the reactor call back once there is a result.

        The future stays alive until then.  To be called for further results, `reset` the future
        in the callback.

        Args:
            callback: Called as ``callback(future, *args, **kwargs)``.
            *args: Passed on.
            timeout: Seconds after which the future is fulfilled with ETIMEDOUT if nothing else
                has; negative for no limit.
            **kwargs: Passed on.

        Returns:
            The future.

        Raises:
            ValueError: The callback is None.
            OSError: EEXIST, there is a continuation already; EINVAL, the future has no handle.
        """
        if self._armed:
            raise OSError(errno.EEXIST, "then callback already exists for this future")
        if callback is None:
            raise ValueError("Callback cannot be None")
        if self.flux_handle is None:
            raise OSError(
                errno.EINVAL, "the future has no Flux handle whose reactor could call back"
            )
        self._then = (callback, args, kwargs)
        self._armed = True
        self._hold()
        if self._result is not PENDING:
            self._schedule()
        elif timeout >= 0:
            self._timeout = timeout
            self._start_timer()
        return self

    def run_continuation(self) -> None:
        """Call the continuation; called by the dispatcher."""
        if not self._armed or self._result is PENDING:
            if self._places:
                self._places -= 1
            return
        self._armed = False
        failed = self._result.__class__ is Failure
        callback, args, kwargs = self._then  # type: ignore[misc]
        try:
            callback(self, *args, **kwargs)
        except BaseException:
            self._armed = False
            raise
        finally:
            # A stream whose continuation has not asked for more still keeps the reactor running,
            # as the next response may come at any time; but not after it failed.
            if not self._armed and (not self._outstanding or failed):
                self._release()

    def stop(self) -> None:
        """Do not call the continuation any more."""
        self._then = None
        self._armed = False
        if self._timer is not None:
            self._timer.stop()
        self._release()

    def _schedule(self) -> None:
        flux_handle: Any = self.flux_handle
        flux_handle._dispatcher.ready.append(self)
        if flux_handle._session.wake is not None:
            flux_handle._session.wake()

    def _hold(self) -> None:
        """Keep the future alive, and the reactor running, until the continuation was called."""
        flux_handle = self.flux_handle
        assert flux_handle is not None
        if not flux_handle._attached:
            flux_handle._attach()
        flux_handle._dispatcher.held.add(self)

    def _release(self) -> None:
        if self.flux_handle is not None:
            self.flux_handle._dispatcher.held.discard(self)

    def _start_timer(self) -> None:
        if self._timeout < 0 or self.flux_handle is None:
            return
        if self._timer is None:
            self._timer = self.flux_handle.timer_watcher_create(self._timeout, self._expire)
        self._timer.reset()

    def _expire(self, *_args: Any) -> None:
        if self._result is PENDING:
            self.fulfill_error(errno.ETIMEDOUT)

    def observe(self, observer: Callable[[Future], None]) -> None:
        """Have ``observer(future)`` called at each fulfilment, at once and outside the reactor."""
        if self._observers is None:
            self._observers = []
        self._observers.append(observer)

    def unobserve(self, observer: Callable[[Future], None]) -> None:
        """Take back `observe`."""
        if self._observers is not None:
            self._observers.remove(observer)

    # -- chaining: see flux_future_and_then(3)

    def and_then(self, callback: Callable[..., Any], *args: Any, **kwargs: Any) -> Future:
        """Go on after success.

        Args:
            callback: Called as ``callback(future, *args, **kwargs)`` if this future has a result.
            *args: Passed on.
            **kwargs: Passed on.

        Returns:
            A future fulfilled with this one's error; else with the error that the callback
            raises as OSError, the eventual result of a future that it returns, another value
            that it returns, or this future's result if it returns None.
        """
        from flux._composite import Chained

        return Chained(self, False, callback, args, kwargs)

    def or_then(self, callback: Callable[..., Any], *args: Any, **kwargs: Any) -> Future:
        """Go on after an error: as `and_then`, with success and error exchanged."""
        from flux._composite import Chained

        return Chained(self, True, callback, args, kwargs)

    # -- handle and reactor

    def get_flux(self) -> Flux | None:
        """Return the handle, or None.  While `get` blocks it is the one to use within."""
        return self.flux_handle

    def set_flux(self, flux_handle: Flux) -> None:
        """Set the handle whose reactor calls the continuation."""
        self.flux_handle = flux_handle

    def get_reactor(self) -> Reactor:
        """Return the reactor that calls the continuation.

        Raises:
            OSError: EINVAL, the future has no handle.
        """
        flux_handle = self.get_flux()
        if flux_handle is None:
            raise OSError(errno.EINVAL, "the future has no Flux handle and thus no reactor")
        return flux_handle.get_reactor()

    @property
    def pimpl(self) -> Pimpl:
        """The future under the names of the C library, for compatibility."""
        return Pimpl(self)

    @property
    def handle(self) -> Any:
        """The future as a ``flux_future_t *`` of libflux-core, once it has a result.

        Assign one, to have this future stand for it and destroy it in the end.

        Raises:
            OSError: There is no libflux-core.
            TypeError: On assigning, it is something else.
        """
        from flux._cobjects import c_future

        return c_future(self)

    @handle.setter
    def handle(self, value: Any) -> None:
        from flux._cobjects import adopt_future

        adopt_future(self, value)

    def incref(self) -> None:
        """Do nothing: a Python reference keeps a future alive.  For compatibility."""

    def decref(self) -> None:
        """Do nothing, as `incref`."""

    # -- asyncio

    def __await__(self) -> Generator[Any, None, Any]:
        if self._result is PENDING:
            from flux._asyncio import wait

            yield from wait(self)
        return self.get()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        self.stop()


class FutureExt(Future):
    """A future that starts to work when somebody waits for it (flux_future_create(3)).

    Args:
        init_cb: Called as ``init_cb(future, *args, **kw_args)`` when a continuation is registered
            and when a blocking call begins to wait, once for each.  It starts what will call
            `fulfill`, on the handle that ``future.get_flux()`` returns, which differs between
            the two.
        *args: Passed on.
        flux_handle: The handle to use; may also be set later with `set_flux`.
        **kw_args: Passed on.
    """

    def __init__(
        self,
        init_cb: Callable[..., Any],
        *args: Any,
        flux_handle: Flux | None = None,
        **kw_args: Any,
    ) -> None:
        super().__init__(flux_handle=flux_handle)
        self.init_cb = init_cb
        self.init_args = args
        self.init_kwargs = kw_args
        self._initialized: set[bool] = set()
        self._clone: Flux | None = None
        self._blocking = False

    def _init(self) -> None:
        if self._blocking not in self._initialized:
            self._initialized.add(self._blocking)
            self.init_cb(self, *self.init_args, **self.init_kwargs)

    def get_flux(self) -> Flux | None:
        """Return the handle; while a blocking call waits, a clone that serves only the future."""
        if not self._blocking or self.flux_handle is None:
            return self.flux_handle
        if self._clone is None:
            self._clone = self.flux_handle.clone()
        return self._clone

    def then(
        self, callback: Callable[..., Any], *args: Any, timeout: float = -1.0, **kwargs: Any
    ) -> Self:
        """As `Future.then`; also calls the initialization callback."""
        super().then(callback, *args, timeout=timeout, **kwargs)
        self._init()
        return self

    def observe(self, observer: Callable[[Future], None]) -> None:
        """As `Future.observe`; also calls the initialization callback."""
        super().observe(observer)
        if not self._blocking:
            self._init()

    def fulfill(self, result: Any = None) -> None:
        """Fulfil the future with a result, or queue one if it already has a result."""
        super().fulfill(result)
        if self._blocking and self._clone is not None:
            self._clone.reactor_stop()

    def _wait(self, timeout: float) -> None:
        self._blocking = True
        try:
            self._init()
            flux_handle = self.get_flux()
            if self._result is not PENDING or flux_handle is None:
                return
            timer = None
            if timeout >= 0:
                timer = flux_handle.timer_watcher_create(
                    timeout, lambda *_: flux_handle.reactor_stop()
                ).start()
            try:
                flux_handle.reactor_run()
            finally:
                if timer is not None:
                    timer.stop()
            if self._result is PENDING and (timer is None or flux_handle.get_reactor().active()):
                super()._wait(-1.0 if timeout < 0 else 0)
        finally:
            self._blocking = False
