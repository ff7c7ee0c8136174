"""Measure what a development broker costs: to start, to stop, and in memory.

usage: broker.py [--rounds N]
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time
from pathlib import Path

from flux.devbroker import Broker

#: Brokers at once, to see what each of them takes.
SIDE_BY_SIDE = 10

#: How a program asks for its broker; `first` is the first one of a program.
WAYS = {"first": True, "warm": True, "cold": False}


def life(warm: bool) -> tuple[float, float]:
    """Return the milliseconds from nothing to an answered ping, and to the end of the broker."""
    start = time.perf_counter()
    broker = Broker(warm=warm)
    handle = broker.handle()
    handle.rpc("broker.ping", {}).get()
    ready = time.perf_counter()
    broker.stop()
    return (ready - start) * 1e3, (time.perf_counter() - ready) * 1e3


def memory(warm: bool) -> float:
    """Return the MiB that a broker adds: a page that several share counts in parts (PSS)."""
    brokers = [Broker(warm=warm) for _ in range(SIDE_BY_SIDE)]
    total = 0
    for broker in brokers:
        for line in Path(f"/proc/{broker.pid}/smaps_rollup").read_text("ascii").splitlines():
            if line.startswith("Pss:"):
                total += int(line.split()[1])
    for broker in brokers:
        broker.stop()
    return total / SIDE_BY_SIDE / 1024


def measure(way: str) -> None:
    """Print one row of figures of this process: START STOP MEMORY."""
    warm = WAYS[way]
    if way == "warm":
        life(warm)
    start, stop = life(warm)
    print(start, stop, memory(warm))


def main() -> None:
    """Measure each way in programs of their own, alternately, and print the medians."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--way", choices=WAYS, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.way:
        measure(args.way)
        return
    rows: dict[str, list[list[float]]] = {way: [] for way in WAYS}
    for _ in range(args.rounds):
        for way in WAYS:
            command = [sys.executable, __file__, f"--way={way}"]
            rows[way].append(list(map(float, subprocess.check_output(command).split())))
    print(f"{'broker':8} {'start ms':>14} {'stop ms':>14} {'PSS MiB':>8}   least and median")
    for way, figures in rows.items():
        starts, stops, sizes = zip(*figures)
        print(
            f"{way:8} {min(starts):6.1f} {statistics.median(starts):7.1f} "
            f"{min(stops):6.1f} {statistics.median(stops):7.1f} {statistics.median(sizes):8.1f}"
        )


if __name__ == "__main__":
    main()
