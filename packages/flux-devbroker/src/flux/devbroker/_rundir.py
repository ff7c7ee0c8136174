"""The broker's private directory: the socket, and a ``flux`` command for the programs it starts."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import shlex
import shutil
import stat
import tempfile
from pathlib import Path

from _flux import boot
from flux._connector import MAX_SOCKET_PATH
from flux.devbroker._hints import explained

#: Name of the socket of rank 0 within the directory.
SOCKET = "local-0"

#: Name of the file within it that is locked as long as the broker lives.
LOCK = "devbroker.lock"

_PREFIX = "flux-"

#: The ``flux`` command: a script for Python itself, as shells drop environment variables whose
#: names they do not know.
_SCRIPT = """\
#!{python}
# The flux command of this development broker, of flux.devbroker.
import sys
sys.argv[:1] = [{boot!r}, "flux.devbroker"]
with open({boot!r}, encoding="utf-8") as file:
    code = compile(file.read(), {boot!r}, "exec")
exec(code, {{"__name__": "__main__", "__file__": {boot!r}}})
"""

#: The same where the path of the interpreter is too long for the first line, or has blanks.
_SHELL_SCRIPT = """\
#!/bin/sh
# The flux command of this development broker, of flux.devbroker.
exec {command} "$@"
"""

#: Bytes of a script's first line that the kernel reads, in the smallest of its versions.
_MAX_FIRST_LINE = 127


def _script() -> str:
    words = boot.command("flux.devbroker")
    python, path = words[:2]
    if len(os.fsencode(python)) + 3 > _MAX_FIRST_LINE or any(map(str.isspace, python)):
        return _SHELL_SCRIPT.format(command=shlex.join(words))
    return _SCRIPT.format(python=python, boot=path)


class RunDir:
    """A directory for one broker.

    Args:
        path: Where; None for a new one.
        cleanup: "0" to leave it at the end and remove only what was put into it; if None, that
            is done with one that exists already.

    Attributes:
        path: Where it is.
        cleanup: Whether it is removed at the end.
        bin: The directory of the ``flux`` command.

    Raises:
        OSError: It cannot be made.
    """

    def __init__(self, path: str | None = None, cleanup: str | None = None) -> None:
        if path is None:
            path = make_private_directory()
            self.cleanup = cleanup != "0"
        elif os.path.isdir(path):
            self.cleanup = cleanup not in (None, "0")
        else:
            try:
                os.mkdir(path, 0o700)
            except OSError as exc:
                raise explained(exc, f"cannot make the broker's directory {path}") from None
            self.cleanup = cleanup != "0"
        self.path = path
        self._lock: int | None = None
        self.bin = os.path.join(path, "bin")
        remove_abandoned()
        try:
            if self.cleanup:
                self._lock = _locked(path)
            os.makedirs(self.bin, 0o700, exist_ok=True)
            shim = Path(self.bin, "flux")
            shim.write_text(_script(), encoding="utf-8", errors="surrogateescape")
            shim.chmod(0o700)
        except OSError as exc:
            self.remove()
            raise explained(exc, f"cannot write to the broker's directory {path}") from None
        except BaseException:
            self.remove()
            raise

    def open_to_others(self, on: bool) -> None:
        """Let other users get at the socket, or not."""
        if self.cleanup:
            os.chmod(self.path, 0o711 if on else 0o700)

    def remove(self) -> None:
        """Remove it, or what was put into it."""
        shutil.rmtree(self.path if self.cleanup else self.bin, ignore_errors=True)
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None


def _locked(path: str) -> int:
    """Lock a directory for the life of this process, and return the descriptor that does it."""
    # Under its name there is never one that is not locked yet.
    new = os.path.join(path, f".{LOCK}")
    fd = os.open(new, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.rename(new, os.path.join(path, LOCK))
    except BaseException:
        os.close(fd)
        raise
    return fd


def remove_abandoned() -> None:
    """Remove the directories of this user's brokers that were killed.

    What has no lock file is another program's, or flux-core's; what cannot be locked is in use.
    """
    tops = {"/tmp"}
    with contextlib.suppress(FileNotFoundError):
        tops.add(tempfile.gettempdir())
    for top in tops:
        try:
            names = [name for name in os.listdir(top) if name.startswith(_PREFIX)]
        except OSError:
            continue
        for name in names:
            path = os.path.join(top, name)
            try:
                info = os.lstat(path)
                if not stat.S_ISDIR(info.st_mode) or info.st_uid != os.geteuid():
                    continue
                fd = os.open(os.path.join(path, LOCK), os.O_RDONLY | os.O_NOFOLLOW)
            except OSError:
                continue
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(path, ignore_errors=True)
            except OSError:
                pass
            finally:
                os.close(fd)


def make_private_directory() -> str:
    """Make a directory that only its owner can enter, with a path short enough for a socket.

    Raises:
        OSError: ENAMETOOLONG, the directory for temporary files has too long a path, and there
            is no other; otherwise what the system reports.
    """
    room = MAX_SOCKET_PATH - len(f"/flux-XXXXXXXX/{SOCKET}")
    try:
        tried = tempfile.gettempdir()
    except FileNotFoundError:
        raise OSError(
            errno.ENOSPC,
            "no directory for temporary files can be written to; set TMPDIR to one that can, and "
            "allow files of more than 0 bytes (ulimit -f)",
        ) from None
    for top in (tried, "/tmp"):
        if len(os.fsencode(top)) <= room and os.path.isdir(top):
            try:
                return tempfile.mkdtemp(prefix=_PREFIX, dir=top)
            except OSError as exc:
                raise explained(exc, f"cannot make a directory in {top}") from None
    raise OSError(
        errno.ENAMETOOLONG,
        f"{tried} is too long for the path of a socket ({MAX_SOCKET_PATH} bytes); "
        "set TMPDIR to a shorter one",
    )
