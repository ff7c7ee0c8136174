"""Parsers of command lines as those of flux's commands."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Sequence
from typing import Any

import flux._ours  # noqa: F401 - refuses another flux
from flux.util._actions import help_formatter

__all__ = ["FluxArgumentParser"]


class _Hiding:
    """Adds options that have more names than the help shows."""

    def add_argument(self, *args: Any, hidden_aliases: Iterable[str] = (), **kwargs: Any) -> Any:
        """Add an argument.

        Args:
            *args: As for argparse.
            hidden_aliases: More names for the option.
            **kwargs: As for argparse.

        Raises:
            TypeError: The names are one text.
        """
        if isinstance(hidden_aliases, str):
            raise TypeError(f"hidden_aliases is a tuple or list of names, not {hidden_aliases!r}")
        hidden = tuple(hidden_aliases)
        action = super().add_argument(*args, *hidden, **kwargs)  # type: ignore[misc]
        if hidden:
            action.hidden_option_strings = set(hidden)
        return action


class _Group(_Hiding, argparse._ArgumentGroup):
    pass


class _ExclusiveGroup(_Hiding, argparse._MutuallyExclusiveGroup):
    pass


class FluxArgumentParser(_Hiding, argparse.ArgumentParser):
    """A parser that takes no abbreviations of options.

    Args:
        *args: As for argparse.
        posix: End the options at the first argument that is none, so that those of a command to
            run are its own.  Then the last argument takes all that remain (argparse.REMAINDER).
        raw_description: Leave the description as it was written.
        argwidth: How wide options may be in the help.
        **kwargs: As for argparse; a ``formatter_class`` takes the place of these two.
    """

    def __init__(
        self,
        *args: Any,
        posix: bool = False,
        raw_description: bool = False,
        argwidth: int = 40,
        **kwargs: Any,
    ) -> None:
        kwargs.setdefault("formatter_class", help_formatter(argwidth, raw_description))
        kwargs.setdefault("allow_abbrev", False)
        super().__init__(*args, **kwargs)
        self.posix = posix

    def add_argument_group(self, *args: Any, **kwargs: Any) -> argparse._ArgumentGroup:
        """Add a group, as in argparse."""
        group = _Group(self, *args, **kwargs)
        self._action_groups.append(group)
        return group

    def add_mutually_exclusive_group(self, **kwargs: Any) -> argparse._MutuallyExclusiveGroup:
        """Add a group of options of which one may be given, as in argparse."""
        group = _ExclusiveGroup(self, **kwargs)
        self._mutually_exclusive_groups.append(group)
        return group

    def parse_args(  # type: ignore[override, unused-ignore]
        self, args: Sequence[str] | None = None, namespace: Any = None
    ) -> Any:
        """Parse a command line, as in argparse."""
        if not self.posix:
            return super().parse_args(args, namespace)
        words = list(sys.argv[1:] if args is None else args)
        count = self._count_options(words)
        result = super().parse_args(words[:count], namespace)
        rest = words[count:]
        for action in self._actions:
            if action.nargs == argparse.REMAINDER:
                setattr(result, action.dest, [*(getattr(result, action.dest) or ()), *rest])
                return result
        if rest:
            self.error(f"unrecognized arguments: {' '.join(rest)}")
        return result

    def _count_options(self, words: list[str]) -> int:
        """Return how many words there are before the first that is neither option nor its value."""
        number = 0
        while number < len(words):
            word = words[number]
            if not self._is_option(word):
                break
            number += 1
            long = word[1] in self.prefix_chars
            if "=" not in word if long else len(word) == 2:
                action = self._option_string_actions.get(word)
                if action is not None:
                    number += self._count_values(action, words[number:])
        return number

    def _is_option(self, word: str) -> bool:
        if word == "--" or len(word) < 2 or word[0] not in self.prefix_chars:
            return False
        # A negative number is none, unless there are options that look like one.
        is_number = self._negative_number_matcher.match(word)
        return not is_number or bool(self._has_negative_number_optionals)

    def _count_values(self, action: argparse.Action, words: list[str]) -> int:
        if action.nargs is None:
            return 1
        if isinstance(action.nargs, int):
            return min(action.nargs, len(words))
        values = next((n for n, word in enumerate(words) if self._is_option(word)), len(words))
        if "--" in words[:values]:
            values = words.index("--")
        return {"?": min(values, 1), "*": values, "+": values}.get(str(action.nargs), 0)
