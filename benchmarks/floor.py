"""The floor: the bytes of the RPC workloads with nothing but send and recv.

usage: floor.py LABEL CASE COUNT [TOPIC]    cases: sync, window, then (the latter two are the same)
"""

from __future__ import annotations

import json
import os
import resource
import socket
import sys
import time

from flux._codec import RequestEncoder, encode
from flux.constants import (
    FLUX_MSGTYPE_EVENT,
    FLUX_NODEID_ANY,
    FLUX_ROLE_NONE,
    FLUX_USERID_UNKNOWN,
)

WINDOW = 64


def main() -> None:
    """Run one case and print one JSON line."""
    label, case, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
    topic = sys.argv[4] if len(sys.argv) > 4 else "broker.ping"
    sock = socket.socket(socket.AF_UNIX)
    sock.connect(os.environ["FLUX_URI"].partition("://")[2])
    assert sock.recv(1) == b"\0"
    encoder = RequestEncoder(topic, 0, FLUX_USERID_UNKNOWN, FLUX_ROLE_NONE, FLUX_NODEID_ANY)
    if case == "event":
        subscribe = RequestEncoder(
            "event.subscribe", 0, FLUX_USERID_UNKNOWN, FLUX_ROLE_NONE, FLUX_NODEID_ANY
        )
        sock.send(subscribe.encode(b'{"topic":"bench.tick"}\0', 1))
        sock.recv(65536)
        credentials = (FLUX_USERID_UNKNOWN, FLUX_ROLE_NONE)
        data = b'{"seq":10000}\0'
        out = encode(FLUX_MSGTYPE_EVENT, 0, *credentials, 0, 0, "bench.tick", b"", data)
    else:
        out = encoder.encode(b'{"a":1,"seq":1}\0', 1)
    batch = 1 if case == "sync" else WINDOW
    sock.send(out)
    size = len(sock.recv(65536)) * batch
    out *= batch
    start, before = time.monotonic(), resource.getrusage(resource.RUSAGE_SELF)
    for _ in range(count // batch):
        sock.send(out)
        left = size
        while left > 0:
            left -= len(sock.recv(65536))
    after, wall = resource.getrusage(resource.RUSAGE_SELF), time.monotonic() - start
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    count = count // batch * batch
    sys.stdout.write(
        json.dumps(
            {
                "label": label,
                "case": case,
                "count": count,
                "rate": round(count / wall),
                "cpu_us": round(cpu / count * 1e6, 2),
            }
        )
        + "\n"
    )


if __name__ == "__main__":
    main()
