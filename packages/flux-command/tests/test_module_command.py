"""``flux module``: what it prints, and what it says of mistakes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ODD = str(Path(__file__).parent / "modules" / "odd.py")


@pytest.fixture
def module(flux_broker):
    def run(*args):
        return subprocess.run(
            [sys.executable, "-m", "flux.command", "module", *args],
            env=flux_broker.environ,
            check=False,
            capture_output=True,
            text=True,
            timeout=30,
        )

    return run


@pytest.mark.flux_broker(attributes={"broker.rc1_path": ""})
def test_modules_are_loaded_listed_and_removed(module):
    assert module("load", "--name", "it", ODD, "--an", "argument").returncode == 0
    assert module("list").stdout.splitlines()[0] == (
        "Module                    Idle  S Sendq Recvq Service"
    )
    (line,) = [line for line in module("list", "-l").stdout.splitlines() if ODD in line]
    assert line == f"it                           0  R     0     0          {ODD}"
    assert module("reload", "--name", "it", ODD).returncode == 0
    assert module("remove", "it").returncode == 0
    assert module("remove", "it").stderr == "flux-module: remove it: No such file or directory\n"
    assert module("remove", "-f", "it").returncode == 0


def test_statistics_and_debug_flags(module):
    module("load", ODD)
    assert module("stats", "-p", "tx.event", "odd").stdout == "0\n"
    assert module("stats", "odd").stdout.startswith('{\n "tx": {\n  "request": ')
    assert module("stats", "-s", "2.5", "-p", "tx.request", "odd").stdout == "5\n"
    assert module("stats", "-p", "no", "odd").stderr == "flux-module: `no' not found in response\n"
    assert module("stats", "-Rbad", "odd").stderr == (
        "flux-module: odd.rusage: bad is unsupported\n"
    )
    assert module("stats", "--clear", "odd").returncode == 0
    assert module("debug", "--setbit", "0x10", "odd").stdout == "0x10\n"
    assert module("debug", "--set", "255", "odd").stdout == "0xff\n"
    assert module("debug", "--clearbit", "1", "odd").stdout == "0xfe\n"
    assert module("debug", "--clear", "odd").stdout == "0x0\n"


def test_what_goes_wrong_is_said(module, tmp_path):
    assert module("load", "./no.py").stderr == (
        "flux-module: could not canonicalize module path './no.py': No such file or directory\n"
    )
    assert module("load", "no").stderr == (
        "flux-module: load no: module not found in search path\n"
    )
    assert module("load", "--loader=no", ODD).stderr == (
        f"flux-module: load {ODD}: loader (no) exited with exit code 1\n"
    )
    assert module("bad").returncode == 1
    assert module().returncode == 1


def test_a_loader_is_used(module, tmp_path):
    loader = tmp_path / "loader"
    loader.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m flux.brokermod "$@"\n')
    loader.chmod(0o755)
    assert module("load", f"--loader={loader}", ODD).returncode == 0
    assert module("debug", "odd").stdout == "0x0\n"


def test_messages_are_traced(flux_broker, flux_handle, module):
    module("load", ODD)
    command = [sys.executable, "-m", "flux.command", "module", "trace", "--full", "odd"]
    with subprocess.Popen(
        command, env=flux_broker.environ, stdout=subprocess.PIPE, text=True
    ) as tracer:
        try:
            assert tracer.stdout is not None
            pings = [flux_handle.rpc("odd.ping", {"n": 1}).wait_for()]
            # Until the request to trace is in force, there is nothing to see.
            import selectors

            with selectors.DefaultSelector() as selector:
                selector.register(tracer.stdout, selectors.EVENT_READ)
                while not selector.select(0.01):
                    pings.append(flux_handle.rpc("odd.ping", {"n": 1}).wait_for())
            line = tracer.stdout.readline()
            while " rx " not in line:
                # It began between a request and its response, which has its payload below it.
                line = tracer.stdout.readline()
                assert line
            assert line.split(" ", 1)[1] in (
                "odd rx > odd.ping [8]\n",
                "odd rx > odd.ping [10]\n",
                "odd rx > odd.ping [11]\n",
            )
        finally:
            tracer.terminate()
