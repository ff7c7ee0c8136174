"""Which jobs run, and what all of them have in common."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING, Any, Callable

from flux.devbroker._jobs._fsd import parse_duration
from flux.devbroker._jobs._job import Job
from flux.devbroker._jobs._request import table
from flux.devbroker._jobs._shell import Run
from flux.devbroker._jobs._survivor import Survivor

if TYPE_CHECKING:
    from flux.devbroker._jobs._core import Core

#: Seconds between a job's signal to end and SIGKILL, unless ``exec.kill-timeout`` is configured.
KILL_TIMEOUT = 5.0

#: Seconds that jobs have to end when the broker does, before they are killed.
GRACE = 1.0

#: Seconds between looks at whether all have ended by then.
END_INTERVAL = 0.005


class Executor:
    """Runs jobs.

    Args:
        core: The jobs.

    Attributes:
        runs: Jobs that are running, by the name of the service for their input.
        survivor: What ends the tasks if the broker is killed.
    """

    def __init__(self, core: Core) -> None:
        self._core = core
        self.runs: dict[str, Run] = {}
        self.survivor = Survivor()
        config = table(core.instance.config, "exec")
        self.kill_timeout = parse_duration(config.get("kill-timeout", KILL_TIMEOUT))
        self.term_signal = _signal(config.get("term-signal", "SIGTERM"))
        self.kill_signal = _signal(config.get("kill-signal", "SIGKILL"))
        self._by_id: dict[int, Run] = {}
        #: Called with the name of a service that begins or ends.
        self.on_service: Callable[[str, bool], None] = lambda _name, _begins: None

    def start(self, job: Job) -> None:
        """Start a job."""
        run = self._by_id[job.id] = Run(self._core, self, job)
        run.start()

    def service(self, run: Run, begins: bool) -> None:
        """Take note that a job's service begins or ends."""
        if begins:
            self.runs[run.service] = run
        else:
            self.runs.pop(run.service, None)
        self.on_service(run.service, begins)

    def cancel(self, job: Job) -> None:
        """End a job that has a fatal exception; once is enough."""
        run = self._by_id.get(job.id)
        if run is not None:
            run.cancel()

    def signal(self, job: Job, signum: int) -> None:
        """Send a signal to a job's tasks."""
        run = self._by_id.get(job.id)
        if run is not None:
            run.signal(signum)

    def update(self, job: Job) -> None:
        """Take note of a job's new time limit."""
        run = self._by_id.get(job.id)
        if run is not None:
            run.limit_time()

    def done(self, job: Job) -> None:
        """Forget a job that has ended."""
        del self._by_id[job.id]

    def end_all(self, done: Callable[[], None]) -> None:
        """Cancel all that runs and start nothing more: the broker ends.

        Args:
            done: Called when all has ended, and is stored.
        """
        core = self._core
        for queue in core.queues.select(None, True):
            queue.started = False
        core.machine.queues_changed()
        for run in tuple(self._by_id.values()):
            if run.job.fatal is None:
                core.machine.exception(run.job, "cancel", 0, "the broker is shutting down")
        core.later(GRACE, self._kill_all)
        self._await_end(done)

    def _await_end(self, done: Callable[[], None]) -> None:
        if self._by_id or not self._core.store.idle():
            self._core.later(END_INTERVAL, lambda: self._await_end(done))
        else:
            done()

    def _kill_all(self) -> None:
        for run in tuple(self._by_id.values()):
            run.kill()

    def close(self) -> None:
        """Kill all that still runs, without telling anybody."""
        for run in self._by_id.values():
            run.signal(signal.SIGKILL)
        self.survivor.close()


def _signal(name: Any) -> int:
    return int(getattr(signal.Signals, str(name))) if isinstance(name, str) else int(name)
