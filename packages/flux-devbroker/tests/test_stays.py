"""A broker stays well: a bug is told once, nothing spins, what nobody reads is bounded, it ends."""

from __future__ import annotations

import gc
import os
import select
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from weakref import ref

import pytest

from flux.constants import FLUX_POLLIN
from flux.devbroker._faults import MAX_FAILURES, MAX_KINDS, Faults
from flux.devbroker._instance import PANICKED, Instance
from flux.message import Message

#: Seconds for what happens at once, on a machine that has other things to do.
SOON = 20.0

#: Seconds in which a broker ends whose starter is gone: one, and what a loaded machine adds.
END = 3.0

BOTH = pytest.mark.parametrize("warm", [True, False], ids=["warm", "cold"])


@contextmanager
def broker_here():
    instance = Instance({"broker.rc1_path": ""})
    try:
        yield instance
    finally:
        instance.close()


# -- exceptions, in a broker of this process


def failing(*_args):
    raise LookupError("a bug")


def always_ready():
    reader, writer = os.pipe()
    os.write(writer, b"x")
    os.close(writer)
    return reader


def test_a_watcher_that_fails_again_and_again_is_stopped_with_what_it_served(capfd):
    with broker_here() as instance:
        fd = always_ready()
        texts = []

        def give_up(text):
            texts.append(text)
            instance.handle.reactor_stop()

        watcher = instance.handle.fd_watcher_create(fd, failing, FLUX_POLLIN, give_up).start()
        assert instance.run() == 0
        os.close(fd)
        [text] = texts
        assert "LookupError at " in text
        assert not watcher.is_active()
        assert list(instance.faults.counts.values()) == [MAX_FAILURES]
    stderr = capfd.readouterr().err
    assert stderr.count("LookupError: a bug") == 1
    assert stderr.count("for the 10th time") == 1


def test_a_broker_that_cannot_go_on_says_so_and_ends(capfd):
    with broker_here() as instance:
        fd = always_ready()
        instance.handle.fd_watcher_create(fd, failing, FLUX_POLLIN).start()
        assert instance.run() == PANICKED
        os.close(fd)
    assert "the broker cannot go on: FDWatcher failed 10 times" in capfd.readouterr().err


def test_exceptions_of_timers_do_not_keep_others_from_being_called():
    with broker_here() as instance:
        handle = instance.handle
        handle.timer_watcher_create(0.0, failing).start()
        handle.timer_watcher_create(0.0, lambda *_args: handle.reactor_stop()).start()
        assert instance.run() == 0
        assert sum(instance.faults.counts.values()) == 1


def test_what_is_logged_of_ever_new_exceptions_is_bounded():
    lines = []
    faults = Faults(lambda _level, text: lines.append(text), failing)
    for number in range(3000):
        # Each raised at a line of its own.
        with pytest.raises(ValueError, match="x") as caught:
            exec("\n" * number + "raise ValueError('x' * 100_000)")
        faults.report(caught.value)
        faults.report(caught.value)
    assert sum(faults.counts.values()) == 3000
    assert len(lines) == MAX_KINDS + 1 + 3
    assert max(map(len, lines)) < 20_000


def test_nothing_keeps_a_broker_that_has_ended():
    instance = Instance()
    instance.close()
    gone = ref(instance)
    del instance
    gc.collect()
    assert gone() is None


# -- bugs that a broker would have, put into one of its own process

PROGRAM = """
import sys
from flux.devbroker._options import Options, serve
from flux.devbroker._program import Program
def bug(*_args):
    raise LookupError("a bug")
{bug}
sys.exit(serve(Options(), Program.initial(sys.argv[1:])))
"""


def run_with_bug(bug: str, script: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", PROGRAM.format(bug=bug), script],
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_a_handler_that_raises_answers_each_time_and_is_told_once():
    bug = "from flux.devbroker import _attributes\n_attributes.Attributes.names = bug"
    script = (
        f"{sys.executable} - <<'END'\n"
        "import flux\n"
        "h = flux.Flux()\n"
        "errors = set()\n"
        "for _ in range(1000):\n"
        "    try: h.rpc('attr.list').get()\n"
        "    except OSError as exc: errors.add(exc.errno)\n"
        "print(len(errors), h.rpc('broker.ping', {'seq': 7}).get()['seq'])\n"
        "END"
    )
    out = run_with_bug(bug, script)
    assert out.stdout == "1 7\n", out.stderr
    assert out.stderr.count("Traceback") == 1
    assert out.stderr.count("unexpected exception") == 4


def test_a_job_that_the_broker_cannot_serve_ends_with_an_error_and_others_go_on():
    bug = (
        "from flux.devbroker._jobs import _output\n"
        "feed = _output.LineBuffer.feed\n"
        "_output.LineBuffer.feed = lambda self, data: bug() if b'boom' in data "
        "else feed(self, data)"
    )
    script = "flux run sh -c 'while :; do echo boom; done'; echo $?; flux run echo fine"
    out = run_with_bug(bug, script)
    code, *rest = out.stdout.split()
    assert int(code) > 0
    assert rest == ["fine"]
    assert "unexpected exceptions: FDWatcher failed" in out.stderr
    assert out.stderr.count("Traceback") == 1


def test_a_client_whose_message_cannot_be_taken_is_disconnected():
    bug = (
        "from flux.devbroker import _router\n"
        "publish = _router.Router.publish\n"
        "_router.Router.publish = lambda self, msg: bug() if msg.topic == 'boom' "
        "else publish(self, msg)"
    )
    script = (
        f"{sys.executable} - <<'END'\n"
        "import flux, os\n"
        "h, other = flux.Flux(), flux.Flux()\n"
        "msg = flux.Message(flux.constants.FLUX_MSGTYPE_EVENT)\n"
        "msg.topic = 'boom'\n"
        "h.send(msg)\n"
        "try: h.rpc('broker.ping', {}).get()\n"
        "except OSError as exc: print('disconnected')\n"
        "print(other.rpc('broker.ping', {'seq': 7}).get()['seq'])\n"
        "END"
    )
    out = run_with_bug(bug, script)
    assert out.stdout == "disconnected\n7\n", out.stderr
    assert "disconnected client " in out.stderr


# -- clients that do not read


def resident(pid: int) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    raise LookupError("VmRSS")


needs_proc = pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")


@needs_proc
def test_a_client_that_does_not_read_costs_what_the_limit_says(raw_client, flux_broker):
    sleeper, awake, publisher = raw_client(), raw_client(), raw_client()
    for client in (sleeper, awake):
        assert client.request("event.subscribe", {"topic": "news"}).errnum == 0
    before = resident(flux_broker.pid)
    peak = 0
    for _ in range(200):
        publisher.request("event.publish", {"topic": "news", "flags": 0, "payload": "x" * 1000_000})
        assert awake.receive().topic == "news"
        peak = max(peak, resident(flux_broker.pid))
    assert peak - before < 100 << 20
    assert sleeper.sock.recv(1)
    who = f"(process {os.getpid()} of user {os.getuid()})"
    [line] = [line for line in flux_broker.stderr.splitlines() if "disconnected client" in line]
    assert who in line
    assert "more than 67108864 bytes waited to be read" in line


def test_the_limit_is_an_attribute(raw_client, flux_broker):
    client = raw_client()
    bad = client.request("attr.set", {"name": "devbroker.max-unread", "value": "much"})
    assert "not a number of bytes" in bad.error_string()
    client.request("attr.set", {"name": "devbroker.max-unread", "value": "1000000"})
    sleeper = raw_client()
    sleeper.request("event.subscribe", {"topic": "news"})
    for _ in range(30):
        client.request("event.publish", {"topic": "news", "flags": 0, "payload": "x" * 100_000})
    assert flux_broker.stderr.count("disconnected client") == 1
    # Whoever reads gets what is larger than the limit all the same.
    pad = "x" * 5_000_000
    assert client.request("broker.ping", {"pad": pad}).payload["pad"] == pad


def test_clients_that_do_not_read_have_a_limit_together(raw_client, flux_broker):
    client = raw_client()
    client.request("attr.set", {"name": "devbroker.max-unread-total", "value": "5000000"})
    sleepers = [raw_client() for _ in range(4)]
    for sleeper in sleepers:
        sleeper.request("event.subscribe", {"topic": "news"})
    largest = sleepers[2]
    largest.request("event.subscribe", {"topic": "more"})
    publish = {"topic": "more", "flags": 0, "payload": "x" * 100_000}
    for _ in range(20):
        client.request("event.publish", publish)
    publish["topic"] = "news"
    deadline = time.monotonic() + SOON
    while "disconnected client" not in flux_broker.stderr:
        client.request("event.publish", publish)
        assert time.monotonic() < deadline
    assert "by all clients together, most of them by this one" in flux_broker.stderr
    # One had to go, so that there was room for the others.
    stats = client.request("connector-local.stats-get").payload
    assert len(stats["server"]["clients"]) == 4
    while largest.sock.recv(1 << 20):
        pass


# -- the file behind Broker.stderr, and the log


def test_standard_error_is_bounded_and_has_its_beginning_and_end(flux_broker, flux_handle):
    deadline = time.monotonic() + SOON
    flux_handle.log(3, "the first line")
    text = "x" * 8000
    while "bytes were left out here" not in flux_broker.stderr:
        for _ in range(100):
            flux_handle.log(3, text)
        flux_handle.rpc("broker.ping", {}).get()
        assert time.monotonic() < deadline
    flux_handle.log(3, "the last line")
    flux_handle.rpc("broker.ping", {}).get()
    stderr = flux_broker.stderr
    assert "the first line" in stderr[:1000]
    assert "the last line" in stderr[-1000:]
    assert stderr.count("left out here") == 1


def test_a_line_of_the_log_is_cut(raw_client):
    client = raw_client()
    client.request("log.append", f"<48>1 - 0 me - - - {'x' * 100_000}")
    msg = Message()
    msg.topic = "log.dmesg"
    msg.payload = {"follow": False}
    msg.streaming = True
    client.send(msg)
    lines = []
    while not (answer := client.receive()).errnum:
        lines.append(answer.payload_str)
    assert "91827 characters were left out" in lines[-1]
    assert max(map(len, lines)) < 9000


# -- whose starter is gone

STARTER = """
import os, signal, sys
signal.pthread_sigmask(signal.SIG_SETMASK, {mask})
import flux.job, json
from flux.devbroker import Broker
broker = Broker(warm={warm})
handle = broker.handle()
{more}
print(broker.pid, broker.uri[len("local://"):], *extra, flush=True)
os.read(0, 1)
"""

STUBBORN = """
script = 'trap "" TERM; echo $$ > PATH; while :; do sleep 1; done'
task = {'command': ['sh', '-c', script], 'slot': 'task', 'count': {'per_slot': 1}}
slot = {'type': 'slot', 'count': 1, 'label': 'task', 'with': [{'type': 'core', 'count': 1}]}
spec = {'version': 1, 'tasks': [task], 'attributes': {'system': {'duration': 0}},
    'resources': [slot]}
jobid = flux.job.submit(handle, json.dumps(spec))
flux.job.event_wait(handle, jobid, "start")
while not (os.path.exists("PATH") and open("PATH").read().endswith("\\n")): pass
extra = [open("PATH").read().strip()]
"""

#: Many large requests at once, for which the broker has not the time in which it is to end.
BUSY = """
extra = []
pad = "x" * 500_000
rpcs = [handle.rpc("broker.ping", {"pad": pad}) for _ in range(100)]
"""


@needs_proc
@BOTH
@pytest.mark.parametrize("more", [STUBBORN, BUSY], ids=["stubborn job", "busy"])
@pytest.mark.parametrize("mask", ["()", "signal.valid_signals()"], ids=["", "masked"])
def test_a_broker_ends_soon_after_its_starter_was_killed(warm, more, mask, tmp_path):
    more = more.replace("PATH", str(tmp_path / "pid"))
    code = STARTER.format(mask=mask, warm=warm, more=more)
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        pid, path, *others = process.stdout.readline().split()
        ends = [os.pidfd_open(int(each)) for each in (pid, *others)]
        process.kill()
        killed = time.monotonic()
        for end in ends:
            assert select.select([end], [], [], END)[0], time.monotonic() - killed
            os.close(end)
        assert not os.path.exists(path)


@needs_proc
@BOTH
def test_a_stuck_broker_ends_all_the_same_after_its_starter_was_killed(warm, tmp_path):
    """It is stuck in a loop, from a bug that its own interpreter was given at its start."""
    (tmp_path / "sitecustomize.py").write_text(
        "import sys\n"
        "if 'flux.devbroker._launch' in ' '.join(sys.orig_argv if hasattr(sys, 'orig_argv') "
        "else ['flux.devbroker._launch']):\n"
        "    from flux.devbroker import _attributes\n"
        "    def loop(self):\n"
        "        while True: pass\n"
        "    _attributes.Attributes.names = loop\n"
    )
    more = "extra = []\nhandle.rpc('attr.list')\n"
    code = STARTER.format(mask="()", warm=warm, more=more)
    env = dict(os.environ, PYTHONPATH=str(tmp_path))
    with subprocess.Popen(
        [sys.executable, "-c", code],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=env,
    ) as process:
        assert process.stdout is not None
        pid, path = process.stdout.readline().split()
        end = os.pidfd_open(int(pid))
        process.kill()
        assert select.select([end], [], [], END)[0]
        os.close(end)
        assert not os.path.exists(path)
