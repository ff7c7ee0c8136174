"""The floor: the bytes of the RPC workloads with nothing but send and recv.

usage: floor.py LABEL CASE COUNT [TOPIC]

cases: sync, window, then (the same as window), event, kvs_put, kvs_get
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

_COMMIT = (
    b'{"namespace":"primary","flags":0,"ops":[{"key":"bench.floor","flags":0,'
    b'"dirent":{"ver":1,"type":"val","data":"eyJhIjogMSwgInNlcSI6IDF9"}}]}\0'
)
_LOOKUP = b'{"key":"bench.floor","flags":0,"namespace":"primary"}\0'

#: Topics and payloads of the cases that have one request in flight.
SINGLE = {"kvs_put": ("kvs.commit", _COMMIT), "kvs_get": ("kvs.lookup", _LOOKUP)}


def request(topic: str, payload: bytes) -> bytes:
    """Return a request as it goes on the wire."""
    encoder = RequestEncoder(topic, 0, FLUX_USERID_UNKNOWN, FLUX_ROLE_NONE, FLUX_NODEID_ANY)
    return encoder.encode(payload, 1)


def main() -> None:
    """Run one case and print one JSON line."""
    label, case, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
    topic = sys.argv[4] if len(sys.argv) > 4 else "broker.ping"
    sock = socket.socket(socket.AF_UNIX)
    sock.connect(os.environ["FLUX_URI"].partition("://")[2])
    assert sock.recv(1) == b"\0"
    if case == "event":
        sock.send(request("event.subscribe", b'{"topic":"bench.tick"}\0'))
        sock.recv(65536)
        credentials = (FLUX_USERID_UNKNOWN, FLUX_ROLE_NONE)
        data = b'{"seq":10000}\0'
        out = encode(FLUX_MSGTYPE_EVENT, 0, *credentials, 0, 0, "bench.tick", b"", data)
    elif case in SINGLE:
        # The key that is looked up must be there.
        sock.send(request(*SINGLE["kvs_put"]))
        sock.recv(65536)
        out = request(*SINGLE[case])
    else:
        out = request(topic, b'{"a":1,"seq":1}\0')
    batch = 1 if case == "sync" or case in SINGLE else WINDOW
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
