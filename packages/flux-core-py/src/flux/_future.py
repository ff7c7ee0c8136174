"""One future: `Future` and `FutureExt`.  They are public as `flux.future`."""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Generator
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Any, Callable

from flux._duration import limit
from flux.message import error_text
from flux.wrapper import Pimpl, Wrapper

if TYPE_CHECKING:
    from typing_extensions import Self

    from flux.core.handle import Flux
    from flux.core.reactor import Reactor
    from flux.core.watchers import TimerWatcher


#: Longest single sleep, in seconds; a signal handler may fulfil what is waited for.
_SLICE = 1.0


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

    # The states of a future are what these hold; every change is one step of the table below, and
    # each step may be the last before an exception, or be repeated.
    #
    #   results   _then   _armed   state                     next
    #   -------   -----   ------   -----------------------   ------------------------------------
    #   []        None    []       pending                   fulfil, then
    #   []        set     [1]      awaited                   fulfil: it is put among what is ready
    #   [r, ...]  None    []       ready                     get, reset, then
    #   [r, ...]  set     [1]      ready and awaited         the dispatcher takes the 1 and calls
    #   [r, ...]  set     []       called back for `r`       reset
    #   []        set     []       called back, and then     reset by the next result's consumer
    #
    # `reset` drops the first result, and asks to be called back for the next if there is a
    # continuation.  `_passed` notes that some results have no place in the queue any more.
    #
    # Defaults are class attributes so that an RPC costs only what differs from them.
    flux_handle: Flux | None = None
    results: list[Any]
    _then: tuple[Callable[..., Any], tuple[Any, ...]] | None = None
    _armed: list[int] | tuple[()] = ()
    _passed = False
    _timer: TimerWatcher | None = None
    _timeout = -1.0
    _observers: dict[Callable[[Future], None], None] | None = None
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
        self.results = []
        if future_handle is not None:
            if not isinstance(future_handle, Future) or isinstance(future_handle.pimpl, Wrapper):
                self.handle = future_handle
                return
            self._origin = future_handle
            # As in C, where both would be one object.
            self.results = future_handle.results
            if self.flux_handle is None:
                self.flux_handle = future_handle.flux_handle
            future_handle.observe(self.tell)

    # -- reading

    def is_ready(self) -> bool:
        """Return True if there is a result, so that `get` does not block."""
        return bool(self.results)

    def get(self) -> Any:
        """Wait for the result and return it: what `fulfill` was given.

        Raises:
            OSError: The future was fulfilled with an error; EDEADLK, nothing can fulfil it.
        """
        result = self._decoded(self._taken())
        if result.__class__ is Failure:
            result.throw()
        return result

    def _taken(self) -> Any:
        """Wait for the result and return it as it came; raise it if it is an error."""
        if not self.results:
            self.wait_for()
        result = self.results[0]
        if result.__class__ is Failure:
            result.throw()
        return result

    def wait_for(self, timeout: float = -1.0) -> Self:
        """Wait for the result without taking it.

        Args:
            timeout: Seconds to wait at most; negative for no limit.

        Returns:
            The future.

        Raises:
            OSError: ETIMEDOUT, the time ran out; EDEADLK, nothing can fulfil the future.
            ValueError: The timeout is NaN.
        """
        if timeout != -1.0:
            timeout = limit(timeout)
        if not self.results:
            if timeout != 0:
                self._wait(timeout)
            if not self.results:
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
        deadline = time.monotonic() + timeout
        while not self.results and timeout > 0:
            time.sleep(min(timeout, _SLICE))
            timeout = deadline - time.monotonic()

    def error_string(self) -> str | None:
        """Return the text of the error that the future was fulfilled with, or None."""
        result = self.results[0] if self.results else None
        return result.text if isinstance(result, Failure) else None

    # -- fulfilling

    def fulfill(self, result: Any = None) -> None:
        """Fulfil the future with a result, or queue one if it already has a result."""
        self.results.append(result)
        self.tell()

    def tell(self, _future: Future | None = None) -> None:
        """Tell of results those who wait for them; doing so again is harmless."""
        if not self.results:
            return
        if self._then is not None:
            # In its place among the other messages; a place too many is passed over.
            self.schedule()
        if self._timer is not None:
            self._timer.stop()
        if self._observers is not None:
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
        self.fulfill(other._decoded(other.results[-1]))

    def _decoded(self, result: Any) -> Any:
        """Return what `get` would make of a result, errors included."""
        return result if self._origin is None else self._origin._decoded(result)

    def reset(self) -> None:
        """Drop the result and go on to the next one.

        The continuation, if there is one, will be called for that.
        """
        self._await_next()
        del self.results[:1]

    def _await_next(self) -> None:
        """Ask to be called back for the result after the first, which is about to be dropped."""
        if self._then is not None:
            if not self._armed:
                self._hold()
                self._armed = [1]
            if len(self.results) < 2:
                self._passed = False
                self._start_timer()
            elif self._passed:
                self.schedule()

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
            ValueError: The callback is None, or the timeout NaN.
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
        if timeout != -1.0:
            timeout = limit(timeout)
        if kwargs:
            callback = partial(callback, **kwargs)
        self._hold()
        self._then = (callback, args)
        self._armed = [1]
        if self.results:
            self._passed = True
            self.schedule()
        elif timeout >= 0:
            self._timeout = timeout
            self._start_timer()
        return self

    def keeps_running(self) -> bool:
        """Return True if the reactor is to run on for the continuation."""
        return bool(self._armed) and (bool(self.results) or self.under_way())

    def under_way(self) -> bool:
        """Return True if what will fulfil the future is known, and to come from a broker."""
        return self._origin is not None and self._origin.under_way()

    def stop(self) -> None:
        """Do not call the continuation any more."""
        # In this order: what is not armed can be given another continuation.
        self._armed = ()
        self._then = None
        if self._timer is not None:
            self._timer.stop()
        self._release()

    def schedule(self) -> None:
        """Give the future a place among what is to be dispatched."""
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
        flux_handle._dispatcher.held[self] = None

    def _release(self) -> None:
        if self.flux_handle is not None:
            self.flux_handle._dispatcher.held.pop(self, None)

    def _start_timer(self) -> None:
        if self._timeout < 0 or self.flux_handle is None:
            return
        if self._timer is None:
            self._timer = self.flux_handle.timer_watcher_create(self._timeout, self._expire)
        self._timer.reset()

    def _expire(self, *_args: Any) -> None:
        if not self.results:
            self.fulfill_error(errno.ETIMEDOUT)

    def observe(self, observer: Callable[[Future], None]) -> None:
        """Have ``observer(future)`` called at each fulfilment, at once and outside the reactor.

        It is called again where an exception may have cut its call short: it looks at what is
        there rather than counting its calls.
        """
        if self._observers is None:
            self._observers = {}
        self._observers[observer] = None

    def unobserve(self, observer: Callable[[Future], None]) -> None:
        """Take back `observe`."""
        if self._observers is not None:
            self._observers.pop(observer, None)

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
        if not self.results:
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


class Again(partial):  # type: ignore[type-arg]
    """A continuation to be called again if an exception has cut it short."""


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
            if self.results or flux_handle is None:
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
            if not self.results and (timer is None or flux_handle.get_reactor().active()):
                super()._wait(-1.0 if timeout < 0 else 0)
        finally:
            self._blocking = False
