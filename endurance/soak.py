"""Load a broker for a long time: `python endurance/soak.py SECONDS`.

Four fifths of the time are a mixed load, in which memory, descriptors and latency have to stay
flat; then the cost of a unit at 1, 10 and 100 times as many is measured; the rest of the time a
broker with a state directory is killed under load again and again, and nothing that it had
acknowledged may be lost.  The exit code tells whether all of it held.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import os
import random
import shutil
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Callable

import flux
import flux.job
import flux.kvs
from flux.devbroker import Broker
from flux.job import JobspecV1

#: How much later figures may exceed earlier ones.
FACTOR = 1.3

#: Bytes that memory may grow by in any case.
SLACK = 8 << 20

#: Clients whose requests make up the mixed load.
WORKERS = 3

SPEC = JobspecV1.from_command(["true"], environment={"PATH": os.defpath}).dumps()

MODULE = "from flux.brokermod import BrokerModule\nclass Noop(BrokerModule):\n    pass\n"


class Usage:
    """What the broker's process has used so far."""

    def __init__(self, pid: int) -> None:
        status = Path(f"/proc/{pid}/status").read_text("ascii", "replace")
        self.rss = int(status.split("VmRSS:")[1].split()[0]) << 10
        self.fds = len(os.listdir(f"/proc/{pid}/fd"))
        # Of the main thread, which does all the work, in nanoseconds.
        self.cpu = int(Path(f"/proc/{pid}/schedstat").read_text("ascii").split()[0]) / 1e9


# -- the mixed load


class Load:
    """Clients that do all sorts of things until they are told to stop.

    Args:
        broker: The broker.
        directory: Where to put files.
    """

    def __init__(self, broker: Broker, directory: Path) -> None:
        self.uri = broker.uri
        self.counts: dict[str, int] = {}
        self.errors: list[str] = []
        self.stopping = threading.Event()
        self._module = directory / "noop.py"
        self._module.write_text(MODULE)
        works: list[Callable[[flux.Flux], None]] = [self._mixed] * WORKERS
        works += [self._jobs, self._come_and_go, self._modules]
        self._threads = [threading.Thread(target=self._run, args=(work,)) for work in works]
        for thread in self._threads:
            thread.start()

    def _run(self, work: Callable[[flux.Flux], None]) -> None:
        try:
            with flux.Flux(self.uri) as handle:
                while not self.stopping.is_set():
                    work(handle)
        except Exception as exc:
            self.errors.append(f"{work.__name__}: {exc!r}")

    def _count(self, name: str, number: int = 1) -> None:
        self.counts[name] = self.counts.get(name, 0) + number

    def _mixed(self, handle: flux.Flux) -> None:
        for _ in range(20):
            handle.rpc("broker.ping", {"pad": "x" * 200}).get()
        key = f"soak.{threading.get_ident()}.{random.randrange(50)}"
        flux.kvs.put(handle, key, random.random())
        flux.kvs.commit(handle)
        flux.kvs.get(handle, key)
        handle.event_subscribe("soak")
        handle.rpc("event.publish", {"topic": "soak", "flags": 0, "payload": "e30A"}).get()
        event = handle.event_recv()
        assert event is not None
        assert event.topic == "soak"
        handle.event_unsubscribe("soak")
        self._count("pings", 20)
        self._count("commits")

    def _jobs(self, handle: flux.Flux) -> None:
        ids = [flux.job.submit(handle, SPEC, waitable=True) for _ in range(4)]
        for jobid in ids:
            assert flux.job.wait(handle, jobid).success
        purge = {"age_limit": -1.0, "num_limit": 50, "batch": 100, "force": True}
        handle.rpc("job-manager.purge", purge).get()
        self._count("jobs", len(ids))

    def _come_and_go(self, handle: flux.Flux) -> None:
        import socket

        path = self.uri[len("local://") :]
        for garbage in (b"", b"GET / HTTP/1.0\r\n\r\n", b"\x12\x00\xee\xff\x00\x00"):
            with socket.socket(socket.AF_UNIX) as sock:
                sock.connect(path)
                sock.recv(1)
                with contextlib.suppress(OSError):
                    sock.sendall(garbage)
        with flux.Flux(self.uri) as sleeper:
            sleeper.event_subscribe("flood")
            for _ in range(30):
                request = {"topic": "flood", "flags": 0, "payload": "x" * 100_000}
                handle.rpc("event.publish", request).get()
        self._count("connections", 4)

    def _modules(self, handle: flux.Flux) -> None:
        handle.rpc("module.load", {"path": str(self._module), "args": []}).get()
        handle.rpc("noop.ping", {}).get()
        handle.rpc("module.remove", {"name": "noop"}).get()
        self._count("modules")
        self.stopping.wait(1.0)

    def stop(self) -> None:
        """End them."""
        self.stopping.set()
        for thread in self._threads:
            thread.join()


def latencies(handle: flux.Flux) -> list[float]:
    """Return how long some pings take, in milliseconds, while others load the broker."""
    found = []
    for _ in range(50):
        start = time.perf_counter()
        handle.rpc("broker.ping", {}).get()
        found.append((time.perf_counter() - start) * 1e3)
    return found


def mixed(seconds: float) -> bool:
    """Load a broker, and compare the second quarter of the time with the last."""
    with scratch() as directory:
        attributes = {"statedir": str(directory), "devbroker.max-unread": str(1 << 20)}
        broker = Broker(attributes=attributes)
        with broker, broker.handle() as handle:
            load = Load(broker, directory)
            start = time.monotonic()
            samples: list[tuple[Usage, list[float]]] = []
            while time.monotonic() - start < seconds and not load.errors:
                samples.append((Usage(broker.pid), latencies(handle)))
                time.sleep(min(5.0, seconds / 100))
            load.stop()
            disk = sum(path.stat().st_size for path in directory.glob("*sqlite*"))
            complaints = broker.stderr.count("unexpected exception")
    print(f"mixed load for {time.monotonic() - start:.0f} s: {load.counts}")
    quarter = max(1, len(samples) // 4)
    early, late = samples[quarter : 2 * quarter], samples[-quarter:]
    ok = not load.errors and not complaints
    print(f"  errors {load.errors}, unexpected exceptions {complaints}, database {disk >> 20} MiB")
    for name, figure, slack in [
        ("resident memory, MiB", lambda s: s[0].rss / 2**20, SLACK / 2**20),
        ("descriptors", lambda s: s[0].fds, 4),
        ("ping, median, ms", lambda s: statistics.median(s[1]), 0),
        ("ping, slowest of 50, ms", lambda s: max(s[1]), 0),
    ]:
        first, last = (statistics.median(map(figure, part)) for part in (early, late))
        good = last <= first * FACTOR + slack
        ok = ok and good
        print(f"  {name}: {first:.2f} in the second quarter, {last:.2f} in the last: {good}")
    return ok


# -- the cost of a unit


def pings(handle: flux.Flux, count: int) -> None:
    """Send requests, a few at a time."""
    for _ in range(count // 50):
        for rpc in [handle.rpc("broker.ping", {}) for _ in range(50)]:
            rpc.get()


_serial = itertools.count()


def commits(handle: flux.Flux, count: int) -> None:
    """Store values under new keys.

    In directories of ten: a commit costs what the directories that it changes are long.
    """
    serial = next(_serial)
    for i in range(count):
        flux.kvs.put(handle, f"scale.{serial}.{'.'.join(f'{i:05d}')}", i)
        flux.kvs.commit(handle)


def jobs(handle: flux.Flux, count: int) -> None:
    """Submit jobs, and wait for them."""
    ids = [flux.job.submit(handle, SPEC, waitable=True) for _ in range(count)]
    for jobid in ids:
        flux.job.wait(handle, jobid)


def connections(handle: flux.Flux, count: int) -> None:
    """Have clients that are there together, each with a request and a subscription."""
    with contextlib.ExitStack() as stack:
        uri = handle.attr_get("local-uri")
        clients = [stack.enter_context(flux.Flux(uri)) for _ in range(count)]
        for client in clients:
            client.event_subscribe("scale")
            client.rpc("broker.ping", {}).get()


def events(handle: flux.Flux, count: int) -> None:
    """Publish events, which one client gets."""
    for _ in range(count):
        handle.rpc("event.publish", {"topic": "scale", "flags": 0, "payload": "e30A"}).get()


UNITS: list[tuple[Callable[[flux.Flux, int], None], int]] = [
    (pings, 2000),
    (commits, 100),
    (jobs, 10),
    (connections, 8),
    (events, 1000),
]


def scale() -> bool:
    """Print the broker's CPU time for a unit at 1, 10 and 100 times as many."""
    ok = True
    for work, base in UNITS:
        costs = []
        for times in (1, 10, 100):
            repeats = max(1, 30 // times)
            used = 0.0
            with Broker() as broker, broker.handle() as handle:
                work(handle, base)
                before = Usage(broker.pid).cpu
                for _ in range(repeats):
                    work(handle, base * times)
                used = Usage(broker.pid).cpu - before
            costs.append(used / (repeats * base * times) * 1e6)
        ratio = max(costs[1:]) / costs[0]
        ok = ok and ratio <= FACTOR
        shown = ", ".join(f"{cost:.0f}" for cost in costs)
        print(f"  {work.__name__}: {shown} us of CPU for one at {base} x 1, 10, 100: {ratio:.2f}")
    return ok


# -- killed under load


def killed(seconds: float) -> bool:
    """Kill a broker under load until the time is over; return whether all was kept."""
    end = time.monotonic() + seconds
    kills = lost = 0
    values: dict[str, int] = {}
    ids: list[int] = []
    with scratch() as directory:
        while time.monotonic() < end:
            values_now, ids_now = _one_life(directory, values, ids)
            values.update(values_now)
            ids += ids_now
            kills += 1
        missing = _missing(directory, values, ids)
        lost = len(missing)
    kept = f"{len(values)} values and {len(ids)} jobs acknowledged"
    print(f"killed {kills} times: {kept}, {lost} lost")
    for what in missing[:10]:
        print(f"  lost: {what}")
    return not lost


def _one_life(
    directory: Path, values: dict[str, int], ids: list[int]
) -> tuple[dict[str, int], list[int]]:
    """Start a broker, look for what the last ones acknowledged, and kill it under load."""
    broker = Broker(attributes={"statedir": str(directory)})
    got: dict[str, int] = {}
    submitted: list[int] = []

    def commit(number: int) -> None:
        with contextlib.suppress(OSError), flux.Flux(broker.uri) as handle:
            for i in range(1 << 30):
                key, value = f"kill.{number}.{i % 100}", random.randrange(1 << 30)
                flux.kvs.put(handle, key, value)
                # Until it is acknowledged it may be there or not.
                got.pop(key, None)
                values.pop(key, None)
                flux.kvs.commit(handle)
                got[key] = value

    def submit() -> None:
        with contextlib.suppress(OSError), flux.Flux(broker.uri) as handle:
            while True:
                submitted.append(int(flux.job.submit(handle, SPEC)))

    threads = [threading.Thread(target=commit, args=(number,)) for number in range(2)]
    threads.append(threading.Thread(target=submit))
    try:
        with broker.handle() as handle:
            missing = _look(handle, values, ids[-200:])
            assert not missing, missing
        for thread in threads:
            thread.start()
        time.sleep(random.uniform(0.05, 0.5))
    finally:
        broker.kill()
        for thread in threads:
            if thread.ident:
                thread.join()
    return got, submitted


def _missing(directory: Path, values: dict[str, int], ids: list[int]) -> list[Any]:
    with Broker(attributes={"statedir": str(directory)}) as broker, broker.handle() as handle:
        return _look(handle, values, ids)


def _look(handle: flux.Flux, values: dict[str, int], ids: list[int]) -> list[Any]:
    missing: list[Any] = []
    for key, value in values.items():
        try:
            found = flux.kvs.get(handle, key)
        except OSError as exc:
            found = exc
        if found != value:
            missing.append((key, value, found))
    for jobid in ids:
        try:
            handle.rpc("job-info.lookup", {"id": jobid, "keys": ["eventlog"], "flags": 0}).get()
        except OSError as exc:  # noqa: PERF203 - one is not all
            missing.append((jobid, exc))
    return missing


@contextlib.contextmanager
def scratch() -> Iterator[Path]:
    """Make a directory that is removed at the end."""
    path = tempfile.mkdtemp(prefix="flux-soak-")
    try:
        yield Path(path)
    finally:
        shutil.rmtree(path, ignore_errors=True)


def main() -> int:
    """Run all of it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("seconds", type=float, nargs="?", default=600.0)
    parser.add_argument("--only", choices=["mixed", "scale", "killed"])
    args = parser.parse_args()
    ok = True
    if args.only in (None, "mixed"):
        ok = mixed(args.seconds if args.only else args.seconds * 0.7) and ok
    if args.only in (None, "scale"):
        print("cost of a unit")
        ok = scale() and ok
    if args.only in (None, "killed"):
        ok = killed(args.seconds if args.only else args.seconds * 0.2) and ok
    print("all of it held" if ok else "not all of it held")
    return 0 if ok else 1


if __name__ == "__main__":
    sys.exit(main())
