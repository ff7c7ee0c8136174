"""What Slurm says of its jobs: how much time they have left."""

from __future__ import annotations

import subprocess

import flux._ours  # noqa: F401 - refuses another flux

__all__ = ["slurm_timeleft"]


def slurm_timeleft(jobid: int | str) -> int | None:
    """Return how much time a Slurm job has left.

    Args:
        jobid: The job.

    Returns:
        Seconds; None if there is no limit.

    Raises:
        RuntimeError: squeue(1) is not there, fails, or does not answer within ten seconds.
    """
    command = ["squeue", "--noheader", f"--job={jobid}", "-o", "%L"]
    try:
        result = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
    except FileNotFoundError:
        raise RuntimeError("squeue not found in PATH: is this a Slurm job?") from None
    except subprocess.TimeoutExpired:
        raise RuntimeError("squeue did not answer within 10 s") from None
    if result.returncode:
        raise RuntimeError(f"squeue failed: {result.stderr.strip()}")
    return _parse_slurm_time(result.stdout)


def _parse_slurm_time(text: str) -> int | None:
    """Return the seconds of ``D-HH:MM:SS``, whose days and hours may be missing; None of words."""
    days, dash, time = text.strip().rpartition("-")
    parts = time.split(":")
    numbers = [days] * bool(dash) + parts
    if len(parts) not in (2, 3) or not all(part.isascii() and part.isdecimal() for part in numbers):
        return None
    seconds = int(days or 0) * 86400
    for part, unit in zip(reversed(parts), (1, 60, 3600)):
        seconds += int(part) * unit
    return seconds
