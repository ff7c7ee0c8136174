"""What ends the tasks of jobs where the broker cannot, as it was killed."""

from __future__ import annotations

import subprocess

#: Reads lines, each with all process groups that there are; at the end of file kills those of the
#: last.  A line without its newline, in the writing of which the broker was killed, does not count.
_SCRIPT = """
groups=
while read -r line; do groups=$line; done
for group in $groups; do kill -KILL "-$group"; done 2>/dev/null
"""


class Survivor:
    """A shell that outlives the broker by as long as it takes to kill what the broker ran.

    It notices the end of the broker, however that comes, as the end of a pipe.
    """

    def __init__(self) -> None:
        self._groups: dict[int, None] = {}
        self._shell: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, the first time; to be done before there is anything to kill.

        Raises:
            OSError: There is no room for one more process.
        """
        if self._shell is None:
            self._shell = subprocess.Popen(
                ["/bin/sh", "-c", _SCRIPT],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                bufsize=0,
                # Out of reach of what ends the broker's own group.
                start_new_session=True,
            )

    def add(self, group: int) -> None:
        """Take note of a process group."""
        self._groups[group] = None
        self._tell()

    def discard(self, group: int) -> None:
        """Take note that a process group has ended."""
        self._groups.pop(group, None)
        self._tell()

    def _tell(self) -> None:
        shell = self._shell
        if shell is None:
            return
        line = memoryview(b" ".join(b"%d" % group for group in self._groups) + b"\n")
        assert shell.stdin is not None
        try:
            while line:
                line = line[shell.stdin.write(line) :]
        except BrokenPipeError:
            # Somebody has killed it.  The broker itself can still end its tasks.
            pass

    def close(self) -> None:
        """Kill what is left, and wait for that."""
        if self._shell is not None:
            assert self._shell.stdin is not None
            self._shell.stdin.close()
            self._shell.wait()
            self._shell = None
