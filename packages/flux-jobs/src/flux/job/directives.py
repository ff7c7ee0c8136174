"""Options of ``flux batch`` in its scripts, after ``flux:`` (RFC 36)."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable

__all__ = ["Directive", "DirectiveParser", "MultiLine"]

#: A prefix without letters, digits and underscores, such as ``# ``, the tag, and the directive.
_LINE = re.compile(r"([^\w]*?)(flux:|FLUX:)(.*)", re.DOTALL)
_QUOTES = ('"""', "'''")
#: Text between two of the same triple quotes.
_QUOTED = re.compile(r'("""|\'\'\')(.*?)\1', re.DOTALL)


class Directive:
    """A directive.

    Args:
        value: What follows the tag, quoted as in a shell, also with a comment at its end.
        lineno: The number of its line, for messages.

    Raises:
        ValueError: It does not begin with an option, or a quote is not closed.

    Attributes:
        args: Its words.
        action: ``SETARGS``: the words are arguments of the command; ``NOOP``: there are none.
        lineno: As given.
    """

    def __init__(self, value: str, lineno: int = -1) -> None:
        self.lineno = lineno
        lexer = shlex.shlex(value, posix=True, punctuation_chars=True)
        lexer.whitespace_split = True
        # What `shlex.quote` makes of a single quote has to be read back, too.
        lexer.escapedquotes = "\"'"
        try:
            self.args = list(lexer)
        except ValueError as exc:
            raise ValueError(f"line {lineno}: {value}: {exc}") from None
        if self.args and not self.args[0].startswith("-"):
            raise ValueError(f"line {lineno}: Unknown directive: {value}")
        self.action = "SETARGS" if self.args else "NOOP"

    def __str__(self) -> str:
        return f"{self.action}({self.args})"


class MultiLine:
    """A directive over several lines, from a triple quote at the end of one to another.

    Attributes:
        inprogress: Whether it has begun and not ended.
        start: Its first line.
        startline: The number of that line.
    """

    def __init__(self) -> None:
        self.inprogress = False
        self.start = ""
        self.startline = -1
        self._quotes = ""
        self._indent = ""
        self._lines: list[str] = []

    def append(self, value: str) -> None:
        """Add a line, without the indentation of the first."""
        indented = value.startswith(self._indent)
        self._lines.append(value[len(self._indent) :] if indented else value)

    def process(self, value: str, lineno: int) -> str | None:
        """Take a line that ends with a triple quote.

        Args:
            value: The line.
            lineno: Its number.

        Returns:
            The directive on one line, once it has ended.

        Raises:
            ValueError: As `finish`.
        """
        if not self.inprogress:
            self.inprogress, self.startline = True, lineno
            self.start, self._quotes = value.lstrip(), value[-3:]
            self._indent = value[: len(value) - len(self.start)]
        elif value[-3:] != self._quotes:
            # Quotes of the other kind are text.
            self.append(value)
            return None
        else:
            self.append(value[:-3])
            return self.finish()
        self.append(value[:-3])
        return None

    def finish(self) -> str:
        """End the directive.

        Returns:
            The directive on one line, its text quoted as in a shell.

        Raises:
            ValueError: Its quotes are in its text.
        """
        first, *lines = self._lines
        result = first + shlex.quote("\n".join(lines))
        if self._quotes in result:
            raise ValueError(f"improperly terminated triple quoted string at: `{self.start}'")
        self.__init__()  # type: ignore[misc]
        return result


class DirectiveParser:
    """The directives in a script.

    Args:
        inputfile: The lines of the script.

    Raises:
        ValueError: A directive is malformed, has another tag or prefix than the first, or stands
            after the script has begun; the text begins with the number of the line.

    Attributes:
        directives: The directives.
        script: The script.
        sentinel: The prefix and tag; None if there is no directive.
        prefix: The prefix; None if there is no directive.
    """

    def __init__(self, inputfile: Iterable[str]) -> None:
        self.directives: list[Directive] = []
        self.script = ""
        self.sentinel: str | None = None
        self.prefix: str | None = None
        #: The last line that directives could stand in.
        self._last: int | None = None
        self._multiline = MultiLine()
        lineno = 0
        for lineno, line in enumerate(inputfile, 1):
            self.script += line
            match = _LINE.fullmatch(line.rstrip("\n"))
            if match is None:
                self._other_line(line, lineno)
            else:
                self._line(match, lineno)
        if self._multiline.inprogress:
            self._unterminated(lineno)

    def _unterminated(self, lineno: int) -> None:
        raise ValueError(
            f"line {lineno}: unterminated multi-line quote at line {self._multiline.startline}: "
            f"`{self._multiline.start}'"
        )

    def _other_line(self, line: str, lineno: int) -> None:
        if self._multiline.inprogress:
            self._unterminated(lineno)
        comment = self.prefix is None or line.startswith(self.prefix.rstrip())
        if self._last is None and not comment and line.strip():
            self._last = lineno - 1

    def _line(self, match: re.Match[str], lineno: int) -> None:
        prefix, tag, rest = match.groups()
        if self._last is not None:
            raise ValueError(
                f"line {lineno}: orphan '{tag}' detected: directives disabled after line "
                f"{self._last}, where the script begins"
            )
        try:
            value = self.triplequote(rest)
        except ValueError as exc:
            raise ValueError(f"line {lineno}: {exc}") from None
        if self.sentinel is None:
            self.sentinel, self.prefix = prefix + tag, prefix
        elif prefix + tag != self.sentinel:
            raise ValueError(
                f"line {lineno}: sentinel changed from '{self.sentinel}' to '{prefix + tag}': all "
                "directives of a script begin alike. To disable one, put a # after it: "
                f"{self.sentinel} #{value}"
            )
        if value.endswith(_QUOTES):
            begun = self._multiline.startline if self._multiline.inprogress else lineno
            try:
                result = self._multiline.process(value, lineno)
            except ValueError as exc:
                raise ValueError(f"line {lineno}: {exc}") from None
            if result:
                self.append(result, begun)
        elif self._multiline.inprogress:
            self._multiline.append(value)
        elif value:
            self.append(value, lineno)

    def triplequote(self, value: str) -> str:
        """Return a line with text in triple quotes quoted as in a shell.

        Raises:
            ValueError: A triple quote stands neither before another nor at the end.
        """
        if any(value.count(quotes) and value.count(quotes) % 2 == 0 for quotes in _QUOTES):
            return _QUOTED.sub(lambda match: shlex.quote(match[2]), value)
        if any(quotes in value[:-1] for quotes in _QUOTES):
            raise ValueError(f"unclosed triple quote: {value.strip()}")
        return value

    def append(self, value: str, lineno: int) -> None:
        """Add a directive.

        Raises:
            ValueError: As `Directive`.
        """
        self.directives.append(Directive(value, lineno))
