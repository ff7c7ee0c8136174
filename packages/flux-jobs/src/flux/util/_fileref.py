"""Files in a jobspec (RFC 37)."""

from __future__ import annotations

import base64
import os
import stat
from collections.abc import Mapping
from typing import Any, Union

__all__ = ["Fileref"]

_ENCODINGS = ("base64", "utf-8")


class Fileref(dict[str, Any]):
    """A file as RFC 37 has it, ready for JSON.

    Args:
        data: A mapping, which the file will hold as JSON; with an encoding, the content; without,
            the path of a file to read.
        perms: The permissions; those of the file where it is read from one.
        encoding: ``utf-8`` or ``base64``.

    Raises:
        OSError: The file cannot be read.
        ValueError: The encoding is another one.
    """

    def __init__(
        self,
        data: Union[Mapping[str, Any], str, bytes, os.PathLike[str]],  # noqa: UP007
        perms: int = 0o600,
        encoding: str | None = None,
    ) -> None:
        mode = perms | stat.S_IFREG
        if isinstance(data, Mapping):
            super().__init__(mode=mode, data=data)
        elif encoding is not None:
            if encoding not in _ENCODINGS:
                raise ValueError(f"the encoding of a file is utf-8 or base64, not {encoding!r}")
            super().__init__(mode=mode, data=data, encoding=encoding)
        else:
            with open(data, "rb") as file:
                # Of the very file that is read.
                status = os.fstat(file.fileno())
                content = file.read()
            try:
                text, encoding = content.decode(), "utf-8"
            except UnicodeDecodeError:
                text, encoding = base64.b64encode(content).decode("ascii"), "base64"
            super().__init__(size=len(content), mode=status.st_mode, data=text, encoding=encoding)
