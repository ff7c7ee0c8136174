"""What the services do beyond what the transcripts show."""

from __future__ import annotations

import errno
import os
import socket

import pytest

from flux import Flux
from flux.constants import FLUX_REACTOR_NOWAIT, FLUX_RPC_NORESPONSE, FLUX_RPC_STREAMING
from flux.devbroker import Broker
from flux.devbroker._instance import Instance
from flux.devbroker._local import LocalPeer


def errnum_of(rpc) -> int:
    with pytest.raises(OSError) as info:  # noqa: PT011 - the number is what is looked at
        rpc.get()
    return info.value.errno or 0


# -- config


def test_the_configuration_is_read_again_from_its_files(tmp_path):
    file = tmp_path / "a.json"
    file.write_text('{"a": 1}')
    with Broker(attributes={"config.path": str(file)}) as broker, broker.handle() as handle:
        handle.rpc("config.reload").get()
        assert handle.rpc("config.get").get() == {"a": 1}
        file.write_text('{"a": 2}')
        handle.rpc("config.reload").get()
        assert handle.rpc("config.get").get() == {"a": 2}
        file.write_text("{")
        with pytest.raises(OSError, match=r"Config file error: .*a\.json") as info:
            handle.rpc("config.reload").get()
        assert info.value.errno == errno.EINVAL
        assert handle.rpc("config.get").get() == {"a": 2}


def test_a_directory_of_toml_files_makes_one_configuration(tmp_path):
    (tmp_path / "a.toml").write_text("[x]\na = 1\nb = 1\n")
    (tmp_path / "b.toml").write_text("[x]\nb = 2\n[y]\n")
    with Broker(attributes={"config.path": str(tmp_path)}) as broker, broker.handle() as handle:
        handle.rpc("config.reload").get()
        assert handle.conf_get() == {"x": {"a": 1, "b": 2}, "y": {}}


def test_a_configuration_that_is_refused_changes_nothing(flux_handle):
    watch = flux_handle.rpc("config.get", flags=FLUX_RPC_STREAMING)
    assert watch.get() == {}
    watch.reset()
    bad = {"access": {"allow-guest-user": 1}, "x": 1}
    assert errnum_of(flux_handle.rpc("config.load", bad)) == errno.EINVAL
    flux_handle.rpc("config.load", {"x": 2}).get()
    assert watch.get() == {"x": 2}


# -- log


def test_urgent_lines_go_to_standard_error(flux_broker, flux_handle):
    flux_handle.log(4, "not urgent")
    flux_handle.log(3, "urgent\nindeed")
    flux_handle.rpc("attr.set", {"name": "log-stderr-level", "value": "4"}).get()
    flux_handle.log(4, "now it is")
    flux_handle.rpc("log.stats-get").get()
    lines = [line.split(": ", 1)[1] for line in flux_broker.stderr.splitlines()]
    assert lines == ["urgent", "indeed", "now it is"]


def test_the_ring_keeps_the_newest_lines():
    with Broker(attributes={"log-ring-size": "3"}) as broker, broker.handle() as handle:
        for i in range(5):
            handle.log(6, f"line {i}")
        rpc = handle.rpc("log.dmesg", {"follow": False}, flags=FLUX_RPC_STREAMING)
        lines = []
        for _ in range(3):
            lines.append(rpc.get_str())
            rpc.reset()
        assert errnum_of(rpc) == errno.ENODATA
        assert [str(line)[-6:] for line in lines] == ["line 2", "line 3", "line 4"]


def test_a_line_of_another_rank_is_not_kept(flux_handle):
    before = flux_handle.rpc("log.stats-get").get()
    line = "<48>1 2026-01-01T00:00:00.000000Z 1 app 1 - - text"
    flux_handle.rpc("log.append", line).get()
    after = flux_handle.rpc("log.stats-get").get()
    assert after == {**before, "remote": before["remote"] + 1}


# -- state that belongs to a client


def test_what_a_client_has_joined_it_leaves_when_it_goes(flux_broker, flux_handle):
    watch = flux_handle.rpc("groups.get", {"name": "g"}, flags=FLUX_RPC_STREAMING)
    assert watch.get() == {"members": ""}
    watch.reset()
    with flux_broker.handle() as other:
        other.rpc("groups.join", {"name": "g"}).get()
        assert watch.get() == {"members": "0"}
        watch.reset()
    assert watch.get() == {"members": ""}


def test_only_its_sender_can_cancel_a_stream(flux_broker, flux_handle):
    follow = {"follow": True, "nobacklog": True}
    stream = flux_handle.rpc("log.dmesg", follow, flags=FLUX_RPC_STREAMING)
    with flux_broker.handle() as other:
        request = {"matchtag": stream.get_matchtag()}
        other.rpc("log.cancel", request, flags=FLUX_RPC_NORESPONSE)
        other.rpc("broker.ping", {}).get()
    flux_handle.log(6, "still there")
    assert stream.get_str().endswith("still there")
    stream.reset()
    stream.cancel()
    assert errnum_of(stream) == errno.ENODATA


def test_statistics_tell_of_clients(flux_broker, flux_handle):
    with flux_broker.handle() as other:
        other.rpc("broker.ping", {}).get()
        stats = flux_handle.rpc("connector-local.stats-get").get()
    assert stats["server"]["connects"] == 2
    for client in stats["server"]["clients"]:
        assert client["pid"] == os.getpid()
        assert client["userid"] == os.getuid()
        assert client["rxcount"] == 1
    assert not stats["allow_guest_user"]


# -- who may connect


def test_debug_bits_make_the_connector_refuse_or_distrust(flux_broker, flux_handle):
    def set_bit(bit: int) -> None:
        flux_handle.rpc("connector-local.debug", {"op": "setbit", "flags": bit}).get()

    set_bit(1)
    with pytest.raises(PermissionError):
        flux_broker.handle()
    set_bit(4)
    with flux_broker.handle() as stranger:
        response = stranger.rpc("broker.ping", {}).get()
        assert (response["userid"], response["rolemask"]) == (-1, 2)
    with flux_broker.handle() as handle:
        assert handle.rpc("broker.ping", {}).get()["rolemask"] == 5


@pytest.mark.skipif(os.getuid() != 0, reason="only root can connect as somebody else")
def test_a_guest_is_refused_unless_admitted(flux_broker):
    path = flux_broker.uri[len("local://") :]
    os.chmod(os.path.dirname(path), 0o711)
    os.seteuid(65534)
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
            sock.connect(path)
            assert sock.recv(1) == bytes((errno.EPERM,))
            assert sock.recv(1) == b""
    finally:
        os.seteuid(0)


# -- modules, of which so far only those in the broker's process exist


class Module:
    """A handle as the broker's own modules have."""

    def __init__(self, instance: Instance, uuid: str) -> None:
        self._reactor = instance.handle.get_reactor()
        self.handle = Flux(handle=LocalPeer(instance.router, uuid, module=True).session)
        self.handle.set_reactor(self._reactor)

    def call(self, topic: str, payload=None):
        rpc = self.handle.rpc(topic, payload)
        for _ in range(10):
            self._reactor.run(FLUX_REACTOR_NOWAIT)
        assert rpc.is_ready()
        return rpc.get()


@pytest.fixture
def modules():
    instance = Instance({"broker.rc1_path": ""})
    try:
        pair = Module(instance, "1" * 36), Module(instance, "2" * 36)
        yield pair
        for module in pair:
            # pytest holds on to them, and they to the reactor.
            vars(module).clear()
    finally:
        instance.close()


def test_modules_register_services_with_the_broker_itself(modules):
    one, other = modules
    one.call("service.add", {"service": "x"})
    with pytest.raises(OSError, match=r"could not register service x for module .*: File exists"):
        other.call("service.add", {"service": "x"})
    with pytest.raises(OSError, match=r"could not register service a\.b for module"):
        other.call("service.add", {"service": "a.b"})
    with pytest.raises(OSError, match="requestor did not register x"):
        other.call("service.remove", {"service": "x"})
    with pytest.raises(OSError, match="attr is not registered"):
        other.call("service.remove", {"service": "attr"})
    with pytest.raises(OSError, match="y is not registered"):
        other.call("service.remove", {"service": "y"})
    one.call("service.remove", {"service": "x"})
    other.call("service.add", {"service": "x"})


def test_modules_subscribe_with_the_broker_itself(modules):
    one, _other = modules
    got = []
    watcher = one.handle.msg_watcher_create(
        lambda h, w, msg, arg: got.append((msg.topic, msg.seq)), topic_glob="t.*"
    )
    watcher.start()
    one.call("event.subscribe", {"topic": "t."})
    assert one.call("event.publish", {"topic": "t.a", "flags": 0}) == {"seq": 1}
    one.call("event.unsubscribe", {"topic": "t."})
    with pytest.raises(FileNotFoundError):
        one.call("event.unsubscribe", {"topic": "t."})
    one.call("event.publish", {"topic": "t.b", "flags": 0})
    assert got == [("t.a", 1)]


def test_pings_to_and_from_modules_tell_their_way(modules):
    one, other = modules
    response = one.call("broker.ping", {})
    assert response["route"].count("!") == 1
    assert one.call("config.ping", {})["route"].count("!") == 2
    assert other.call("attr.get", {"name": "rank"})["value"] == "0"
