"""Service ``rexec``: processes that clients have the broker run (RFC 42)."""

from __future__ import annotations

import errno
import os
import signal
import syslog
from typing import TYPE_CHECKING, Any

from flux.constants import FLUX_MSGFLAG_STREAMING
from flux.core.handle import Flux
from flux.devbroker._jobs._process import FALLBACK_DIRECTORY, MAX_STDIN, Task
from flux.devbroker._service import Service, method, same_sender
from flux.devbroker._services._rexec_io import Tail, input_of, output_of
from flux.devbroker._unpack import Optional, RequestError, no_payload, payload_object, unpack
from flux.message import Message

if TYPE_CHECKING:
    from flux.devbroker._instance import Instance

_FORWARDED = {"stdout": 1, "stderr": 2}
_WRITE_CREDIT, _WAITABLE = 8, 16

#: What a client may write before it is given more credit.
_CREDIT = 4 * 1024 * 1024


class Process:
    """A process, and who wants to know of it.

    Attributes:
        task: The process itself.
        request: The request that follows it, or None in the background.
        waiter: The request that waits for its end.
    """

    def __init__(self, task: Task, command: dict[str, Any], flags: int, request: Message) -> None:
        self.task = task
        self.label: str = command["label"] or ""
        self.program: str = command["cmdline"][0]
        self.flags = flags
        self.request = request if request.bits & FLUX_MSGFLAG_STREAMING else None
        self.waiter: Message | None = None
        self.tail = Tail()

    @property
    def waitable(self) -> bool:
        """Whether its end is to be remembered."""
        return bool(self.flags & _WAITABLE)


class RexecService(Service):
    """Starts processes, follows them, sends them signals and tells of their end."""

    def __init__(self, h: Flux, instance: Instance) -> None:
        super().__init__(h, instance)
        self._processes: dict[int, Process] = {}

    def close(self) -> None:
        """Kill what runs."""
        for process in self._processes.values():
            process.task.signal(signal.SIGKILL)

    def disconnect(self, msg: Message) -> None:
        """Kill what a client that is gone has followed."""
        for process in self._processes.values():
            if process.request is not None and same_sender(process.request, msg):
                process.task.signal(signal.SIGKILL)

    @method("list")
    def list(self, msg: Message) -> None:
        """Answer with the processes."""
        no_payload(msg)
        listed = [
            {
                "pid": pid,
                "cmd": process.program,
                "label": process.label,
                "state": "R" if process.task.status is None else "Z",
            }
            for pid, process in self._processes.items()
        ]
        self.handle.respond(msg, {"rank": 0, "procs": listed})

    # -- starting

    @method("exec")
    def exec(self, msg: Message) -> None:
        """Start a process."""
        fields = unpack(msg, cmd=dict, flags=int)
        command, flags = _command(fields["cmd"]), fields["flags"]
        streaming = bool(msg.bits & FLUX_MSGFLAG_STREAMING)
        if flags & _WRITE_CREDIT and not streaming:
            text = "write-credit flag is not allowed in background mode"
            raise RequestError(errno.EINVAL, text)
        label = command["label"]
        if label and any(process.label == label for process in self._processes.values()):
            raise RequestError(errno.EINVAL, "command label is not unique")
        task = Task(self.handle, 0, self._output, self._exited, self._completed)
        env = {**command["env"], "FLUX_URI": self.instance.uri}
        files = {} if streaming else {"stdin": _null()}
        try:
            task.start(command["cmdline"], env, _directory(command["cwd"]), files)
        except (OSError, ValueError) as exc:
            number = getattr(exc, "errno", None) or errno.EINVAL
            text = f"error launching process: {os.strerror(number)}"
            raise RequestError(number, text) from None
        finally:
            for file in files.values():
                os.close(file)
        self._processes[task.pid] = Process(task, command, flags, msg)
        self.handle.respond(msg, {"type": "started", "pid": task.pid})
        if flags & _WRITE_CREDIT:
            self._give_credit(msg, _CREDIT)

    def _give_credit(self, msg: Message, size: int) -> None:
        self.handle.respond(msg, {"type": "add-credit", "channels": {"stdin": size}})

    # -- what it does

    def _output(self, task: Task, stream: str, data: bytes) -> None:
        process = self._processes[task.pid]
        if process.request is not None:
            if process.flags & _FORWARDED[stream]:
                output = {"type": "output", "pid": task.pid, "io": output_of(stream, data)}
                self.handle.respond(process.request, output)
        elif data:
            process.tail.add(stream, data)
            level = syslog.LOG_ERR if stream == "stderr" else syslog.LOG_INFO
            name = process.label or os.path.basename(process.program)
            for line in data.decode("utf-8", "replace").splitlines():
                self.handle.log(level, f"{name}[{task.pid}]: {line}")

    def _exited(self, task: Task) -> None:
        process = self._processes[task.pid]
        if process.request is not None:
            self.handle.respond(process.request, {"type": "finished", "status": task.status})

    def _completed(self, task: Task) -> None:
        process = self._processes[task.pid]
        if process.request is not None:
            self.handle.respond_error(process.request, errno.ENODATA)
        if process.waiter is not None:
            self._tell(process, process.waiter)
        elif process.request is not None or not process.waitable:
            del self._processes[task.pid]

    def _tell(self, process: Process, msg: Message) -> None:
        """Answer how a process has ended, which is then forgotten."""
        answer: dict[str, Any] = {"status": process.task.status}
        if process.tail.kept:
            answer["output"] = process.tail.kept
        del self._processes[process.task.pid]
        self.handle.respond(msg, answer)

    # -- what others do with it

    def _find(self, fields: dict[str, Any]) -> Process:
        label, pid = fields["label"], fields["pid"]
        for process in self._processes.values():
            if process.label == label if label is not None else process.task.pid == pid:
                return process
        name = f"pid {pid}" if label is None else f"label {label}"
        raise RequestError(errno.ESRCH, f"{name} does not belong to any subprocess")

    @method("kill")
    def kill(self, msg: Message) -> None:
        """Send a signal to a process."""
        fields = unpack(msg, pid=int, label=Optional(str), signum=int)
        process = self._find(fields)
        if not 0 <= fields["signum"] < signal.NSIG:
            raise RequestError(errno.EINVAL, f"killpg: {os.strerror(errno.EINVAL)}")
        process.task.signal(fields["signum"])
        self.handle.respond(msg)

    @method("wait")
    def wait(self, msg: Message) -> None:
        """Answer with the end of a process once it has come."""
        process = self._find(unpack(msg, pid=int, label=Optional(str)))
        if not process.waitable:
            raise RequestError(errno.EINVAL, "process is not waitable")
        if process.waiter is not None:
            raise RequestError(errno.EINVAL, "process is already being waited on")
        if process.task.complete:
            self._tell(process, msg)
        else:
            process.waiter = msg

    @method("write")
    def write(self, msg: Message) -> None:
        """Have a process read something; there is no answer."""
        payload = payload_object(msg)
        for process in self._processes.values():
            request = process.request
            if (
                request is not None
                and same_sender(request, msg)
                and request.matchtag == payload.get("matchtag")
            ):
                self._feed(process, request, payload.get("io"))
                return

    def _feed(self, process: Process, request: Message, io: Any) -> None:
        data, eof = input_of(io)
        if data and process.task.has_room(len(data)):
            process.task.write(data)
            if process.flags & _WRITE_CREDIT and process.task.status is None:
                self._give_credit(request, min(len(data), MAX_STDIN))
        if eof:
            process.task.end_input()


def _command(command: dict[str, Any]) -> dict[str, Any]:
    """Return the parts of a command object that matter here.

    Raises:
        RequestError: EPROTO, it is malformed.
    """
    words, env = command.get("cmdline"), command.get("env")
    label, cwd = command.get("label"), command.get("cwd")
    if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
        raise RequestError(errno.EPROTO, "error parsing command string")
    if not words:
        raise RequestError(errno.EPROTO, "command string is empty")
    if not isinstance(env, dict) or not all(isinstance(value, str) for value in env.values()):
        raise RequestError(errno.EPROTO, "error parsing command string")
    if not isinstance(label, (str, type(None))) or not isinstance(cwd, (str, type(None))):
        raise RequestError(errno.EPROTO, "error parsing command string")
    return {"cmdline": words, "env": env, "label": label, "cwd": cwd}


def _directory(cwd: str | None) -> str:
    """Return where to run a process: what is not there is replaced, as by flux-core."""
    if cwd is None:
        return os.getcwd()
    return cwd if os.access(cwd, os.X_OK) and os.path.isdir(cwd) else FALLBACK_DIRECTORY


def _null() -> int:
    return os.open(os.devnull, os.O_RDONLY)
