"""Modules that are well behaved and such as are not, on a broker that goes on."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
from pathlib import Path

import pytest

from flux.constants import FLUX_RPC_NORESPONSE, FLUX_RPC_STREAMING
from flux.core.handle import Flux
from flux.devbroker import Broker
from flux.devbroker._exit import HAVE_PIDFD, UNKNOWN_STATUS, ExitWatch

MODULES = Path(__file__).parent / "modules"
ODD = str(MODULES / "odd.py")


@pytest.fixture
def load(flux_handle):
    def load_module(path=ODD, *args, **fields):
        return flux_handle.rpc("module.load", {"path": str(path), "args": list(args), **fields})

    return load_module


def remove(handle, name, **fields):
    return handle.rpc("module.remove", {"name": name, **fields})


def log(handle):
    lines = handle.rpc("log.dmesg", {"follow": False}, flags=FLUX_RPC_STREAMING)
    text = []
    try:
        while True:
            text.append(lines.get_str().split(" - - ", 1)[1])
            lines.reset()
    except OSError as exc:
        if exc.errno != errno.ENODATA:
            raise
    return text


def children(pid):
    return Path(f"/proc/{pid}/task/{pid}/children").read_text().split()


def descriptors(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))


def error(future):
    with pytest.raises(OSError, match=r".") as caught:
        future.get()
    return caught.value.errno, caught.value.strerror


@pytest.mark.parametrize(
    ("name", "text", "errnum", "answer"),
    [
        ("syntax.py", "def (", errno.EINVAL, "exited with exit code 1"),
        ("nothing.py", "", errno.EINVAL, "exited with exit code 1"),
        ("binary.py", "\x7fELF\x00", errno.EINVAL, "exited with exit code 1"),
        ("text.txt", "hello", errno.ENOENT, "could not determine loader from path suffix"),
        ("lib.so.1", "", errno.ENOTSUP, "use --exec"),
        ("quit.py", "import os; os._exit(0)", errno.EINVAL, "did not report module status"),
        ("kill.py", "import os; os.kill(os.getpid(), 9)", errno.EINVAL, "killed by Killed"),
    ],
)
def test_what_cannot_be_loaded_is_said(load, tmp_path, name, text, errnum, answer):
    path = tmp_path / name
    path.write_text(text)
    number, why = error(load(path))
    assert number == errnum
    assert answer in why


def test_bad_names_are_refused(load):
    assert error(load("/nonexistent/x.py"))[0] == errno.EINVAL
    assert error(load(name="a.b"))[0] == errno.EINVAL
    load(name="two words").get()
    assert error(load(name="two words"))[0] == errno.EEXIST
    assert error(load(name="broker"))[0] == errno.EEXIST


@pytest.mark.flux_broker(allow_guests=True)
def test_a_guest_may_not_load_but_list(flux_broker, flux_handle):
    flux_handle.rpc("connector-local.debug", {"op": "setbit", "flags": 4}).get()
    with flux_broker.handle() as guest:
        request = guest.rpc("module.load", {"path": ODD, "args": []})
        assert error(request) == (errno.EPERM, "Request requires owner credentials")
        assert guest.rpc("module.list").get()["mods"]


def test_arguments_are_split_at_blanks_and_stdin_is_empty(load, flux_handle):
    load(ODD, 'a "b', "c\" d'").get()
    answer = flux_handle.rpc("odd.args").get()
    assert answer["args"] == ["a", '"b', 'c"', "d'"]
    assert answer["stdin"] == ""
    assert os.getpgid(answer["pid"]) == answer["pid"]


def test_what_a_module_prints_and_logs_is_seen(load, flux_handle, flux_broker):
    load().get()
    flux_handle.rpc("odd.flood", {"count": 3}).get()
    assert [line for line in log(flux_handle) if line.startswith("line")] == [
        "line 0",
        "line 1",
        "line 2",
    ]
    assert "odd was here" in flux_broker.stderr


def test_odd_handlers_harm_nobody(load, flux_handle):
    load(ODD, "everything").get()
    assert flux_handle.rpc("odd.twice").get() == {"n": 1}
    flux_handle.rpc("odd.always", flags=FLUX_RPC_NORESPONSE)
    never = flux_handle.rpc("odd.nothing")
    flux_handle.rpc("odd.flood", {"count": 5000}).get()
    remove(flux_handle, "odd").get()
    assert error(never) == (errno.EHOSTUNREACH, "module disconnect")
    assert error(flux_handle.rpc("odd.twice"))[0] == errno.ENOSYS
    assert "rmmod odd" in log(flux_handle)


def test_a_module_that_hangs_at_its_start_keeps_only_its_loader_waiting(load, flux_handle):
    loading = load(ODD, "hang")
    waiting = flux_handle.rpc("odd.ping", {})
    (mod,) = [m for m in flux_handle.rpc("module.list").get()["mods"] if m["name"] == "odd"]
    assert mod["status"] == 0
    remove(flux_handle, "odd", cancel=True).get()
    assert error(loading) == (errno.EINVAL, "loader (module-python-exec) killed by Killed")
    assert error(waiting) == (errno.EHOSTUNREACH, "module disconnect")


@pytest.mark.parametrize(
    ("end", "why"),
    [
        ("crash", "Connection reset by peer"),
        ("exit", "loader (module-python-exec) exited with exit code 3"),
        ("kill", "loader (module-python-exec) killed by Killed"),
    ],
)
def test_a_module_that_fails_is_reported_and_the_broker_goes_on(load, flux_handle, end, why):
    load().get()
    never = flux_handle.rpc("odd.nothing")
    if end == "kill":
        os.kill(flux_handle.rpc("odd.args").get()["pid"], signal.SIGKILL)
    else:
        flux_handle.rpc(f"odd.{end}", {"code": 3}, flags=FLUX_RPC_NORESPONSE)
    assert error(never) == (errno.EHOSTUNREACH, "module disconnect")
    assert log(flux_handle)[-3:] == [
        "module odd exited",
        f"odd: {why}",
        "odd module runtime failure",
    ]
    load().get()


def test_a_module_that_does_not_want_to_go_is_killed(load, flux_handle):
    load().get()
    flux_handle.rpc("odd.stubborn").get()
    removing = remove(flux_handle, "odd")
    remove(flux_handle, "odd", cancel=True).get()
    removing.get()


def test_requests_to_a_module_that_ends_are_answered(load, flux_handle):
    load().get()
    removing = remove(flux_handle, "odd")
    late = [flux_handle.rpc("odd.twice") for _ in range(100)]
    removing.get()
    # By the module, if it came to read it before it was told to end, or else by the broker.
    errnums = {
        None if future.wait_for().error_string() is None else error(future)[0] for future in late
    }
    assert errnums <= {None, errno.ENOSYS, errno.EHOSTUNREACH}


def test_no_process_is_left_when_the_broker_ends():
    with Broker() as broker, broker.handle() as handle:
        handle.rpc("module.load", {"path": ODD, "args": []}).get()
        handle.rpc("module.load", {"path": ODD, "args": [], "name": "second"}).get()
        stubborn = handle.rpc("second.args").get()["pid"]
        obedient = handle.rpc("odd.args").get()["pid"]
        handle.rpc("second.stubborn").get()
        os.kill(broker.pid, signal.SIGTERM)
        state = handle.rpc("state-machine.get")
        del state
        # More than one such signal means: at once.
        os.kill(broker.pid, signal.SIGINT)
    for pid in (stubborn, obedient):
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


def test_modules_end_with_a_broker_that_is_killed():
    with Broker() as broker, broker.handle() as handle:
        handle.rpc("module.load", {"path": ODD, "args": []}).get()
        pid = handle.rpc("odd.args").get()["pid"]
        descriptor = os.pidfd_open(pid) if HAVE_PIDFD else None
        broker.kill()
    if descriptor is not None:
        import select

        assert select.select([descriptor], [], [], 10)[0]
        os.close(descriptor)


def test_loading_and_removing_leaves_nothing(load, flux_handle, flux_broker):
    def cycle():
        load().get()
        remove(flux_handle, "odd").get()

    cycle()
    while children(flux_broker.pid):
        flux_handle.rpc("broker.ping", {}).get()
    before = descriptors(flux_broker.pid)
    for _ in range(20):
        cycle()
    while children(flux_broker.pid):
        flux_handle.rpc("broker.ping", {}).get()
    assert descriptors(flux_broker.pid) == before


@pytest.mark.parametrize("pidfd", [HAVE_PIDFD, False])
@pytest.mark.parametrize(("script", "status"), [("", 0), ("exit 3", 3 << 8), ("kill -9 $$", 9)])
def test_the_end_of_a_process_is_noticed(pidfd, script, status):
    handle = Flux("loop://")
    seen: list[int] = []
    with subprocess.Popen(["sh", "-c", script]) as process:
        ExitWatch(handle, process, seen.append, pidfd)
        assert handle.reactor_run() == 0
        assert seen == [status]
        # Not reaped: its number is still its own.
        os.kill(process.pid, 0)


@pytest.mark.parametrize("pidfd", [HAVE_PIDFD, False])
@pytest.mark.parametrize("before", [True, False], ids=["reaped before", "reaped while watched"])
def test_the_end_of_a_process_that_somebody_else_reaps_is_noticed(pidfd, before):
    """How it ended is lost then, and that is no success; the watch is over all the same."""
    handle = Flux("loop://")
    seen: list[int] = []
    process = subprocess.Popen(["true"])
    if before:
        os.waitpid(process.pid, 0)
    ExitWatch(handle, process, seen.append, pidfd)
    if not before:
        os.waitpid(process.pid, 0)
    assert handle.reactor_run() == 0
    assert seen == [UNKNOWN_STATUS]
    process.wait()
