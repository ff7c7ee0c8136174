"""Execution of one job: what the execution system and the job shell do in the original."""

from __future__ import annotations

import errno
import os
import shutil
import signal
from typing import TYPE_CHECKING, Any, Callable

from orjson import loads

from flux.devbroker._hints import hint
from flux.devbroker._jobs import _eventlog, _request, _states
from flux.devbroker._jobs._eventlog import Log
from flux.devbroker._jobs._files import expand, open_files
from flux.devbroker._jobs._fluid import f58, f58plain
from flux.devbroker._jobs._fsd import parse_duration
from flux.devbroker._jobs._job import Job
from flux.devbroker._jobs._output import LineBuffer, data_event, input_header, output_header
from flux.devbroker._jobs._process import FALLBACK_DIRECTORY, STREAMS, Task
from flux.devbroker._jobs._stage import stage

if TYPE_CHECKING:
    from flux.devbroker._jobs._core import Core
    from flux.devbroker._jobs._executor import Executor

#: Bytes of a job's output that may be on their way to the store before its tasks have to wait.
MAX_UNSTORED = 4 * 1024 * 1024

#: Exit codes of a command that is not there, or cannot be run.
NOT_FOUND, NOT_EXECUTABLE = 127, 126

#: Longest time, in seconds, that a timer is set to.
MAX_TIMER = 86400.0

#: Most tasks of a job on one machine.
MAX_TASKS = 1024

_FATAL, _ERROR = 0, 3


class Run:
    """The execution of one job.

    Args:
        core: The jobs.
        executor: Who runs it.
        job: The job.

    Attributes:
        service: Name of the service that takes its input.
        hostname: Where it runs.
        tmpdir: A directory for the job alone, None before it starts.
    """

    def __init__(self, core: Core, executor: Executor, job: Job) -> None:
        self._core = core
        self._executor = executor
        self.job = job
        self.service = f"{job.userid}-shell-{f58plain(job.id)}"
        self.hostname = core.hostname
        self.tasks: list[Task] = []
        self.input: Log
        self.output: Log
        self._events = self._log("exec.eventlog")
        self._buffers: dict[tuple[int, str], LineBuffer] = {}
        self._left = 0
        self._status = 0
        self._exits = 0
        self._paused = False
        self._cancelling = False
        self._ending = False
        self._stops: dict[str, Callable[[], None]] = {}
        self.tmpdir: str | None = None

    def _log(self, path: str) -> Log:
        log = self.job.guest[path] = self._core.machine.new_log(self.job.id, f"guest.{path}")
        return log

    def _event(self, name: str, context: dict[str, Any] | None = None) -> None:
        self._events.write(_eventlog.event(name, context))

    def message(self, level: int, text: str) -> None:
        """Write what the shell has to say to the job's output."""
        context = {"rank": 0, "level": level, "message": text, "file": "shell", "line": 0}
        self.output.write(_eventlog.event("log", context))

    # -- the beginning

    def start(self) -> None:
        """Start the job's tasks."""
        spec = loads(self.job.payload or self.job.spec_text)
        self.job.payload = None
        system = _request.system(spec)
        test = _request.table(_request.table(system, "exec"), "test")
        if test:
            self._mock(test)
            return
        self._event("init")
        self._event("starting")
        self._core.machine.post(self.job, "start")
        self.limit_time()
        self.input = self._log("input")
        self.input.write(input_header())
        self.output = self._log("output")
        self.output.on_stored = self._check_flow
        self.output.write(output_header(self.job.request.ntasks))
        self._executor.service(self, True)
        context = {"service": self.service, "leader-rank": 0, "size": 1}
        try:
            cwd = self._directory(spec)
            self._make_tmpdir(spec)
            with open_files(self, spec, cwd) as files:
                self._event("shell.init", context)
                self._start_tasks(spec, cwd, files)
        except OSError as exc:
            self._fail(f"{exc.filename or 'job'}: {exc.strerror}", 1)

    def _make_tmpdir(self, spec: dict[str, Any]) -> None:
        rundir = self._core.instance.attributes.values["rundir"]
        self.tmpdir = os.path.join(rundir, f"jobtmp-0-{f58plain(self.job.id)}")
        os.mkdir(self.tmpdir, 0o700)
        stage(spec, self.tmpdir)

    def _directory(self, spec: dict[str, Any]) -> str:
        cwd = _request.system(spec).get("cwd")
        if not isinstance(cwd, str):
            try:
                return os.getcwd()
            except OSError:
                return FALLBACK_DIRECTORY
        try:
            # As chdir(2) would see it.
            if not os.access(cwd, os.X_OK):
                os.stat(cwd)
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
            if not os.path.isdir(cwd):
                raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))
        except (OSError, ValueError) as exc:
            why = getattr(exc, "strerror", None) or str(exc)
            self.message(
                _ERROR,
                f"host {self._core.hostname}: Could not change dir to {cwd}: {why}. "
                f"Going to {FALLBACK_DIRECTORY} instead",
            )
            return FALLBACK_DIRECTORY
        return cwd

    def _start_tasks(self, spec: dict[str, Any], cwd: str, files: dict[str, Any]) -> None:
        count = self.job.request.ntasks
        if count > MAX_TASKS:
            self._fail(f"{count} tasks are too many for one machine: {MAX_TASKS} is the limit", 1)
            return
        argv = spec["tasks"][0]["command"]
        environment = self._environment(spec)
        for rank in range(count):
            task = Task(self._core.manager, rank, self._on_output, self._on_exit, self._on_complete)
            task.on_failure = self._fail_broker
            env = dict(environment, FLUX_TASK_RANK=str(rank), FLUX_TASK_LOCAL_ID=str(rank))
            try:
                self._executor.survivor.start()
                task.start([expand(word, self, rank) for word in argv], env, cwd, files)
            except (OSError, ValueError) as exc:
                code = NOT_FOUND if isinstance(exc, FileNotFoundError) else NOT_EXECUTABLE
                why = getattr(exc, "strerror", None) or str(exc)
                if isinstance(exc, OSError) and exc.errno in (errno.EMFILE, errno.EAGAIN):
                    why = hint(exc)
                where = f"task {rank} (host {self._core.hostname})"
                self._fail(f"{where}: start failed: {argv[0]}: {why}", code)
                return
            self._executor.survivor.add(task.pid)
            self.tasks.append(task)
            self._left += 1
            for stream in STREAMS:
                self._buffers[rank, stream] = LineBuffer(self.output, stream, rank)
        self._event("shell.start", {"taskmap": {"version": 1, "map": [[0, 1, count, 1]]}})

    def _environment(self, spec: dict[str, Any]) -> dict[str, str]:
        job, name = self.job, f58(self.job.id)
        assert self.tmpdir is not None
        given = _request.system(spec).get("environment") or {}
        env = {key: value for key, value in given.items() if isinstance(value, str)}
        env.pop("FLUX_PROXY_REMOTE", None)
        env.update(
            FLUX_URI=self._core.instance.uri,
            FLUX_KVS_NAMESPACE=f"job-{job.id}",
            FLUX_JOB_ID=name,
            FLUX_JOB_ID_PATH=f"/{name}",
            FLUX_JOB_SIZE=str(job.request.ntasks),
            FLUX_JOB_NNODES="1",
            FLUX_JOB_TMPDIR=self.tmpdir,
        )
        return env

    def _fail(self, note: str, code: int) -> None:
        """End a job whose tasks cannot be started."""
        self._status = code << 8
        self._ending = True
        self.message(_FATAL, note)
        self._core.machine.exception(self.job, "exec", 0, note)
        for task in self.tasks:
            task.signal(signal.SIGKILL)
        if not self._left:
            self._complete()

    def _fail_broker(self, text: str) -> None:
        """End a job that the broker cannot serve any longer."""
        if self.job.fatal is None:
            self._core.machine.exception(self.job, "exec", 0, f"unexpected exceptions: {text}")

    # -- while it runs

    def _on_output(self, task: Task, stream: str, data: bytes) -> None:
        self._buffers[task.rank, stream].feed(data)
        if self.output.unstored > MAX_UNSTORED and not self._paused:
            self._paused = True
            for other in self.tasks:
                other.pause()

    def _check_flow(self) -> None:
        if self._paused and self.output.unstored <= MAX_UNSTORED // 2:
            self._paused = False
            for task in self.tasks:
                task.resume()

    def put(self, stream: str, rank: str, ranks: list[int], data: bytes, eof: bool) -> None:
        """Pass input to tasks.

        Raises:
            OSError: ENOSPC, too much of it is not read.
        """
        tasks = [task for task in self.tasks if task.rank in ranks]
        if not all(task.has_room(len(data)) for task in tasks):
            raise OSError(errno.ENOSPC, "the job does not read its standard input")
        if data:
            self.input.write(data_event(stream, rank, data))
        if eof:
            context = {"stream": stream, "rank": rank, "eof": True}
            self.input.write(_eventlog.event("data", context))
        for task in tasks:
            task.write(data)
            if eof:
                task.end_input()

    def signal(self, signum: int) -> None:
        """Send a signal to all tasks."""
        for task in self.tasks:
            task.signal(signum)

    def _after(self, what: str, seconds: float, action: Callable[[], None]) -> None:
        self._stop(what)
        self._stops[what] = self._core.later(seconds, action)

    def _stop(self, what: str) -> None:
        stop = self._stops.pop(what, None)
        if stop is not None:
            stop()

    def limit_time(self) -> None:
        """Have the job end when its time is over."""
        if self.job.expiration:
            left = self.job.expiration - self._core.now()
            if left > MAX_TIMER:
                self._after("limit", MAX_TIMER, self.limit_time)
            else:
                self._after("limit", max(0.0, left), self._expire)
        else:
            self._stop("limit")

    def _expire(self) -> None:
        if self.job.fatal is None:
            self._core.machine.exception(self.job, "timeout", 0, "resource allocation expired")

    def cancel(self) -> None:
        """End it: with a signal first, and before long with SIGKILL."""
        if self._cancelling or self._ending:
            return
        self._cancelling = True
        fatal = self.job.fatal or {}
        self.signal(
            signal.SIGALRM if fatal.get("type") == "timeout" else self._executor.term_signal
        )
        self._after("kill", self._executor.kill_timeout, self.kill)
        if "mock" in self._stops:
            self._status = int(self._executor.term_signal)
            self._complete_mock()

    def kill(self) -> None:
        """Kill its tasks, again and again while there are any."""
        self.signal(self._executor.kill_signal)
        for task in self.tasks:
            # Whoever holds its pipes has left its process group.
            task.abandon()
        if self._left:
            self._after("kill", self._executor.kill_timeout, self.kill)

    # -- the end

    def _on_exit(self, task: Task) -> None:
        self._exits += 1
        status = task.status or 0
        self._status = max(self._status, _states.shell_status(status))
        if self._exits == 1:
            signum = status & 0x7F
            context = {
                "localid": task.rank,
                "rank": task.rank,
                "state": "Exited",
                "pid": task.pid,
                "wait_status": status,
                "signaled": signum,
                "exitcode": 128 + signum if signum else status >> 8,
            }
            self._event("shell.task-exit", context)

    def _on_complete(self, task: Task) -> None:
        self._executor.survivor.discard(task.pid)
        self._left -= 1
        if not self._left:
            self._complete()

    def _complete(self) -> None:
        self._ending = True
        self._executor.service(self, False)
        self._event("shell-exit", {"rank": 0, "wait_status": self._status})
        status = self._status
        if self.job.fatal is not None and "wait_status" in self.job.fatal:
            status = _states.shell_status(self.job.fatal["wait_status"])
        self._finish(status)

    def _finish(self, status: int | None) -> None:
        for stop in self._stops.values():
            stop()
        self._stops.clear()
        if self.tmpdir is not None:
            shutil.rmtree(self.tmpdir, ignore_errors=True)
        if status is not None:
            self._event("complete", {"status": status})
            self._event("done")
        for log in self.job.guest.values():
            log.end(errno.ENODATA)
        machine, job = self._core.machine, self.job
        self._executor.done(job)
        if status is not None:
            machine.post(job, "finish", {"status": status})
        machine.post(job, "release", {"ranks": "all", "final": True})

    # -- jobs that only seem to run

    def _mock(self, test: dict[str, Any]) -> None:
        machine = self._core.machine
        failure = ""
        duration = 0.0
        try:
            self._status = int(test.get("wait_status") or 0)
            duration = parse_duration(test.get("run_duration", 0))
        except (TypeError, ValueError) as exc:
            failure = f"attributes.system.exec.test is malformed: {exc}"
        if test.get("mock_exception") == "init":
            failure = "mock initialization exception generated"
        if failure:
            self._ending = True
            machine.exception(self.job, "exec", 0, failure)
            self._finish(None)
            return
        self._event("init")
        self._event("starting")
        self._event("recoverable")
        machine.post(self.job, "start")
        if self.job.state == _states.RUN:
            self.limit_time()
            self._after("mock", min(duration, MAX_TIMER), self._complete_mock)

    def _complete_mock(self) -> None:
        self._ending = True
        self._finish(self._status)
