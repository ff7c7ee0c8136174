"""Run the workloads alternately on several implementations and print ratios.

usage: compare.py [--rounds N] [--cases CASE,…] [--reference 'VAR=VALUE… INTERPRETER']
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
COUNTS = {
    "sync": 6000,
    "window": 6400,
    "then": 19200,
    "event": 9600,
    "message": 60000,
    "outstanding": 10000,
    "timers": 10000,
    "kvs_put": 2000,
    "kvs_put_window": 6400,
    "kvs_get": 4000,
    "kvs_walk": 10000,
    "executor": 1000,
    "submit": 500,
    "output_lines": 100000,
    "output": 100000,
    "import": 1,
}
FLOOR_CASES = ("sync", "window", "then", "event", "kvs_put", "kvs_get")


def run(command: list[str], env: dict[str, str]) -> dict[str, Any]:
    """Run one case in a process of its own and return its figures."""
    done = subprocess.run(command, env=env, check=True, stdout=subprocess.PIPE, text=True)
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def main() -> None:
    """Measure, and print one row per case: the least CPU time of all rounds."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--cases", default=",".join(COUNTS))
    parser.add_argument("--reference", help="interpreter with other bindings, VAR=VALUE first")
    args = parser.parse_args()
    env = dict(os.environ)
    with ExitStack() as stack:
        if "FLUX_URI" not in env:
            from flux.devbroker import Broker

            env["FLUX_URI"] = stack.enter_context(Broker()).uri
        programs = {"ours": ([sys.executable, str(HERE / "client.py")], env)}
        programs["floor"] = ([sys.executable, str(HERE / "floor.py")], env)
        if args.reference:
            words = shlex.split(args.reference)
            count = next(i for i, word in enumerate(words) if "=" not in word)
            own = {**env, **dict(word.split("=", 1) for word in words[:count])}
            programs["reference"] = ([*words[count:], str(HERE / "client.py")], own)
        print(f"{'case':14} {'ours':>8} {'floor':>8} {'reference':>9} {'ratio':>6}   CPU µs")
        for case in args.cases.split(","):
            figures: dict[str, list[dict[str, Any]]] = {}
            for _ in range(args.rounds):
                for label, (command, own) in programs.items():
                    if label == "floor" and case not in FLOOR_CASES:
                        continue
                    result = run([*command, label, case, str(COUNTS[case])], own)
                    figures.setdefault(label, []).append(result)
            best = {k: min(v["cpu_us"] for v in runs) for k, runs in figures.items()}
            row = f"{case:14} {best['ours']:8.2f} {best.get('floor', 0):8.2f}"
            if "reference" in best:
                row += f" {best['reference']:9.2f} {best['ours'] / best['reference']:6.2f}"
            if case == "outstanding":
                memory = {k: min(v["memory_bytes"] for v in runs) for k, runs in figures.items()}
                row += "   memory: " + ", ".join(f"{k} {v} bytes" for k, v in memory.items())
            print(row, flush=True)


if __name__ == "__main__":
    main()
