"""Finds the instance that a process is in, or is the broker of: ``pid:PID``."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path, PurePosixPath

from flux.uri.uri import URIResolverPlugin, URIResolverURI

__all__ = ["URIResolver"]

_PROC = Path("/proc")


class URIResolver(URIResolverPlugin):
    """Looks into the environment of a process; of a broker's child, if it is a broker."""

    def describe(self) -> str:
        """Return what it does, in a few words."""
        return "Get FLUX_URI for a given local PID"

    def resolve(self, uri: URIResolverURI) -> str:
        """Return the URI of the instance.

        Raises:
            ValueError: It is no process id, or the process is in no instance.
            OSError: There is no such process, or it is another user's.
        """
        steps = PurePosixPath(uri.path).parts
        if not steps or not (steps[0].isascii() and steps[0].isdecimal()):
            raise ValueError(f"{uri.path or 'nothing'} is no process id")
        pid = steps[0]
        # The environment of a broker is that of the instance around it.
        process = _child(pid) if _is_broker(pid) else pid
        environment = (_PROC / process / "environ").read_bytes()
        for entry in environment.split(b"\0"):
            name, _, value = entry.partition(b"=")
            if name == b"FLUX_URI" and value:
                return value.decode("utf-8", "surrogateescape")
        raise ValueError(f"PID {pid} doesn't seem to have a FLUX_URI")


def _is_broker(pid: str) -> bool:
    command = (_PROC / pid / "comm").read_text("utf-8", "replace")
    arguments = (_PROC / pid / "cmdline").read_bytes().split(b"\0")
    return "flux-broker" in command or b"flux.devbroker" in arguments


def _child(pid: str) -> str:
    for task in (_PROC / pid / "task").iterdir():
        # Not every kernel has it, and a thread may end meanwhile.
        with suppress(OSError):
            children = (task / "children").read_text("ascii").split()
            if children:
                return children[0]
    for stat in _PROC.glob("[0-9]*/stat"):
        with suppress(OSError):
            # What follows the command's name, in which there may be anything: state and parent.
            _, parent, *_ = stat.read_text("utf-8", "replace").rpartition(")")[2].split()
            if parent == pid:
                return stat.parent.name
    raise ValueError(f"PID {pid} is a broker and no child of it was found")
