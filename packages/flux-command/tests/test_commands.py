"""The other commands: their output and what they do, each as its own process."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from flux.command._handover import find_real

FLUX = [sys.executable, "-m", "flux.command"]


@pytest.fixture
def run(flux_broker):
    """Runs a command against the test's broker."""

    def run_command(*args: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*FLUX, *args],
            env=flux_broker.environ,
            check=False,
            capture_output=True,
            text=True,
            timeout=30,
        )

    return run_command


def output(result: subprocess.CompletedProcess[str]) -> str:
    assert result.returncode == 0, result.stderr
    return result.stdout


def complaint(result: subprocess.CompletedProcess[str]) -> str:
    assert result.returncode == 1
    return result.stderr.splitlines()[0]


def test_attributes_are_read_set_and_listed(run):
    assert output(run("getattr", "rank")) == "0\n"
    assert output(run("setattr", "test.x", "a b")) == ""
    assert output(run("getattr", "test.x")) == "a b\n"
    names = output(run("lsattr")).split()
    assert names == sorted(names)
    assert "rank" in names
    lines = output(run("lsattr", "-v")).splitlines()
    assert "rank                                    0" in lines
    assert "parent-uri                              -" in lines
    assert [line.split()[0] for line in lines] == names


def test_what_is_wrong_with_an_attribute_is_said(run):
    assert complaint(run("getattr", "nosuch")) == "flux-getattr: nosuch: No such file or directory"
    assert complaint(run("setattr", "rank", "1")) == (
        "flux-setattr: rank: attribute may not be updated"
    )
    assert complaint(run("setattr", "-f", "rank", "1")) == (
        "flux-setattr: rank: Operation not permitted"
    )
    assert "required: value" in complaint(run("setattr", "rank"))


def test_events_are_published(run, flux_handle):
    flux_handle.event_subscribe("t.")
    output(run("event", "pub", "t.json", '{"a":', "1}"))
    output(run("event", "pub", "--raw", "t.raw", "text"))
    output(run("event", "pub", "--private", "t.none"))
    assert output(run("event", "pub", "--synchronous", "t.seq", "{}")) == "seq=4\n"
    output(run("event", "pub", "--loopback", "t.loop"))
    events = [flux_handle.event_recv() for _ in range(5)]
    assert [(event.topic, event.payload_bytes) for event in events] == [
        ("t.json", b'{"a": 1}\0'),
        ("t.raw", b"text"),
        ("t.none", None),
        ("t.seq", b"{}\0"),
        ("t.loop", None),
    ]
    assert [event.private for event in events] == [False, False, True, False, False]


def test_events_are_printed_as_they_come(flux_broker, flux_handle):
    command = [*FLUX, "event", "sub", "--count=3", "t."]
    with subprocess.Popen(
        command, env=flux_broker.environ, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        # Published again and again until the command has subscribed.
        lines: list[str] = []
        while True:
            flux_handle.event_publish("other", payload={}).get()
            flux_handle.event_publish("t.first").get()
            if subscribed(flux_handle):
                break
        flux_handle.event_publish("t.x", payload={"a": 1}).get()
        flux_handle.event_publish("t.y", payload="text").get()
        flux_handle.event_publish("t.z").get()
        lines = process.stdout.readlines()
        assert process.wait(10) == 0
    for line in lines:
        assert re.fullmatch(r't\.(first|z)\t\n|t\.x\t\{"a":1\}\n|t\.y\ttext\n', line), line
    assert len(lines) == 3


def subscribed(handle) -> bool:
    """Return True once the other client has sent its only request."""
    clients = handle.rpc("connector-local.stats-get").get()["server"]["clients"]
    own = os.getpid()
    return any(client["rxcount"] >= 1 for client in clients if client["pid"] != own)


def test_the_log_is_written_printed_and_cleared(run):
    output(run("dmesg", "-C"))
    output(run("logger", "hello", "world"))
    output(run("logger", "-s", "debug", "-n", "me", "quiet"))
    lines = output(run("dmesg")).splitlines()
    assert [line.split(" ", 1)[1] for line in lines] == [
        "logger.notice[0]: hello world",
        "me.debug[0]: quiet",
    ]
    human = output(run("dmesg", "-H", "-c")).splitlines()
    assert re.fullmatch(r"\[\w{3}\d\d \d\d:\d\d\] logger.notice\[0\]: hello world", human[0])
    assert re.fullmatch(r"\[  \+\d\.\d{6}\] me.debug\[0\]: quiet", human[1])
    assert output(run("dmesg")) == ""
    output(run("logger", "-s", "err", "bad"))
    colored = output(run("dmesg", "--color=always"))
    assert colored.endswith("\033[33mlogger.err[0]\033[0m: \033[31mbad\033[0m\n")
    assert "invalid severity" in complaint(run("logger", "-s", "bogus", "x"))


def test_a_log_that_is_followed_goes_on(flux_broker, flux_handle):
    command = [*FLUX, "dmesg", "--follow"]
    with subprocess.Popen(
        command, env=flux_broker.environ, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        while "quorum->run" not in process.stdout.readline():
            pass
        flux_handle.log(5, "news")
        assert process.stdout.readline().endswith(": news\n")
        process.terminate()


def test_ping_measures_round_trips(run):
    route = r"\([0-9a-f!]{26}\)"
    lines = output(run("ping", "-c2", "-i0", "broker")).splitlines()
    assert lines[0] == "flux-ping any!broker"
    for i, line in enumerate(lines[1:]):
        assert re.fullmatch(rf"0!broker\.ping pad=0 seq={i} time=\d+\.\d{{3}} ms {route}", line), (
            line
        )
    assert len(lines) == 3
    lines = output(run("ping", "-b", "-c3", "-i0", "-p1k", "-u", "0!config")).splitlines()
    assert lines[0] == "flux-ping 0!config"
    assert [line.split(" time=")[0] for line in lines[1:]] == [
        f"0!config.ping pad=1024 userid={os.getuid()} rolemask=0x5 seq={i}" for i in range(3)
    ]
    assert "0!broker.ping" in output(run("ping", "-c1", "0"))


def test_what_is_wrong_with_a_ping_is_said(run):
    assert complaint(run("ping", "-c1", "x")) == "flux-ping: x.ping: Function not implemented"
    assert complaint(run("ping", "-c1", "7")) == "flux-ping: 7!broker.ping: No route to host"
    assert complaint(run("ping", "-c1", "-r", "upstream", "broker")) == (
        "flux-ping: upstream!broker.ping: No route to host"
    )
    assert complaint(run("ping", "-b", "x")) == (
        "flux-ping: --batch should only be used with --count"
    )
    assert complaint(run("ping", "-c1", "nohost!x")) == "flux-ping: invalid nodeid/host: 'nohost'"


def test_version_says_which_broker_it_is(run, flux_broker):
    text = output(run("version"))
    assert "0.88.0+devbroker" in text
    assert flux_broker.uri in text


def test_without_a_broker_the_way_to_one_is_told(tmp_path):
    env = {**os.environ, "FLUX_URI": f"local://{tmp_path}/none"}
    env["FLUX_LOCAL_CONNECTOR_RETRY_COUNT"] = "0"
    result = subprocess.run(
        [*FLUX, "getattr", "rank"], env=env, check=False, capture_output=True, text=True
    )
    assert result.returncode == 1
    assert "was not found; 'flux start' starts a broker" in result.stderr


def test_unknown_commands_are_refused(run):
    assert complaint(run("bogus")) == (
        "flux: 'bogus' is not a command of this flux.  See 'flux --help'"
    )
    assert "start" in output(run("--help"))
    assert "--count" in output(run("ping", "--help"))


def test_output_that_nobody_reads_is_no_error(flux_broker):
    read, write = os.pipe()
    os.close(read)
    try:
        result = subprocess.run(
            [*FLUX, "lsattr"],
            env=flux_broker.environ,
            stdout=write,
            stderr=subprocess.PIPE,
            check=False,
        )
    finally:
        os.close(write)
    assert result.stderr == b""


# -- making way for a real flux


def executable(path: Path, text: str) -> Path:
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)
    return path


@pytest.fixture
def script(tmp_path):
    """The console script, as pip makes it."""
    return executable(
        tmp_path / "ours" / "flux",
        f"#!{sys.executable}\nimport sys\nfrom flux.command.__main__ import main\nmain()\n",
    )


def run_script(script: Path, *directories: Path) -> str:
    path = os.pathsep.join(map(str, (*directories, "/usr/bin", "/bin")))
    env = {**os.environ, "PATH": path}
    env.pop("FLUX_URI", None)
    return subprocess.run(
        [script, "version"], env=env, capture_output=True, text=True, timeout=30, check=True
    ).stdout


def test_the_console_script_hands_over_to_a_real_flux(script, tmp_path):
    real = executable(tmp_path / "real" / "flux", '#!/bin/sh\necho "the real one: $*"\n')
    assert run_script(script, script.parent, real.parent) == "the real one: version\n"
    assert "flux-command" in run_script(script, script.parent)


def test_a_wrapper_of_the_console_script_is_no_real_flux(script, tmp_path):
    shim = executable(tmp_path / "shim" / "flux", f'#!/bin/sh\nexec {script} "$@"\n')
    assert "flux-command" in run_script(shim, shim.parent, script.parent)
    forking = executable(tmp_path / "forking" / "flux", f'#!/bin/sh\n{script} "$@"\nexit\n')
    assert "flux-command" in run_script(forking, forking.parent, script.parent)


def test_what_is_ours_is_known_by_its_content(script, tmp_path):
    other = executable(tmp_path / "copy" / "flux", script.read_text())
    directory = tmp_path / "dir" / "flux"
    directory.mkdir(parents=True)
    path = os.pathsep.join(map(str, (other.parent, directory.parent, tmp_path / "nowhere")))
    assert find_real(path, str(script)) is None
