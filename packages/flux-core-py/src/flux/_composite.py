"""Futures made of futures: all of them, any of them, one after the other.

They are public as `flux.future`.
"""

from __future__ import annotations

import errno
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Callable

from flux._future import Failure, Future

if TYPE_CHECKING:
    from typing_extensions import Self


class WaitAllFuture(Future):
    """Fulfilled once all its children are (flux_future_wait_all_create(3)).

    If any child has an error, the future has the first of them.

    Args:
        children: Futures to wait for.  With an empty list more are added with `push`.

    Attributes:
        children: The futures, in the order in which they were added.
    """

    def __init__(self, children: list[Future] | None = None) -> None:
        super().__init__()
        self.children: list[Future] = []
        self._names: dict[str, Future] = {}
        for child in children or ():
            self.push(child)

    def push(self, child: Future, name: str | None = None) -> None:
        """Add a child.

        Args:
            child: The future; its handle becomes that of the composite if that has none.
            name: A name for `get_child`; the child's number if None.

        Raises:
            OSError: EEXIST, there is a child of that name.
        """
        name = str(len(self.children)) if name is None else name
        if name in self._names:
            raise OSError(errno.EEXIST, f"there is a child named '{name}' already")
        self._names[name] = child
        self.children.append(child)
        if self.flux_handle is None:
            self.flux_handle = child.get_flux()

    def get_child(self, name: str) -> Future:
        """Return a child by name.

        Raises:
            OSError: ENOENT, there is none of that name.
        """
        try:
            return self._names[name]
        except KeyError:
            raise OSError(errno.ENOENT, f"there is no child named '{name}'") from None

    def is_ready(self) -> bool:
        """Return True if there is a result, so that `get` does not block."""
        self._update()
        return super().is_ready()

    def then(
        self, callback: Callable[..., Any], *args: Any, timeout: float = -1.0, **kwargs: Any
    ) -> Self:
        """As `Future.then`."""
        self._update()
        super().then(callback, *args, timeout=timeout, **kwargs)
        if not self.results:
            for child in self.children:
                self._attach(child)
                child.observe(self._update)
        return self

    def _attach(self, child: Future) -> None:
        """Have the reactor that will call back serve a child's handle too."""
        flux_handle = child.flux_handle
        if flux_handle is not None and flux_handle is not self.flux_handle:
            if flux_handle.get_reactor() is not self.get_reactor():
                raise OSError(
                    errno.EINVAL,
                    "the children have handles with different reactors; let the handles share "
                    "one with Flux.set_reactor",
                )
            flux_handle._attach()

    def observe(self, observer: Callable[[Future], None]) -> None:
        """As `Future.observe`."""
        super().observe(observer)
        for child in self.children:
            child.observe(self._update)

    def _update(self, _child: Future | None = None) -> None:
        if self.results or not self._complete():
            return
        failures = (child.results[0] for child in self.children)
        first = next((result for result in failures if isinstance(result, Failure)), None)
        self._fulfill_once(first)

    def _fulfill_once(self, result: Any) -> None:
        # Not `fulfill`: it may be done again, by who comes in between.
        self.results[:] = (result,)
        self.tell()

    def under_way(self) -> bool:
        """Return True if what is to fulfil any of the children is under way."""
        return any(child.under_way() for child in self.children)

    def _complete(self) -> bool:
        return all(child.is_ready() for child in self.children)

    def _wait(self, timeout: float) -> None:
        deadline = time.monotonic() + timeout
        for child in self.children:
            if not child.is_ready():
                child._wait(timeout if timeout < 0 else max(0.0, deadline - time.monotonic()))
        self._update()


class WaitAnyFuture(WaitAllFuture):
    """Fulfilled once any of its children is (flux_future_wait_any_create(3)).

    Args:
        children: Futures to wait for.  With an empty list more are added with `push`.
    """

    def _complete(self) -> bool:
        return any(child.is_ready() for child in self.children)

    def _update(self, _child: Future | None = None) -> None:
        if not self.results and self._complete():
            self._fulfill_once(None)

    def _wait(self, timeout: float) -> None:
        if self.flux_handle is None:
            super()._wait(timeout)
        else:
            for child in self.children:
                child.observe(self._update)
            self.flux_handle._session.wait(self.is_ready, timeout)


class Chained(Future):
    """What `Future.and_then` and `Future.or_then` return."""

    def __init__(
        self,
        prev: Future,
        on_error: bool,
        callback: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
    ) -> None:
        super().__init__(flux_handle=prev.flux_handle)
        self._prev = prev
        self._on_error = on_error
        self._call = (callback, args, kwargs)
        self._next: Future | None = None
        self._started = False
        self._continued = False

    def _continue(self, prev: Future) -> None:
        """Decide what follows the previous future's result."""
        if self._continued:
            return
        self._continued = True
        if isinstance(prev.results[0], Failure) != self._on_error:
            self.fulfill_with(prev)
            return
        callback, args, kwargs = self._call
        try:
            value = callback(prev, *args, **kwargs)
        except OSError as exc:
            self.fulfill_error(exc.errno or errno.EIO, exc.strerror or str(exc))
            return
        if isinstance(value, Future):
            self._next = value
        elif value is None:
            self.fulfill_with(prev)
        else:
            self.fulfill(value)

    def _start(self) -> None:
        if not self._started and self.flux_handle is not None:
            self._started = True
            self._prev.then(self._prev_ready)

    def _prev_ready(self, prev: Future) -> None:
        self._continue(prev)
        if self._next is not None:
            self._next.then(self.fulfill_with)

    def then(
        self, callback: Callable[..., Any], *args: Any, timeout: float = -1.0, **kwargs: Any
    ) -> Self:
        """As `Future.then`; the whole chain begins to run in the reactor."""
        super().then(callback, *args, timeout=timeout, **kwargs)
        self._start()
        return self

    def observe(self, observer: Callable[[Future], None]) -> None:
        """As `Future.observe`."""
        super().observe(observer)
        self._start()

    def _wait(self, timeout: float) -> None:
        deadline = time.monotonic() + timeout
        if self._next is None:
            self._prev.wait_for(timeout)
            self._continue(self._prev)
        if self._next is not None and not self.results:
            self._next._wait(timeout if timeout < 0 else max(0.0, deadline - time.monotonic()))
            if self._next.is_ready():
                self.fulfill_with(self._next)
