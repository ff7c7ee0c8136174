"""Options of command-line programs, for argparse."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from typing import Any, Callable

from flux.util._treedict import json_or_text, set_treedict

__all__ = [
    "ColorAction",
    "FilterAction",
    "FilterActionSetUpdate",
    "FilterActionUser",
    "FilterTrueAction",
    "TreedictAction",
    "YesNoAction",
    "help_formatter",
]


class TreedictAction(argparse.Action):
    """``KEY=VALUE`` arguments as a nested dict: keys are dotted paths, values JSON or text."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: Any,
        option_string: str | None = None,
    ) -> None:
        """Take the option's arguments."""
        result: dict[str, Any] = {}
        for text in values:
            key, equals, value = text.partition("=")
            if not equals:
                raise ValueError(f"Missing required value for key {text}")
            set_treedict(result, key, json_or_text(value))
        setattr(namespace, self.dest, result)


class FilterAction(argparse.Action):
    """An option that selects, which sets ``filtered``."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: Any,
        option_string: str | None = None,
    ) -> None:
        """Take the option's argument."""
        namespace.filtered = True
        self._take(namespace, values)

    def _take(self, namespace: argparse.Namespace, values: Any) -> None:
        setattr(namespace, self.dest, values)


class FilterActionSetUpdate(FilterAction):
    """One that adds what is between commas to a set."""

    def _take(self, namespace: argparse.Namespace, values: Any) -> None:
        getattr(namespace, self.dest).update(values.split(","))


class FilterActionUser(FilterAction):
    """One that selects by user, which sets ``filtereduser``, too."""

    def _take(self, namespace: argparse.Namespace, values: Any) -> None:
        namespace.filtereduser = True
        super()._take(namespace, values)


class FilterTrueAction(FilterAction):
    """One without an argument."""

    def __init__(
        self,
        option_strings: Sequence[str],
        dest: str,
        const: Any = True,
        default: Any = False,
        required: bool = False,
        help: str | None = None,  # noqa: A002 - the name in argparse
        metavar: str | None = None,
    ) -> None:
        super().__init__(
            option_strings,
            dest,
            nargs=0,
            const=const,
            default=default,
            required=required,
            help=help,
        )

    def _take(self, namespace: argparse.Namespace, values: Any) -> None:
        setattr(namespace, self.dest, self.const)


class YesNoAction(argparse.Action):
    """An option whose argument is yes or no."""

    def __init__(
        self,
        option_strings: Sequence[str],
        dest: str,
        help: str | None = None,  # noqa: A002 - the name in argparse
        metavar: str = "[yes|no]",
    ) -> None:
        super().__init__(option_strings, dest, help=help, metavar=metavar)

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: Any,
        option_string: str | None = None,
    ) -> None:
        """Take the option's argument."""
        if values not in ("yes", "no"):
            raise ValueError(f"{option_string} requires either 'yes' or 'no', not {values!r}")
        setattr(namespace, self.dest, values == "yes")


class _ColorWhen(str):
    """When to use colors: ``always``, ``never`` or ``auto``."""

    __slots__ = ()

    @property
    def enabled(self) -> bool:
        """Whether to use them now."""
        return self == "always" or (self == "auto" and sys.stdout.isatty())


class ColorAction(argparse.Action):
    """The option ``--color[=WHEN]``, whose value is a text with an attribute ``enabled``.

    If it is not given, NO_COLOR in the environment says never.
    """

    ColorWhen = _ColorWhen

    def __init__(
        self,
        option_strings: Sequence[str],
        dest: str,
        nargs: Any = "?",
        default: str = "auto",
        metavar: str = "WHEN",
        help: str = "Use color; WHEN can be 'never', 'always' or 'auto' (default)",  # noqa: A002
        **kwargs: Any,
    ) -> None:
        if default == "auto" and os.environ.get("NO_COLOR"):
            default = "never"
        super().__init__(
            option_strings,
            dest,
            nargs=nargs,
            default=_ColorWhen(default),
            metavar=metavar,
            help=help,
            **kwargs,
        )

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: Any,
        option_string: str | None = None,
    ) -> None:
        """Take the option's argument."""
        when = "always" if values is None else values
        if when not in ("auto", "always", "never"):
            parser.error(f"Invalid argument to --color: '{when}'")
        setattr(namespace, self.dest, _ColorWhen(when))


class _HelpFormatter(argparse.HelpFormatter):
    """Help with ``-l, --long=ARG``, and long options below each other."""

    def _format_action_invocation(self, action: argparse.Action) -> str:
        if not action.option_strings:
            return super()._format_action_invocation(action)
        hidden = getattr(action, "hidden_option_strings", ())
        names = [name for name in action.option_strings if name not in hidden]
        text = ", ".join(names)
        if len(names) == 1 and len(text) > 2:
            text = f"    {text}"
        if action.nargs == 0:
            return text
        return f"{text}={self._format_args(action, action.dest.upper())}"


class _RawHelpFormatter(_HelpFormatter, argparse.RawDescriptionHelpFormatter):
    """The same, with descriptions as they were written."""


def help_formatter(
    argwidth: int = 40, raw_description: bool = False
) -> Callable[..., argparse.HelpFormatter]:
    """Return a ``formatter_class`` for parsers.

    Args:
        argwidth: How wide options may be.
        raw_description: Leave descriptions as they were written.
    """
    cls = _RawHelpFormatter if raw_description else _HelpFormatter
    return lambda prog: cls(prog, max_help_position=argwidth)
