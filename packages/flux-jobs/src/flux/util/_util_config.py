"""Configuration of command-line tools, with their named formats."""

from __future__ import annotations

import copy
import os
import re
import sys
from collections.abc import Mapping
from typing import IO, TYPE_CHECKING, Any, Callable

from flux.util._config_files import HANDLERS, load, xdg_searchpath
from flux.util._treedict import dict_merge

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["UtilConfig"]


class UtilConfig:
    """The configuration of a tool, from the user's and the system's directories for it.

    Args:
        name: The name of the files, without ``.toml``, ``.json`` or ``.yaml``.
        toolname: The name of the tool, if that is another.
        subcommand: The table in the files that counts.
        initial_dict: What it begins with.

    Attributes:
        dict: All of it.
        config: The table that counts.  What is in it are also attributes of this object.
    """

    extension_handlers: Mapping[str, Callable[[IO[bytes]], Any]] = HANDLERS
    builtin_formats: Mapping[str, Any] = {}

    def __init__(
        self,
        name: str,
        toolname: str | None = None,
        subcommand: str | None = None,
        initial_dict: Mapping[str, Any] | None = None,
    ) -> None:
        self.name = name
        self.toolname = toolname
        self.subtable = subcommand
        self.dict: dict[str, Any] = dict(copy.deepcopy(initial_dict or {}))
        self.config: Any = self.dict
        # What comes later counts more.
        self.searchpath = xdg_searchpath()[::-1]

    def __getattr__(self, attr: str) -> Any:
        try:
            return self.__dict__["config"][attr]
        except KeyError:
            raise AttributeError(f"there is no {attr!r} in this configuration") from None

    def load(self) -> Self:
        """Read the files.

        Returns:
            This object.

        Raises:
            ValueError: One cannot be parsed, or is not valid; the text names it.
            OSError: One cannot be read.
        """
        for directory in self.searchpath:
            for path in sorted(directory.glob(f"{self.name}.*")):
                handler = self.extension_handlers.get(path.suffix)
                if handler is None:
                    continue
                conf = load(path, handler)
                self.validate(str(path), conf)
                dict_merge(self.dict, conf)
        if self.subtable and self.subtable in self.dict:
            self.config = self.dict[self.subtable]
        return self

    def validate(self, path: str, conf: Any) -> None:
        """Check a file before it counts; here, nothing.

        Args:
            path: The file.
            conf: What is in it.

        Raises:
            ValueError: It is not valid.
        """

    def validate_formats(self, path: str, formats: Any) -> None:
        """Check a table of named formats.

        Args:
            path: The file.
            formats: The table.

        Raises:
            ValueError: It is malformed, or has a format of the tool's own.
        """
        if not isinstance(formats, dict):
            raise ValueError(f"{path}: the 'formats' key must be a mapping")  # noqa: TRY004, RUF100
        builtin = self.builtin_formats
        if self.subtable:
            builtin = builtin.get(self.subtable, builtin)
        for name, entry in formats.items():
            if name in builtin:
                raise ValueError(f"{path}: override of builtin format '{name}' not permitted")
            if not isinstance(entry, dict):
                raise ValueError(f"{path}: 'formats.{name}' must be a mapping")  # noqa: TRY004, RUF100
            if "format" not in entry:
                raise ValueError(f"{path}: formats.{name}: required key 'format' missing")
            if not isinstance(entry["format"], str):
                raise ValueError(  # noqa: TRY004, RUF100
                    f"{path}: formats.{name}: 'format' key must be a string"
                )

    def get_format_string(self, format_name: str) -> str:
        """Return a format.

        Args:
            format_name: Its name, or itself.  ``help`` and ``get-config=NAME`` write to standard
                output what there is.  For ``default`` the environment variable
                ``NAME_FORMAT_DEFAULT`` counts, if there is one.

        Raises:
            ValueError: There is none of this name.
            SystemExit: After ``help`` and ``get-config=NAME``.
        """
        formats: Mapping[str, Any] = {} if "{" in format_name else self.formats
        if format_name == "help":
            sys.stdout.write(f"\nConfigured {self.name} output formats:\n\n")
            for name, entry in formats.items():
                description = entry.get("description", "")
                sys.stdout.write(f"  {name:<12} {description}".rstrip() + "\n")
            sys.exit(0)
        if format_name.startswith("get-config="):
            self._write_format(format_name.partition("=")[2], formats)
            sys.exit(0)
        if format_name == "default":
            format_name = os.environ.get(self._variable(), format_name)
        if "{" in format_name:
            return format_name
        if format_name not in formats:
            fields = re.sub(r"\w+", r"{\g<0>}", format_name)
            raise ValueError(f"--format: No such format {format_name} (Did you mean '{fields}'?)")
        fmt: str = formats[format_name]["format"]
        return fmt

    def _variable(self) -> str:
        parts = [self.toolname or self.name, *([self.subtable] if self.subtable else [])]
        return "_".join([*parts, "format_default"]).upper().replace("-", "_")

    def _write_format(self, name: str, formats: Mapping[str, Any]) -> None:
        if name not in formats:
            raise ValueError(f"--format: No such format {name}")
        table = f"{self.subtable}.formats" if self.subtable else "formats"
        sys.stdout.write(f"[{table}.{name}]\n")
        for key in ("description", "format"):
            if key in formats[name]:
                sys.stdout.write(f'{key} = "{formats[name][key]}"\n')
