"""The warm parent: it has imported all that a broker needs, and forks one per request.

``python -m flux.devbroker._launch.warm`` with a socket, the control, for standard input. It is no
child of the process that asked, which may wait for its children; it ends with that process, at the
end of the control. For each broker a byte comes by the control, with four descriptors: the broker's
line, its standard error, its directory, and a socket, the watch, on which the parent tells how the
broker fares: a line with its pid, or a negative errno if there is none, and in the end one with its
wait status. When the other side has shut that down, the broker is reaped, and the watch is closed.
"""

from __future__ import annotations

import contextlib
import errno
import gc
import os
import selectors
import signal
import socket

# All that a broker imports in its life.
import flux.devbroker._services.rc1  # noqa: F401
from flux.devbroker._launch import child, surroundings

_DESCRIPTORS = 4


class WarmParent:
    """Forks brokers, and tells how they ended.

    Args:
        control: Where requests come from.
    """

    def __init__(self, control: socket.socket) -> None:
        self._control = control
        # By pid; those whose status was told are no longer among the running.
        self._watches: dict[int, socket.socket] = {}
        self._running: set[int] = set()
        self._wake_reader, self._wake_writer = socket.socketpair()
        self._selector = selectors.DefaultSelector()

    def run(self) -> None:
        """Serve until the process that asks is gone."""
        for end in (self._wake_reader, self._wake_writer):
            end.setblocking(False)
        signal.signal(signal.SIGCHLD, lambda *_args: None)
        signal.set_wakeup_fd(self._wake_writer.fileno())
        self._selector.register(self._control, selectors.EVENT_READ)
        self._selector.register(self._wake_reader, selectors.EVENT_READ)
        while True:
            for key, _events in self._selector.select():
                if key.fileobj is self._control:
                    data, fds, _flags, _address = socket.recv_fds(self._control, 1, _DESCRIPTORS)
                    if not data:
                        return
                    if len(fds) == _DESCRIPTORS:
                        self._fork(*fds)
                    else:
                        # There was no room for all of them.  Whoever asks sees the watch end.
                        for fd in fds:
                            os.close(fd)
                elif key.fileobj is self._wake_reader:
                    self._wake_reader.recv(1 << 12)
                    self._look()
                else:
                    self._let_go(key.data)

    def _fork(self, line: int, stderr: int, directory: int, watch_fd: int) -> None:
        watch = socket.socket(fileno=watch_fd)
        try:
            pid = os.fork()
        except OSError as exc:
            pid = -(exc.errno or errno.EAGAIN)
        if not pid:
            self._become_broker(line, stderr, directory, watch)
        for fd in (line, stderr, directory):
            os.close(fd)
        if pid < 0:
            _tell(watch, pid)
            watch.close()
            return
        self._watches[pid] = watch
        self._running.add(pid)
        self._selector.register(watch, selectors.EVENT_READ, pid)
        _tell(watch, pid)

    def _become_broker(self, line: int, stderr: int, directory: int, watch: socket.socket) -> None:
        try:
            # A terminal's Ctrl-C is for the program that uses the broker, which then stops it.
            os.setsid()
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            self._selector.close()
            # While this process has it, the end of another broker's watch is not seen.
            for each in (self._control, self._wake_reader, self._wake_writer, watch):
                each.close()
            for each in self._watches.values():
                each.close()
            for fd, own in ((line, 0), (line, 1), (stderr, 2)):
                os.dup2(fd, own)
            os.fchdir(directory)
            for fd in (line, stderr, directory):
                os.close(fd)
            child.main()
        finally:
            os._exit(1)

    def _look(self) -> None:
        """Tell of the brokers that have ended.  As zombies they keep their pids."""
        for pid in list(self._running):
            try:
                info = os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            except ChildProcessError:
                # Somebody else has reaped it, and to ask again would be to ask for ever.
                status = 0
            else:
                if info is None:
                    continue
                exited = info.si_code == os.CLD_EXITED
                status = info.si_status if exited else -info.si_status
            self._running.remove(pid)
            if pid in self._watches:
                _tell(self._watches[pid], status)
            else:
                _reap(pid)

    def _let_go(self, pid: int) -> None:
        """The other side wants to hear no more of a broker."""
        watch = self._watches.pop(pid)
        self._selector.unregister(watch)
        if pid not in self._running:
            _reap(pid)
        watch.close()


def _reap(pid: int) -> None:
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, 0)


def _tell(watch: socket.socket, number: int) -> None:
    try:
        watch.send(b"%d\n" % number)
    except OSError:
        # Nobody is there to hear it.
        pass


def main() -> None:
    """Become the warm parent."""
    if os.fork():
        os._exit(0)
    surroundings.forget_signals()
    control = socket.socket(fileno=os.dup(0))
    # No file or directory is kept in use.
    null = os.open(os.devnull, os.O_RDWR)
    for fd in range(3):
        os.dup2(null, fd)
    os.close(null)
    os.chdir("/")
    # What is there now is never garbage: pages that nobody writes to are shared by all.
    gc.collect()
    gc.freeze()
    control.send(b"\0")
    WarmParent(control).run()


if __name__ == "__main__":
    main()
