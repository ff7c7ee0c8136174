"""`Broker` and the fixtures: what starts, what it is like, and that nothing is left of it."""

from __future__ import annotations

import fcntl
import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest

import flux
from flux.devbroker import Broker, BrokerError


def directory(broker: Broker) -> Path:
    return Path(broker.uri[len("local://") :]).parent


def gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


def test_a_broker_serves_until_it_is_stopped():
    with Broker() as broker:
        path = directory(broker)
        assert path.stat().st_mode & 0o777 == 0o700
        with broker.handle() as handle:
            assert handle.attr_get("rank") == "0"
            assert handle.attr_get("size") == "1"
            assert handle.attr_get("local-uri") == broker.uri
            assert handle.attr_get("broker.pid") == str(broker.pid)
    assert gone(broker.pid)
    assert not path.exists()


def test_stopping_again_is_harmless():
    broker = Broker()
    broker.stop()
    broker.stop()
    broker.kill()


def test_a_killed_broker_leaves_nothing_behind_either():
    broker = Broker()
    path = directory(broker)
    broker.kill()
    assert gone(broker.pid)
    assert not path.exists()


def test_a_forgotten_broker_ends_with_its_last_reference():
    broker = Broker()
    pid, path = broker.pid, directory(broker)
    del broker
    assert gone(pid)
    assert not path.exists()


@pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="needs a way to wait for the process")
def test_a_broker_ends_when_the_process_that_started_it_is_killed():
    code = (
        "import sys; from flux.devbroker import Broker; broker = Broker();"
        "print(broker.pid, broker.uri, flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout is not None
        pid, uri = parent.stdout.readline().split()
        with flux.Flux(uri) as handle:
            pidfd = os.pidfd_open(int(pid))
            parent.kill()
            with pytest.raises(OSError, match="lost connection"):
                handle.event_recv()
    # The connection ends a moment before the directory is removed.
    assert select.select([pidfd], [], [], 10.0)[0]
    os.close(pidfd)
    assert not Path(uri[len("local://") :]).parent.exists()


class TestAbandonedDirectories:
    """A start removes the directories of brokers that are gone, and no others."""

    @pytest.fixture(autouse=True)
    def _tmp(self, monkeypatch, tmp_path_factory):
        # Short enough for a socket.
        self.top = Path(tempfile.mkdtemp(prefix="t"))
        monkeypatch.setenv("TMPDIR", str(self.top))
        monkeypatch.setattr(tempfile, "tempdir", None)
        yield
        shutil.rmtree(self.top)

    def start(self) -> subprocess.Popen[str]:
        """Start a broker that nobody looks after, and note its directory."""
        code = "flux getattr rundir; read line"
        process = subprocess.Popen(
            [sys.executable, "-m", "flux.devbroker", "start", "sh", "-c", code],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        assert process.stdout is not None
        self.path = Path(process.stdout.readline().strip())
        assert self.path.parent == self.top
        return process

    def kill(self, process: subprocess.Popen[str]) -> None:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()

    def test_of_one_that_was_killed(self):
        self.kill(self.start())
        assert self.path.exists()
        with Broker():
            assert not self.path.exists()

    def test_not_of_one_that_runs(self):
        with Broker() as first, Broker():
            assert directory(first).exists()
        with self.start() as process, Broker():
            assert self.path.exists()
            process.communicate("\n", timeout=10)

    @pytest.mark.parametrize("kind", ["directory", "file", "link", "held"])
    def test_not_what_others_have_made(self, kind):
        path = self.top / "flux-others"
        if kind == "file":
            path.write_text("")
        elif kind == "link":
            (self.top / "elsewhere").mkdir()
            (self.top / "elsewhere" / "devbroker.lock").write_text("")
            path.symlink_to(self.top / "elsewhere")
        else:
            path.mkdir()
            (path / "local-0").write_text("")
        if kind == "held":
            lock = (path / "devbroker.lock").open("w")
            fcntl.flock(lock, fcntl.LOCK_EX)
        with Broker():
            pass
        assert path.exists()
        if kind == "link":
            assert (self.top / "elsewhere" / "devbroker.lock").exists()
        if kind == "held":
            lock.close()
            with Broker():
                assert not path.exists()


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_ends_a_broker_in_good_order(signum):
    broker = Broker()
    path = directory(broker)
    with broker.handle() as handle:
        os.kill(broker.pid, signum)
        with pytest.raises(OSError, match="lost connection"):
            handle.event_recv()
    broker.stop()
    assert not path.exists()


def test_a_crash_is_reported_with_what_the_broker_said():
    broker = Broker(log_level=6)
    os.kill(broker.pid, signal.SIGKILL)
    with pytest.raises(BrokerError, match=r"signal 9[\s\S]*quorum->run"):
        broker.stop()


def test_an_exception_in_the_block_is_not_hidden_by_that_of_a_dead_broker():
    def block() -> None:
        with Broker() as broker:
            os.kill(broker.pid, signal.SIGKILL)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        block()


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"attributes": {"nosuch": "1"}}, "nosuch: unknown attribute"),
        ({"attributes": {"rank": "1"}}, "rank: attribute may not be set on the command line"),
        (
            {"attributes": {"local-uri": "local:///nonexistent/s"}},
            "cannot listen at /nonexistent/s",
        ),
        ({"attributes": {"local-uri": "ssh://host"}}, "local-uri: ssh://host"),
        ({"config": {"access": {"bogus": 1}}}, "left unpacked: bogus"),
        ({"log_level": 9}, "invalid level"),
    ],
)
def test_a_broker_that_cannot_start_says_why(options, text, tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with pytest.raises(BrokerError, match=text):
        Broker(**options)
    assert not list(tmp_path.iterdir())


def test_a_long_temporary_directory_is_avoided(tmp_path, monkeypatch):
    long = tmp_path / ("x" * 100)
    long.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(long))
    with Broker() as broker, broker.handle() as handle:
        assert handle.attr_get("rank") == "0"


def test_options_reach_the_broker():
    options: dict[str, Any] = {
        "config": {"a": {"b": 1}},
        "attributes": {"test.x": "y"},
        "log_level": 6,
    }
    with Broker(**options) as broker:
        with broker.handle() as handle:
            assert handle.conf_get("a.b") == 1
            assert handle.attr_get("test.x") == "y"
        assert "quorum->run" in broker.stderr


def test_a_given_directory_is_used_and_stays(tmp_path):
    with Broker(attributes={"rundir": str(tmp_path)}) as broker:
        assert directory(broker) == tmp_path
    assert tmp_path.is_dir()
    assert not list(tmp_path.iterdir())


def test_programs_find_the_broker_and_the_flux_command_through_the_environment():
    with Broker() as broker:
        output = subprocess.run(
            ["flux", "getattr", "local-uri"],
            env=broker.environ,
            check=False,
            capture_output=True,
            text=True,
        )
    assert output.stdout.strip() == broker.uri


def test_a_broker_takes_the_place_of_one_that_crashed(tmp_path):
    rundir = {"rundir": str(tmp_path)}
    Broker(attributes=rundir).kill()
    assert (tmp_path / "local-0").is_socket()
    with Broker(attributes=rundir) as broker, broker.handle() as handle:
        assert handle.rpc("broker.ping", {"seq": 1}).get()["seq"] == 1


def test_a_broker_does_not_take_the_place_of_one_that_runs(tmp_path):
    rundir = {"rundir": str(tmp_path)}
    with Broker(attributes=rundir) as broker, broker.handle() as handle:
        with pytest.raises(BrokerError, match="Address already in use"):
            Broker(attributes=rundir)
        assert handle.rpc("broker.ping", {"seq": 1}).get()["seq"] == 1


def test_who_shuts_a_broker_down_is_answered():
    with Broker() as broker, broker.handle() as handle:
        handle.rpc("shutdown.start").get()


def test_brokers_side_by_side_are_strangers():
    with Broker() as one, Broker() as other, one.handle() as first, other.handle() as second:
        first.rpc("attr.set", {"name": "test.a", "value": "1"}).get()
        assert first.attr_get("broker.uuid") != second.attr_get("broker.uuid")
        with pytest.raises(FileNotFoundError):
            second.attr_get("test.a")


@pytest.mark.flux_broker(attributes={"test.x": "marked"})
def test_the_mark_gives_arguments_to_the_fixture(flux_handle, flux_broker):
    assert flux_handle.attr_get("test.x") == "marked"
    assert flux_handle.attr_get("local-uri") == flux_broker.uri


def test_the_plugin_works_by_itself(tmp_path):
    (tmp_path / "test_it.py").write_text(
        "def test_ping(flux_handle):\n"
        "    assert flux_handle.rpc('broker.ping', {}).get()['rank'] == 0\n"
    )
    result = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", tmp_path],
        cwd=tmp_path,
        check=False,
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.flux_broker(allow_guests=True)
def test_guests_can_reach_the_socket_of_a_broker_that_admits_them(flux_broker, flux_handle):
    assert directory(flux_broker).stat().st_mode & 0o777 == 0o711
    flux_handle.rpc("config.load", {}).get()
    assert directory(flux_broker).stat().st_mode & 0o777 == 0o700
