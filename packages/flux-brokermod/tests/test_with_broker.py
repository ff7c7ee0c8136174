"""A module attached to a running broker, as its other clients see it."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from flux.constants import FLUX_RPC_STREAMING

EXAMPLES = Path(__file__).parents[3] / "examples" / "modules"

pytest.importorskip("flux.devbroker", reason="the development broker is not installed")


@pytest.fixture
def handle(flux_handle):
    return flux_handle


@pytest.fixture
def attach(handle):
    """Attach an example."""
    processes = []

    def start(name, *args):
        processes.append(
            subprocess.Popen(
                [sys.executable, "-m", "flux.brokermod", str(EXAMPLES / name), *args],
                env={**os.environ, "FLUX_URI": handle.attr_get("local-uri")},
            )
        )
        return processes[-1]

    yield start
    for process in processes:
        process.kill()
        process.wait()


def call(handle, process, *request):
    """Call a method of a service as soon as there is one."""
    future = handle.rpc(*request).wait_for()
    while future.error_string() and process.poll() is None:
        future = handle.rpc(*request).wait_for()
    return future.get()


def test_a_module_is_a_service_until_it_is_interrupted(handle, attach):
    process = attach("counter.py", "runs=3")
    assert call(handle, process, "counter.get") == {"counts": {"runs": 3}}
    assert handle.rpc("counter.add", {"name": "runs"}).get() == {"value": 4}
    route = handle.rpc("counter.ping", {}).get()["route"]
    assert route.count("!") == 3
    process.send_signal(signal.SIGINT)
    assert process.wait(20) == 0
    with pytest.raises(OSError, match=r"No service matching counter[.]get") as caught:
        handle.rpc("counter.get").get()
    assert caught.value.errno == errno.ENOSYS


def test_the_module_of_a_broker_that_stops_ends_with_it(handle, attach):
    process = attach("counter.py")
    call(handle, process, "counter.get")
    os.kill(int(handle.attr_get("broker.pid")), signal.SIGTERM)
    assert process.wait(20) == 1


def test_a_stream_is_followed_and_cancelled(handle, attach):
    process = attach("ticker.py", "0.001")
    call(handle, process, "ticker.ping", {})
    stream = handle.rpc("ticker.watch", flags=FLUX_RPC_STREAMING)
    assert next(stream) == {"count": 1}
    assert next(stream) == {"count": 2}
    stream.cancel()
    # What was on the way still arrives; then the stream ends, or this would not return.
    assert all(response["count"] > 2 for response in stream)


def test_a_module_is_run_anew_when_its_file_changes(handle, tmp_path):
    pytest.importorskip("watchfiles", reason="--reload needs it")
    path = tmp_path / "counter.py"
    source = (EXAMPLES / "counter.py").read_text("utf-8")
    path.write_text(source)
    process = subprocess.Popen(
        [sys.executable, "-m", "flux.brokermod", "--reload", str(path), "a=1"],
        env={**os.environ, "FLUX_URI": handle.attr_get("local-uri")},
        stdout=subprocess.DEVNULL,
    )
    try:
        assert call(handle, process, "counter.get") == {"counts": {"a": 1}}
        path.write_text(source.replace('{"counts"', '{"changed"'))
        while call(handle, process, "counter.get") != {"changed": {"a": 1}}:
            pass
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 0
    finally:
        process.kill()
        process.wait()
    with pytest.raises(OSError, match="No service matching"):
        handle.rpc("counter.get").get()
