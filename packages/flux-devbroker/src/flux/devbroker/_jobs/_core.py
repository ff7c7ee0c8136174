"""What the job services share: the jobs, and the parts that act on them.

One `Core` belongs to one broker.  The services find it with `core_of`; the parts talk to each
other through it, by plain calls, because a message for each step of each job would cost more than
the step.
"""

from __future__ import annotations

import errno
import time
from typing import TYPE_CHECKING, Any, Callable

from flux.core.handle import Flux
from flux.devbroker._jobs._cores import Cores, configured_cores, count_cores
from flux.devbroker._jobs._dependencies import Dependencies
from flux.devbroker._jobs._eventlog import compact
from flux.devbroker._jobs._executor import Executor
from flux.devbroker._jobs._fluid import Generator
from flux.devbroker._jobs._job import Job
from flux.devbroker._jobs._journal import Journal
from flux.devbroker._jobs._machine import Machine
from flux.devbroker._jobs._queues import Queues
from flux.devbroker._jobs._scheduler import Scheduler
from flux.devbroker._jobs._store import JobStore

if TYPE_CHECKING:
    from flux.devbroker._instance import Instance


class Core:
    """The jobs of one broker.

    Args:
        instance: The broker.
        handle: The handle of the job manager.

    Attributes:
        owner: The user id of the broker's owner.
        hostname: What this machine is called.
        active: Active jobs by id, in the order of their submission.
        finished: Inactive jobs by id, in the order in which they became so: their records as
            JSON, which takes the least memory.
        unwaited: How waitable jobs ended that nobody has waited for yet.
        generator: Makes ids.
        discovered: Whether the cores are this machine's own, and not configured.
        max_jobid: The greatest id so far.
        loaded: Whether the jobs of an earlier run of the broker are all known.
        counts: How many jobs ended with each result.
        purged: How many finished jobs were removed.
        ready: Whether the ids of an earlier run of the broker are known, so that new jobs can have
            greater ones.
        retired: Called with each job that has become inactive.
    """

    def __init__(self, instance: Instance, handle: Flux) -> None:
        self.instance = instance
        self.manager = handle
        self.owner: int = instance.router.owner
        self.hostname: str = instance.attributes.values["hostname"]
        self.active: dict[int, Job] = {}
        self.finished: dict[int, bytes] = {}
        self.unwaited: dict[int, str] = {}
        self.generator = Generator()
        self.max_jobid = 0
        self.counts: dict[int, int] = {}
        self.purged = 0
        self.loaded = False
        self.ready = False
        self.retired: list[Callable[[Job], None]] = []
        self._when_ready: list[Callable[[], None]] = []
        self._when_loaded: list[Callable[[], None]] = []
        self.store = JobStore(handle, instance.faults.report)
        self.journal = Journal(handle, self)
        self.queues = Queues(instance.config)
        cores = configured_cores(instance.config)
        self.discovered = cores is None
        self.scheduler = Scheduler(handle, Cores(cores or count_cores()))
        self.executor = Executor(self)
        self.machine = self.scheduler.machine = Machine(self)
        self.dependencies = Dependencies(self)
        self.machine.observers += [self.machine.prioritized, self.dependencies.observe]

    def publish(self, topic: str, payload: Any, private: bool = False) -> None:
        """Publish an event."""
        message = self.manager.event_create(topic, payload)
        message.private = private
        self.manager.send(message)

    def retire(self, job: Job) -> None:
        """Keep of a job that is inactive only what may be asked for."""
        self.finish(job.id, compact(job.record()), job.result)
        if job.waitable:
            self.unwaited[job.id] = job.failure or ""
        # Its logs are read from the store from now on, which has all that was written to them.
        del self.active[job.id]
        job.log.end(errno.ENODATA)
        for observer in self.retired:
            observer(job)

    def finish(self, jobid: int, record: bytes, result: int) -> None:
        """Take note of an inactive job."""
        self.finished[jobid] = record
        self.counts[result] = self.counts.get(result, 0) + 1

    def purge(self, jobid: int) -> None:
        """Forget an inactive job, and remove its record."""
        del self.finished[jobid]
        self.unwaited.pop(jobid, None)
        self.purged += 1
        self.store.remove(jobid)

    def when_ready(self, action: Callable[[], None]) -> None:
        """Do something once new jobs can have ids."""
        if self.ready:
            action()
        else:
            self._when_ready.append(action)

    def set_ready(self) -> None:
        """Take note that new jobs can have ids."""
        self.ready = True
        actions, self._when_ready = self._when_ready, []
        for action in actions:
            action()

    def when_loaded(self, action: Callable[[], None]) -> None:
        """Do something once the jobs of earlier runs are known."""
        if self.loaded:
            action()
        else:
            self._when_loaded.append(action)

    def set_loaded(self) -> None:
        """Take note that the jobs of earlier runs are known."""
        self.loaded = True
        actions, self._when_loaded = self._when_loaded, []
        for action in actions:
            action()

    def later(self, seconds: float, action: Callable[[], None]) -> Callable[[], None]:
        """Do something after a time; return what cancels that."""
        watcher = self.manager.timer_watcher_create(seconds, lambda *_args: action())
        watcher.start()
        return lambda: (watcher.stop(), None)[1]

    @staticmethod
    def now() -> float:
        """Return the time as events have it."""
        return time.time()


_CORES: dict[Instance, Core] = {}


def make_core(instance: Instance, handle: Flux) -> Core:
    """Make the core of a broker; done by its job manager."""
    core = _CORES[instance] = Core(instance, handle)
    return core


def core_of(instance: Instance) -> Core:
    """Return the core of a broker."""
    return _CORES[instance]


def forget_core(instance: Instance) -> None:
    """Let go of a broker that has ended, if it had jobs."""
    _CORES.pop(instance, None)
