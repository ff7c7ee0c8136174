"""The decorators that make a method a handler, and what they leave on it.

A handler is known by the name of its method.  So a subclass replaces a handler by defining a
method of that name, decorated anew or not, and removes it by assigning None.
"""

from __future__ import annotations

from typing import Any, Callable, NamedTuple, TypeVar

from flux.constants import (
    FLUX_MSGTYPE_EVENT,
    FLUX_MSGTYPE_REQUEST,
    FLUX_ROLE_OWNER,
    FLUX_ROLE_USER,
)

F = TypeVar("F", bound=Callable[..., Any])

_ATTRIBUTE = "_flux_handlers"


class Spec(NamedTuple):
    """What one decorator asks for."""

    msgtype: int
    topic: str
    prefix: bool = True
    rolemask: int | None = None

    def full_topic(self, name: str) -> str:
        """Return the topic, or glob, for a module of a given name."""
        return f"{name}.{self.topic}" if self.prefix else self.topic

    def is_glob(self) -> bool:
        """Return True if the topic may match more than itself."""
        return any(char in self.topic for char in "*?[")


def request_handler(topic: str, prefix: bool = True, allow_guest: bool = False) -> Callable[[F], F]:
    """Make a method the handler of requests with a certain topic.

    It is called as ``method(self, msg)`` for each request, and responds with
    ``self.handle.respond`` or ``respond_error``, at once or later.  If it raises, so does `run`,
    after the request was answered with the error.  It may be ``async def``: other messages are
    then handled while it awaits.

    Example:
        >>> @request_handler("info", allow_guest=True)
        ... def info(self, msg):
        ...     self.handle.respond(msg, {"name": self.name})

    Args:
        topic: The topic without the module's name: the method name of the service.  May be a
            glob in the manner of fnmatch(3), for topics that have no handler of their own.
        prefix: Put the module's name and a dot before the topic.  If False the topic is used as it
            is; the module must register the service that its first word names.
        allow_guest: Also take requests of users other than the instance owner, which are
            otherwise refused with EPERM.
    """
    rolemask = FLUX_ROLE_OWNER | FLUX_ROLE_USER if allow_guest else None
    return _marker(Spec(FLUX_MSGTYPE_REQUEST, topic, prefix, rolemask))


def event_handler(topic: str, prefix: bool = True) -> Callable[[F], F]:
    """Make a method the handler of events with a certain topic, and subscribe to them.

    It is called as ``method(self, msg)`` for each event that the instance owner published.  It
    may be ``async def``.

    Args:
        topic: The topic without the module's name.  May be a glob in the manner of fnmatch(3).
        prefix: Put the module's name and a dot before the topic.
    """
    return _marker(Spec(FLUX_MSGTYPE_EVENT, topic, prefix))


def _marker(spec: Spec) -> Callable[[F], F]:
    if not isinstance(spec.topic, str):
        raise TypeError(f"a handler's topic is a string, not {spec.topic!r}: use it as @handler(…)")

    def mark(func: F) -> F:
        # Decorators apply from the bottom up; they are registered in the order they are read.
        setattr(func, _ATTRIBUTE, (spec, *getattr(func, _ATTRIBUTE, ())))
        return func

    return mark


def subscription(glob: str) -> str:
    """Return the longest string that all topics matched by a glob begin with.

    Brokers know subscriptions as plain prefixes; the rest is matched by the receiver.
    """
    for i, char in enumerate(glob):
        if char in "*?[":
            return glob[:i]
    return glob


def find_handlers(cls: type) -> list[tuple[str, Spec]]:
    """Return the handlers of a class, as method name and spec, in the order of registration.

    Of several methods that claim the same requests only the most derived, or last defined, is
    returned.
    """
    found: dict[str, tuple[Spec, ...]] = {}
    for base in reversed(cls.__mro__):
        for attribute in vars(base):
            # As an attribute of the class, which looks through staticmethod and classmethod.
            value = getattr(base, attribute, None)
            specs = getattr(value, _ATTRIBUTE, None)
            if specs:
                # Moved to the end: an override counts as defined where it stands.
                found.pop(attribute, None)
                found[attribute] = specs
            elif attribute in found and not callable(value):
                del found[attribute]
    handlers: list[tuple[str, Spec]] = []
    claimed: set[tuple[str, bool]] = set()
    for attribute in reversed(found):
        for spec in reversed(found[attribute]):
            claim = (spec.topic, spec.prefix)
            if spec.msgtype == FLUX_MSGTYPE_REQUEST:
                if claim in claimed:
                    continue
                claimed.add(claim)
            handlers.append((attribute, spec))
    handlers.reverse()
    return handlers
