"""Files that a jobspec carries, such as the script of ``flux batch`` (RFC 14, RFC 37)."""

from __future__ import annotations

import base64
import errno
import json
import os
from typing import Any

from flux.devbroker._jobs import _request

_DEFAULT_MODE = 0o600
_MODE_BITS = 0o777


def stage(spec: dict[str, Any], directory: str) -> None:
    """Write the files of a jobspec into a job's directory.

    Args:
        spec: The jobspec.
        directory: The directory, which exists.

    Raises:
        OSError: EINVAL, one of them is malformed; otherwise, one cannot be written.
    """
    directory = os.path.normpath(directory)
    for name, file in _request.table(_request.system(spec), "files").items():
        path = os.path.normpath(os.path.join(directory, name))
        if not path.startswith(f"{directory}/"):
            raise OSError(errno.EINVAL, "is not a name within the job's directory", name)
        try:
            data = _content(file)
            mode = int(file.get("mode", _DEFAULT_MODE))
        except (ValueError, TypeError, KeyError, AttributeError):
            raise OSError(errno.EINVAL, "is not a file as a jobspec has them", name) from None
        os.makedirs(os.path.dirname(path), exist_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode & _MODE_BITS)
        with open(descriptor, "wb") as stream:
            stream.write(data)


def _content(file: dict[str, Any]) -> bytes:
    data, encoding = file["data"], file.get("encoding")
    if encoding is None:
        # Any JSON value, to be found in the file as it is.
        return json.dumps(data).encode()
    if encoding == "base64":
        return base64.b64decode(data, validate=True)
    if encoding != "utf-8":
        raise ValueError(encoding)
    return bytes(data.encode())
