"""Fuzz the parts that meet what others send: `python endurance/fuzz.py SECONDS [TARGET...]`.

Guided by coverage where atheris is installed; otherwise hypothesis mutates the recorded messages.
Each target gets its share of the time, in a process of its own.  A finding is left in
results/fuzz/, and `python endurance/fuzz.py --replay TARGET FILE` shows it again.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import re
import resource
import subprocess
import sys
import time
from pathlib import Path

RESULTS = Path("results") / "fuzz"

#: MiB that a target may take, and seconds that one input may.
MEMORY = 1024
PATIENCE = 20

NAMES = ("codec", "splitter", "router", "services", "jobspec")


def corpus(name: str) -> list[bytes]:
    """Return what a target begins with."""
    import seeds

    if name == "codec":
        return seeds.messages()
    if name == "jobspec":
        return seeds.jobspecs()
    if name == "services":
        return seeds.requests()
    # The first byte is for the target.
    return [bytes((i % 256,)) + stream for i, stream in enumerate(seeds.streams())]


def with_atheris(name: str, seconds: int) -> None:
    """Have libFuzzer choose the inputs; ends the process."""
    # Not for every Python, so that nothing may rely on its being there.
    atheris = importlib.import_module("atheris")
    with atheris.instrument_imports(include=["flux"]):
        import targets
    directory = RESULTS / "corpus" / name
    directory.mkdir(parents=True, exist_ok=True)
    for i, data in enumerate(corpus(name)):
        (directory / f"seed{i}").write_bytes(data)
    options = [
        f"-max_total_time={seconds}",
        f"-rss_limit_mb={MEMORY}",
        f"-timeout={PATIENCE}",
        f"-artifact_prefix={RESULTS}/{name}-",
        "-max_len=65536",
        "-print_final_stats=1",
        "-verbosity=0",
    ]
    atheris.Setup([sys.argv[0], *options, str(directory)], targets.TARGETS[name])
    atheris.Fuzz()


def with_hypothesis(name: str, seconds: int) -> None:
    """Have hypothesis change recorded inputs in a few places."""
    import targets
    from hypothesis import HealthCheck, given, settings
    from hypothesis import strategies as st

    edits = st.lists(st.tuples(st.integers(0, 1 << 16), st.integers(0, 3), st.binary(max_size=4)))
    count = 0

    @settings(
        max_examples=500, deadline=None, database=None, suppress_health_check=list(HealthCheck)
    )
    @given(seed=st.sampled_from(corpus(name)), edits=edits)
    def one(seed: bytes, edits: list[tuple[int, int, bytes]]) -> None:
        nonlocal count
        count += 1
        data = bytearray(seed)
        for where, length, new in edits:
            start = where % (len(data) + 1)
            data[start : start + length] = new
        targets.TARGETS[name](bytes(data))

    end = time.monotonic() + seconds
    while time.monotonic() < end:
        one()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10
    assert peak < MEMORY, f"{peak} MiB"
    print(f"stat::number_of_executed_units: {count}\nstat::peak_rss_mb: {peak}")


def _stat(text: str, key: str) -> str:
    found = re.search(rf"stat::{key}: *(\d+)", text)
    return found[1] if found else "?"


def replay(name: str, path: str) -> None:
    """Run one input."""
    import targets

    targets.TARGETS[name](Path(path).read_bytes())


def main() -> int:
    """Fuzz; the exit code tells whether something was found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("seconds", type=int, nargs="?", default=300)
    parser.add_argument("targets", nargs="*", default=NAMES)
    parser.add_argument("--replay", nargs=2, metavar=("TARGET", "FILE"))
    parser.add_argument("--one", choices=NAMES, help=argparse.SUPPRESS)
    args = parser.parse_args()
    RESULTS.mkdir(parents=True, exist_ok=True)
    if args.replay:
        replay(*args.replay)
        return 0
    guided = importlib.util.find_spec("atheris") is not None
    if args.one:
        (with_atheris if guided else with_hypothesis)(args.one, args.seconds)
        return 0
    how = "atheris" if guided else "hypothesis, as there is no atheris for this Python"
    print(f"fuzzing with {how}", flush=True)
    failed = []
    for name in args.targets:
        share = max(1, args.seconds // len(args.targets))
        words = [sys.executable, __file__, "--one", name, str(share)]
        out = subprocess.run(words, check=False, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        text = out.stdout.decode("utf-8", "replace")
        (RESULTS / f"{name}.log").write_text(text, "utf-8")
        runs, peak = (_stat(text, key) for key in ("number_of_executed_units", "peak_rss_mb"))
        code = out.returncode
        print(f"{name}: {share} s, {runs} inputs, {peak} MiB, exit code {code}", flush=True)
        if out.returncode:
            failed.append(name)
            print(text[-4000:], flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
