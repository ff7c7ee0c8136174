"""``ssh://`` to a broker through ``flux relay``, with a stand-in for ssh on this host."""

from __future__ import annotations

import asyncio
import errno
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import flux
from flux.constants import FLUX_MSGTYPE_REQUEST, FLUX_RPC_STREAMING
from flux.devbroker import Broker

#: It drops options and host, and like ssh has a shell run the rest.  It notes which process it is.
_SSH = """\
#!/bin/sh
while getopts p: option; do :; done
shift $OPTIND
echo $$ >>'{pids}'
exec sh -c "exec $*"
"""


class Relays:
    """The relays that the stand-in started."""

    def __init__(self, pids: Path) -> None:
        self._pids = pids

    def newest(self) -> int:
        """Return the process of the last one."""
        return int(self._pids.read_text().split()[-1])


@pytest.fixture
def relays(tmp_path, monkeypatch) -> Relays:
    """Put the stand-in on PATH."""
    pids = tmp_path / "pids"
    path = tmp_path / "ssh"
    path.write_text(_SSH.format(pids=pids))
    path.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    for name in ("FLUX_SSH", "FLUX_SSH_RCMD", "FLUX_URI"):
        monkeypatch.delenv(name, raising=False)
    return Relays(pids)


@pytest.fixture
def uri(relays, flux_broker: Broker) -> str:
    """Return the address of the test's broker as another host sees it."""
    return remote(flux_broker)


def connect(uri: str) -> Any:
    return flux.Flux(uri)


def remote(broker: Broker) -> str:
    return f"ssh://user@host:22{broker.uri[len('local://') :]}"


def test_it_is_a_connection_as_any_other(uri):
    with flux.Flux(uri) as handle:
        assert handle.attr_get("size") == "1"
        answer = handle.rpc("broker.ping", {"seq": 1}).get()
        assert (answer["seq"], answer["userid"]) == (1, os.getuid())
        with pytest.raises(OSError, match="nosuch") as caught:
            handle.rpc("nosuch.method").get()
        assert caught.value.errno == errno.ENOSYS


def test_large_payloads_pass_both_ways(uri):
    text = "0123456789" * 500_000
    with flux.Flux(uri) as handle:
        futures = [handle.rpc("broker.ping", {"seq": i, "pad": text}) for i in range(3)]
        assert [future.get()["pad"] == text for future in futures] == [True] * 3


def test_events_pass_between_handles(uri, flux_handle):
    with connect(uri) as near, connect(uri) as far:
        far.event_subscribe("t.")
        near.event_send("t.a", {"x": 1})
        assert far.event_recv().payload == {"x": 1}
        flux_handle.event_send("t.b")
        assert far.event_recv().topic == "t.b"


def test_streams_pass_and_can_be_cancelled(uri):
    with connect(uri) as handle:
        handle.rpc("log.append", "<14>1 - - - - - - hello").get()
        stream = handle.rpc("log.dmesg", {"follow": True}, flags=FLUX_RPC_STREAMING)
        while "hello" not in stream.get_str():
            stream.reset()
        stream.cancel()
        stream.reset()
        # What was on its way, and then its end.
        for _ in stream:
            pass


def test_callbacks_run_in_the_reactor(uri):
    with flux.Flux(uri) as handle:
        found = []
        for i in range(100):
            handle.rpc("broker.ping", {"seq": i}).then(lambda f: found.append(f.get()["seq"]))
        assert handle.reactor_run() == 0
        assert found == list(range(100))


def test_it_can_be_awaited(uri):
    async def main() -> Any:
        with flux.Flux(uri) as handle:
            return await handle.rpc("broker.ping", {"seq": 7})

    answer = asyncio.run(main())
    assert answer["seq"] == 7


def test_a_service_goes_with_its_connection(uri, flux_handle):
    for _ in range(2):
        with connect(uri) as server:
            server.service_register("fubar").get()
            request = flux_handle.rpc("fubar.x", {"a": 1})
            msg = server.recv(FLUX_MSGTYPE_REQUEST)
            server.respond(msg, {"b": msg.payload["a"]})
            assert request.get() == {"b": 1}
        with pytest.raises(OSError, match="fubar") as caught:
            flux_handle.rpc("fubar.x").get()
        assert caught.value.errno == errno.ENOSYS


def test_a_relay_that_dies_fails_what_is_outstanding(uri, relays, flux_handle):
    flux_handle.service_register("silent").get()
    handle = flux.Flux(uri)
    futures = [handle.rpc("silent.x") for _ in range(3)]
    flux_handle.recv(FLUX_MSGTYPE_REQUEST)
    os.kill(relays.newest(), signal.SIGKILL)
    for future in futures:
        with pytest.raises(OSError, match=f"lost connection to {uri}") as caught:
            future.get()
        assert caught.value.errno == errno.ECONNRESET
    with pytest.raises(OSError, match="cannot send") as caught:
        handle.rpc("silent.x")
    assert caught.value.errno == errno.EPIPE
    # The way is clear for another one.
    assert flux.Flux(uri).get_rank() == 0


def test_a_broker_that_dies_ends_the_relay(relays):
    with Broker() as broker:
        handle = flux.Flux(remote(broker))
        stream = handle.rpc("log.dmesg", {"follow": True}, flags=FLUX_RPC_STREAMING)
        broker.kill()
        with pytest.raises(OSError, match="lost connection") as caught:
            list(stream)
        assert caught.value.errno == errno.ECONNRESET


def test_a_socket_that_is_not_there_is_named_with_its_host(relays, flux_broker, monkeypatch):
    monkeypatch.setenv("FLUX_LOCAL_CONNECTOR_RETRY_COUNT", "0")
    uri = remote(flux_broker).replace("local-0", "nosuch")
    path = uri[uri.index("/", len("ssh://")) :]
    host = os.uname().nodename
    with pytest.raises(OSError, match=f"{host}: broker socket {path} was not found") as caught:
        flux.Flux(uri)
    assert caught.value.errno == errno.ECONNRESET


def test_a_relay_wants_a_path():
    result = subprocess.run(
        [sys.executable, "-m", "flux.command", "relay"],
        check=False,
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert result.returncode == 1
    assert "required: path" in result.stderr
