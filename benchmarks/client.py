"""The workloads, on whatever package `flux` is imported; see README.md beside this file.

usage: client.py LABEL CASE COUNT [TOPIC]
"""

from __future__ import annotations

import collections
import json
import resource
import sys
import time
from typing import Any, Callable

import jobs

PAYLOAD = {"a": 1, "seq": 1}
WINDOW = 64


def sync(flux: Any, topic: str, count: int) -> Callable[[], None]:
    """RPCs one at a time."""
    handle = connect(flux, topic)

    def run() -> None:
        for _ in range(count):
            handle.rpc(topic, PAYLOAD).get()

    return run


def window(flux: Any, topic: str, count: int) -> Callable[[], None]:
    """RPCs with WINDOW of them in flight, waited for in order."""
    handle = connect(flux, topic)

    def run() -> None:
        pending: collections.deque[Any] = collections.deque()
        for _ in range(count):
            pending.append(handle.rpc(topic, PAYLOAD))
            if len(pending) >= WINDOW:
                pending.popleft().get()
        while pending:
            pending.popleft().get()

    return run


def then(flux: Any, topic: str, count: int) -> Callable[[], None]:
    """RPCs with WINDOW of them in flight, each continuation sending the next."""
    handle = connect(flux, topic)
    sent = done = 0

    def received(future: Any) -> None:
        nonlocal sent, done
        future.get()
        done += 1
        if sent < count:
            sent += 1
            handle.rpc(topic, PAYLOAD).then(received)
        elif done == count:
            handle.reactor_stop()

    def run() -> None:
        nonlocal sent
        for _ in range(WINDOW):
            sent += 1
            handle.rpc(topic, PAYLOAD).then(received)
        handle.reactor_run()
        assert done == count, done

    return run


def event(flux: Any, topic: str, count: int) -> Callable[[], None]:
    """Our own events, published and received, with WINDOW of them under way."""
    handle = connect(flux, topic)
    got = 0

    def received(_handle: Any, _watcher: Any, msg: Any, _args: Any) -> None:
        nonlocal got
        assert msg.payload["seq"] == got
        got += 1
        if got == count:
            handle.reactor_stop()
        elif got + WINDOW <= count:
            handle.event_send("bench.tick", {"seq": got + WINDOW - 1})

    handle.event_subscribe("bench.tick")
    watcher = handle.msg_watcher_create(received, flux.constants.FLUX_MSGTYPE_EVENT, "bench.tick")
    watcher.start()

    def run() -> None:
        for seq in range(WINDOW):
            handle.event_send("bench.tick", {"seq": seq})
        handle.reactor_run()
        assert got == count, got

    return run


def message(flux: Any, topic: str, count: int) -> Callable[[], None]:
    """Messages made and read."""
    cls, request = flux.message.Message, flux.constants.FLUX_MSGTYPE_REQUEST

    def run() -> None:
        for _ in range(count):
            msg = cls(request)
            msg.topic = topic
            msg.payload = PAYLOAD
            assert msg.topic == topic
            assert msg.payload["a"] == 1

    return run


def outstanding(flux: Any, topic: str, count: int) -> Callable[[], None]:
    """COUNT RPCs in flight at once."""
    handle = connect(flux, topic)

    def run() -> None:
        for future in [handle.rpc(topic, PAYLOAD) for _ in range(count)]:
            future.get()

    return run


def timers(flux: Any, topic: str, count: int) -> Callable[[], None]:
    """COUNT timers pending at once."""
    handle = connect(flux, topic)
    fired = 0

    def fire(*_args: Any) -> None:
        nonlocal fired
        fired += 1

    def run() -> None:
        watchers = [
            handle.timer_watcher_create(0.001 + (i % 100) / 1e4, fire) for i in range(count)
        ]
        for watcher in watchers:
            watcher.start()
        handle.reactor_run()
        assert fired == count, fired

    return run


def kvs_put(flux: Any, topic: str, count: int) -> Callable[[], None]:
    """KVS values staged and committed one at a time."""
    handle, kvs = connect(flux, topic), import_kvs()

    def run() -> None:
        for i in range(count):
            kvs.put(handle, "bench.put", {"seq": i})
            kvs.commit(handle)

    return run


def kvs_put_window(flux: Any, topic: str, count: int) -> Callable[[], None]:
    """KVS values staged and committed with WINDOW commits in flight."""
    handle, kvs = connect(flux, topic), import_kvs()

    def run() -> None:
        pending: collections.deque[Any] = collections.deque()
        for i in range(count):
            kvs.put(handle, "bench.put", {"seq": i})
            pending.append(kvs.commit_async(handle))
            if len(pending) >= WINDOW:
                pending.popleft().get()
        while pending:
            pending.popleft().get()

    return run


def kvs_get(flux: Any, topic: str, count: int) -> Callable[[], None]:
    """KVS values read one at a time."""
    handle, kvs = connect(flux, topic), import_kvs()
    kvs.put(handle, "bench.get", PAYLOAD)
    kvs.commit(handle)

    def run() -> None:
        for _ in range(count):
            assert kvs.get(handle, "bench.get") == PAYLOAD

    return run


def kvs_walk(flux: Any, topic: str, count: int) -> Callable[[], None]:
    """A walk through COUNT keys, 100 to a directory."""
    handle, kvs = connect(flux, topic), import_kvs()
    for i in range(count):
        kvs.put(handle, f"bench.walk.d{i // 100}.k{i}", i)
    kvs.commit(handle)

    def run() -> None:
        walk = kvs.walk("bench.walk", flux_handle=handle)
        assert sum(len(list(files)) for _path, _directories, files in walk) == count

    return run


CASES = {
    case.__name__: case
    for case in (
        sync,
        window,
        then,
        event,
        message,
        outstanding,
        timers,
        kvs_put,
        kvs_put_window,
        kvs_get,
        kvs_walk,
        jobs.executor,
        jobs.submit,
        jobs.output_lines,
        jobs.output,
    )
}


def connect(flux: Any, topic: str) -> Any:
    """Open a handle and warm it up."""
    handle = flux.Flux()
    for _ in range(200):
        handle.rpc(topic, PAYLOAD).get()
    return handle


def usage() -> tuple[float, int]:
    """Return CPU seconds and the peak of resident memory in KB."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime, used.ru_maxrss


def measure(run: Callable[[], None]) -> dict[str, float]:
    """Run a workload and return wall seconds, CPU seconds and growth of memory in KB."""
    cpu, memory = usage()
    start = time.monotonic()
    run()
    wall = time.monotonic() - start
    cpu_after, memory_after = usage()
    return {"wall": wall, "cpu": cpu_after - cpu, "memory_kb": memory_after - memory}


def import_flux() -> Any:
    """Import what any program would."""
    import flux
    import flux.constants
    import flux.core.handle
    import flux.message

    return flux


def import_kvs() -> Any:
    """Import the key-value store."""
    import flux.kvs

    return flux.kvs


def main() -> None:
    """Run one case and print one JSON line."""
    label, case, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
    topic = sys.argv[4] if len(sys.argv) > 4 else "broker.ping"
    if case == "import":
        count = 1
        figures = measure(import_flux)
    else:
        figures = measure(CASES[case](import_flux(), topic, count))
    sys.stdout.write(
        json.dumps(
            {
                "label": label,
                "case": case,
                "count": count,
                "rate": round(count / figures["wall"]),
                "cpu_us": round(figures["cpu"] / count * 1e6, 2),
                "memory_bytes": round(figures["memory_kb"] * 1024 / count),
            }
        )
        + "\n"
    )


if __name__ == "__main__":
    main()
