"""Commands that are about the broker: attributes, events, log, overlay, configuration, modules."""

from __future__ import annotations

import json
import os
import select
from pathlib import Path

from flux.devbroker import Broker
from harness.cell import LIMIT, MODULE
from harness.official import Official
from harness.rows import fails, works


@works("flux ping")
def test_ping(flux: Official) -> None:
    assert "0!broker.ping pad=3 seq=1" in flux("ping", "--count=2", "--interval=0", "-p3", "0")
    assert "job-manager.ping" in flux("ping", "--count=1", "--rank=0", "job-manager")
    assert "No route to host" in flux.fail("ping", "--count=1", "7")


@works("flux getattr, setattr, lsattr")
def test_attributes(flux: Official) -> None:
    flux("setattr", "test.official", "a value")
    assert flux("getattr", "test.official") == "a value\n"
    assert "test.official" in flux("lsattr").split()
    assert "size " in flux("lsattr", "--values")
    assert "not be updated" in flux.fail("setattr", "size", "3")


@works("flux event pub, sub")
def test_events(flux: Official) -> None:
    assert "seq=" in flux("event", "pub", "--synchronous", "official.one", '{"n":1}')
    with flux.start("event", "sub", "--count=1", "official.") as subscriber:
        # It does not say when it has subscribed; until then, events are not for it.
        while subscriber.poll() is None:
            flux("event", "pub", "official.two", '{"n":2}')
        shown, _ = subscriber.communicate(timeout=LIMIT)
    assert "official.two" in shown
    assert '{"n":2}' in shown


@works("flux dmesg, logger")
def test_log(flux: Official) -> None:
    flux("logger", "--severity=warning", "--appname=official", "a line of the log")
    assert "official.warning[0]: a line of the log" in flux("dmesg")
    flux("dmesg", "--clear")
    assert "a line of the log" not in flux("dmesg")


@works("flux dmesg --follow")
def test_following_the_log(flux: Official) -> None:
    flux("logger", "the backlog")
    with flux.start("dmesg", "--follow") as dmesg:
        assert dmesg.stdout is not None
        assert any("the backlog" in line for line in dmesg.stdout)
        flux("logger", "and more")
        assert any("and more" in line for line in dmesg.stdout)


@works("flux config get, load, reload")
def test_config(flux: Official) -> None:
    flux("config", "load", stdin='[official]\nnumber = 42\nwords = ["a", "b"]\n')
    assert flux("config", "get", "official.number") == "42\n"
    assert json.loads(flux("config", "get"))["official"]["words"] == ["a", "b"]
    flux("config", "load", stdin="")
    assert json.loads(flux("config", "get")) == {}
    flux("config", "reload")


@works("flux uptime")
def test_uptime(flux: Official) -> None:
    assert "size 1" in flux("uptime")


@works("flux overlay status, lookup, errors, parentof")
def test_overlay(flux: Official) -> None:
    host = os.uname().nodename
    assert flux("overlay", "status") == f"0 {host}: full\n"
    assert flux("overlay", "lookup", "0") == f"{host}\n"
    assert flux("overlay", "errors") == ""
    assert "has no parent" in flux.fail("overlay", "parentof", "0")


@works("flux uri")
def test_uri(flux: Official) -> None:
    assert flux("uri", "--local", flux.broker.uri).strip() == flux.broker.uri
    program = f"echo $$; exec {flux.flux} event sub official.none"
    # A process whose environment names the broker.
    with flux.start("env", "sh", "-c", program) as process:
        assert process.stdout is not None
        pid = process.stdout.readline().strip()
        assert flux("uri", "--local", f"pid:{pid}").strip() == flux.broker.uri


@works("flux version")
def test_version(flux: Official) -> None:
    assert "+devbroker" in flux("version")


@works("flux hostlist")
def test_hostlist(flux: Official) -> None:
    assert flux("hostlist", "instance") == f"{os.uname().nodename}\n"


@works("flux proxy", "to a `local://` URI")
def test_proxy(flux: Official) -> None:
    assert flux("proxy", flux.broker.uri, flux.flux, "getattr", "size") == "1\n"


def shared_object(flux: Official) -> str:
    """Return the path of a module of flux-core."""
    modules = flux("env", "printenv", "FLUX_MODULE_PATH").strip()
    return str(Path(modules, "heartbeat.so"))


@works("flux module list, stats, debug")
def test_modules(flux: Official) -> None:
    assert "job-manager" in flux("module", "list")
    assert "cache" in json.loads(flux("module", "stats", "kvs"))
    assert "utime" in flux("module", "stats", "--rusage", "kvs")
    flux("module", "debug", "--setbit=0x10", "job-manager")
    assert flux("module", "debug", "job-manager") == "0x10\n"
    flux("module", "debug", "--clear", "job-manager")


@works("flux module load, reload, remove", "modules in Python; with `--loader` also others")
def test_loading_modules(flux: Official) -> None:
    flux("module", "load", str(MODULE), "one", "two=2")
    try:
        assert "matrix.ping" in flux("ping", "--count=1", "matrix")
        flux("module", "reload", str(MODULE))
    finally:
        flux("module", "remove", "matrix")
    assert "Function not implemented" in flux.fail("ping", "--count=1", "matrix")
    assert "No such file" in flux.fail("module", "load", "/nonexistent.py")


@works(
    "flux module load --loader=…/flux-module-exec", "flux-core's modules, in processes of their own"
)
def test_loading_a_shared_object(flux: Official) -> None:
    commands = flux("env", "printenv", "FLUX_EXEC_PATH").strip()
    loader = f"--loader={commands}/flux-module-exec"
    with flux.start("event", "sub", "--count=1", "heartbeat.pulse") as subscriber:
        flux("module", "load", loader, shared_object(flux))
        try:
            assert "heartbeat" in flux("module", "list")
            shown, _ = subscriber.communicate(timeout=LIMIT)
        finally:
            flux("module", "remove", "heartbeat")
    assert "heartbeat.pulse" in shown


@fails("flux module load NAME.so", "into the broker's own process; name the loader")
def test_loading_a_shared_object_into_the_broker(flux: Official) -> None:
    assert "use --exec" in flux.fail("module", "load", shared_object(flux))


@fails("flux module remove, reload of a built-in service", "they are parts of the broker")
def test_removing_a_part_of_the_broker(flux: Official) -> None:
    assert "is a part of the development broker" in flux.fail("module", "remove", "job-list")


@works("flux module trace", "of loaded modules; built-in services are not traced")
def test_tracing(flux: Official) -> None:
    flux("module", "load", str(MODULE))
    try:
        with flux.start("module", "trace", "matrix") as trace:
            assert trace.stdout is not None
            # It does not say when it has begun.
            while not select.select([trace.stdout], [], [], 0)[0]:
                flux("ping", "--count=1", "matrix")
            assert "matrix.ping" in trace.stdout.readline()
    finally:
        flux("module", "remove", "matrix")


@works("flux shutdown")
def test_shutdown(flux: Official) -> None:
    with Broker() as broker:
        assert Official(flux.flux, broker)("shutdown", "--background") == ""


@works("flux exec", "also in the background")
def test_exec(flux: Official) -> None:
    assert flux("exec", "sh", "-c", "echo out") == "out\n"
    assert "Exit 4" in flux.fail("exec", "sh", "-c", "exit 4")
    pid = flux("exec", "--bg", "sleep", "inf").split()[-1]
    flux("exec", "kill", pid)


@fails("flux cron", "there is no such module")
def test_cron(flux: Official) -> None:
    assert "Function not implemented" in flux.fail("cron", "list")


@fails("flux startlog", "the broker does not log its starts")
def test_startlog(flux: Official) -> None:
    assert "No such file or directory" in flux.fail("startlog")


@fails("flux jobtap", "plugins of the job manager are shared objects")
def test_jobtap(flux: Official) -> None:
    assert "Unknown service method 'job-manager.jobtap'" in flux.fail("jobtap", "list")


@fails("flux terminus", "there is no server for terminals")
def test_terminus(flux: Official) -> None:
    assert "no server running" in flux.fail("terminus", "list")
