"""How brokers are started: by a warm parent or without one they are alike, and none is left."""

from __future__ import annotations

import os
import resource
import select
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from flux.devbroker import Broker

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")

BOTH = pytest.mark.parametrize("warm", [True, False], ids=["warm", "cold"])


def status(pid: int | str, name: str) -> str:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(f"{name}:"):
            return line.split(":", 1)[1].strip()
    raise LookupError(name)


def signals(pid: int, name: str) -> set[int]:
    mask = int(status(pid, name), 16)
    return {signum for signum in signal.valid_signals() if mask >> (signum - 1) & 1}


def parent(broker: Broker) -> int:
    return int(status(broker.pid, "PPid"))


def wait_for_end(pidfd: int) -> None:
    assert select.select([pidfd], [], [], 10.0)[0]
    os.close(pidfd)


@pytest.fixture
def program():
    """Runs code in a Python of its own, and returns what it prints, as words."""

    def run(code: str) -> list[str]:
        result = subprocess.run(
            [sys.executable, "-W", "error", "-c", code],
            check=False,
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert (result.returncode, result.stderr) == (0, "")
        return result.stdout.split()

    return run


@BOTH
def test_a_broker_is_in_a_session_of_its_own(warm):
    with Broker(warm=warm) as broker:
        assert os.getsid(broker.pid) == os.getpgid(broker.pid) == broker.pid


@BOTH
def test_a_broker_takes_over_what_its_maker_is_like_at_the_time(warm, tmp_path, monkeypatch):
    Broker(warm=warm).stop()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LATE", "1")
    monkeypatch.delenv("HOME", raising=False)
    umask = os.umask(0o027)
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])
    ignored = signal.signal(signal.SIGWINCH, signal.SIG_IGN)
    soft, hard = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (0, hard))
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(cores)})
    try:
        with Broker(warm=warm) as broker, broker.handle() as handle:
            assert os.readlink(f"/proc/{broker.pid}/cwd") == str(tmp_path)
            assert status(broker.pid, "Umask") == "0027"
            assert signals(broker.pid, "SigBlk") == {signal.SIGUSR1}
            # The others are Python's own.
            assert signals(broker.pid, "SigIgn") == {
                signal.SIGWINCH,
                signal.SIGPIPE,
                signal.SIGXFSZ,
            }
            assert resource.prlimit(broker.pid, resource.RLIMIT_CORE) == (0, hard)
            assert os.sched_getaffinity(broker.pid) == {min(cores)}
            names = {"names": ["LATE", "HOME"]}
            assert handle.rpc("broker.getenv", names).get()["env"] == {"LATE": "1"}
            for fd, name in ((0, os.devnull), (1, "(deleted)"), (2, "(deleted)")):
                assert os.readlink(f"/proc/{broker.pid}/fd/{fd}").endswith(name)
    finally:
        os.sched_setaffinity(0, cores)
        resource.setrlimit(resource.RLIMIT_CORE, (soft, hard))
        signal.signal(signal.SIGWINCH, ignored)
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        os.umask(umask)


@BOTH
def test_a_broker_has_the_descriptors_that_it_needs_and_no_other(warm):
    with Broker(warm=warm), Broker(warm=warm) as broker:
        # Standard ones, the end of the line, epoll, the listening socket, a pipe for signals, and
        # the lock.
        assert len(os.listdir(f"/proc/{broker.pid}/fd")) == 9


def test_brokers_of_one_parent_are_its_forks_and_no_children_of_ours():
    with Broker() as one, Broker() as other:
        assert parent(one) == parent(other) != os.getpid()
        # Nobody who waits for any child waits for them.
        with pytest.raises(ChildProcessError):
            os.waitpid(-1, os.WNOHANG)
    with Broker(warm=False) as broker:
        assert parent(broker) == os.getpid()


def test_the_parent_has_one_thread_and_is_in_no_ones_way():
    with Broker() as broker:
        warm = parent(broker)
        assert status(warm, "Threads") == "1"
        assert os.readlink(f"/proc/{warm}/cwd") == "/"
        assert {os.readlink(f"/proc/{warm}/fd/{fd}") for fd in range(3)} == {os.devnull}
        assert os.getsid(warm) != os.getsid(0)


# -- parents that are replaced: in programs of their own, so that the tests' own stays


PPID = """
import os
from flux.devbroker import Broker, _launch
def ppid(broker):
    with open(f"/proc/{broker.pid}/status") as status:
        return int(status.read().split("PPid:")[1].split()[0])
"""


def test_a_parent_that_was_killed_is_replaced_and_its_brokers_go_on(program):
    words = program(
        PPID + "import select, signal\n"
        "with Broker() as one:\n"
        "    warm = ppid(one); pidfd = os.pidfd_open(warm)\n"
        "    os.kill(warm, signal.SIGKILL); select.select([pidfd], [], [])\n"
        "    with Broker() as other, one.handle() as handle:\n"
        "        print(handle.attr_get('rank'), ppid(other) != warm)\n"
    )
    assert words == ["0", "True"]


def test_what_an_interpreter_reads_when_it_starts_needs_another_parent(program):
    words = program(
        PPID + "with Broker() as one:\n"
        "    os.environ['PYTHONUTF8'] = '1'\n"
        "    with Broker() as other: print(ppid(one) != ppid(other))\n"
    )
    assert words == ["True"]


def test_a_parent_that_cannot_start_is_an_error_that_says_why(program, tmp_path):
    words = program(
        PPID + f"os.environ['PYTHONHOME'] = {str(tmp_path)!r}\n"
        "try: Broker()\n"
        "except Exception as exc: print(type(exc).__name__, exc)\n"
    )
    assert words[0] == "BrokerError"
    text = " ".join(words)
    assert "the warm parent of the brokers did not start" in text
    assert "encodings" in text


def test_a_parent_that_is_told_to_end_is_replaced(program):
    words = program(
        PPID + "broker = Broker(); _launch.cool_down(); broker.stop()\n"
        "with Broker() as broker: print('again')\n"
    )
    assert words == ["again"]


# -- programs


def test_brokers_are_started_and_stopped_by_many_threads():
    def one_life(_number: int) -> int:
        with Broker() as broker, broker.handle() as handle:
            assert handle.attr_get("broker.pid") == str(broker.pid)
            return broker.pid

    with ThreadPoolExecutor(8) as pool:
        pids = list(pool.map(one_life, range(24)))
    assert len(set(pids)) == 24


def test_a_program_that_ignores_its_children_gets_brokers_that_do_not(program):
    words = program(
        "import signal; signal.signal(signal.SIGCHLD, signal.SIG_IGN)\n"
        "from flux.devbroker import Broker; import flux.job, json\n"
        "spec = {'version': 1, 'tasks': [{'command': ['sh', '-c', 'exit 3'], 'slot': 'task',"
        " 'count': {'per_slot': 1}}], 'attributes': {'system': {'duration': 0}}, 'resources':"
        " [{'type': 'slot', 'count': 1, 'label': 'task', 'with': [{'type': 'core', 'count': 1}]}]}"
        "\nfor warm in (True, True, False):\n"
        "    with Broker(warm=warm) as broker, broker.handle() as handle:\n"
        "        jobid = flux.job.submit(handle, json.dumps(spec))\n"
        "        print(flux.job.event_wait(handle, jobid, 'finish').context['status'] >> 8)\n"
    )
    assert words == ["3", "3", "3"]


def test_a_fork_of_the_program_has_a_parent_of_its_own_and_leaves_ours_alone(program):
    words = program(
        PPID + "with Broker() as broker:\n"
        "    pid = os.fork()\n"
        "    if not pid:\n"
        "        with Broker() as own, own.handle() as handle, broker.handle() as other:\n"
        "            assert handle.attr_get('broker.pid') != other.attr_get('broker.pid')\n"
        "            print(ppid(own) != ppid(broker), flush=True)\n"
        "        broker.stop()\n"
        "        del broker\n"
        "        raise SystemExit(0)\n"
        "    assert os.waitpid(pid, 0)[1] == 0\n"
        "    with broker.handle() as handle, Broker() as more:\n"
        "        print(handle.attr_get('rank'), ppid(more) == ppid(broker))\n"
    )
    assert words == ["True", "0", "True"]


def test_nothing_is_left_of_a_program_that_is_killed_whatever_it_has_forked():
    code = (
        "import os, sys; from flux.devbroker import Broker; broker = Broker()\n"
        "pid = os.fork()\n"
        "if pid: print(pid, broker.pid, flush=True)\n"
        "os.read(0, 1)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        fork, broker = map(int, process.stdout.readline().split())
        ends = [os.pidfd_open(broker), os.pidfd_open(int(status(broker, "PPid")))]
        process.kill()
        # While the fork lives on.
        for pidfd in ends:
            wait_for_end(pidfd)
        assert status(fork, "State")
        assert process.stdin is not None
        process.stdin.close()
