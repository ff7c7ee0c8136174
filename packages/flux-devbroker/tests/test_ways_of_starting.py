"""Every way of starting in the table of docs/devbroker.md: it works, or says what to change.

Each is tried with `flux start`, and with a program that uses `Broker`, in a process of its own.
"""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the ways are those of Linux")

PYTHON = sys.executable

#: What runs under the broker.  What it finds goes to a file, as there may be no standard output.
SCRIPT = '{ flux getattr rank; flux run echo fine; } >"$RESULT" 2>&1'

#: A program that uses a broker in the same way.
PROGRAM = """
import os, subprocess, sys
from flux.devbroker import Broker, BrokerError
try:
    with Broker() as broker:
        words = ["sh", "-c", os.environ["SCRIPT"]]
        code = subprocess.run(words, env=broker.environ, check=False).returncode
except (BrokerError, OSError) as exc:
    sys.stderr.write(f"{exc}\\n")
    code = 1
if code:
    sys.exit(code)
"""


class Way:
    """One way of starting a broker.

    Args:
        refusal: What the one line says with which it is refused; None if it works.
        options: What goes between Python and what it runs.
        before: Words that stand before all others.
        prepare: Python to run in the new process, before it becomes what it is to be.
        env: Variables to set, and with None to remove.
        loud: Whether standard error has something of Python's own.
        start: Options of ``flux start``; such a way is not tried with `Broker`.
        clean: Whether it takes away all variables.
    """

    def __init__(
        self,
        refusal: str | None = None,
        *,
        options: tuple[str, ...] = (),
        before: tuple[str, ...] = (),
        prepare: str = "",
        env: dict[str, str | None] | None = None,
        loud: bool = False,
        start: tuple[str, ...] = (),
        clean: bool = False,
    ) -> None:
        self.refusal = refusal
        self.options = options
        self.before = before
        self.prepare = prepare
        self.env = env or {}
        self.loud = loud
        self.start = start
        self.clean = clean


#: Made in the process that then becomes what is started: each is Python for `PREPARE`.
IGNORING = """
for signum in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
    try: signal.signal(signum, signal.SIG_IGN)
    except OSError: pass
"""
MASKING = "signal.pthread_sigmask(signal.SIG_SETMASK, signal.valid_signals())"
HUNG_UP = """
leader, follower = os.openpty()
for fd in range(3): os.dup2(follower, fd)
os.close(leader)
"""
GONE = "os.mkdir('gone'); os.chdir('gone'); os.rmdir('../gone')"
DEEP = "for _ in range(25): os.mkdir('x' * 200); os.chdir('x' * 200)"

#: The program that does so, and then runs its arguments.
PREPARE = """
import os, resource, signal, sys
for signum in (signal.SIGPIPE, signal.SIGXFSZ): signal.signal(signum, signal.SIG_DFL)
words = sys.argv[1:]
{}
os.execvp(words[0], words)
"""


def closing(*fds: int) -> str:
    return "".join(f"os.close({fd})\n" for fd in fds)


def full(fd: int) -> str:
    return f"os.dup2(os.open('/dev/full', os.O_WRONLY), {fd})"


def unread(fd: int) -> str:
    return f"reader, writer = os.pipe(); os.dup2(writer, {fd}); os.close(reader)"


def limit(which: int, value: int) -> str:
    return f"resource.setrlimit({which}, ({value}, {value}))"


LONG = "/" + "/".join(["x" * 200] * 5)


def mounted(options: str) -> tuple[str, ...]:
    """Return words that run others where /mnt is a file system of its own."""
    mount = f'mount -t tmpfs -o {options} none /mnt && exec "$@"'
    return ("unshare", "--mount", "sh", "-c", mount, "sh")


#: Words that run others as a user who owns nothing, but may read our files wherever they are.
NOBODY = (
    "setpriv",
    "--reuid=65534",
    "--regid=65534",
    "--clear-groups",
    "--inh-caps=+dac_read_search",
    "--ambient-caps=+dac_read_search",
)

WAYS = {
    "all signals ignored": Way(prepare=IGNORING),
    "all signals blocked": Way(prepare=MASKING),
    "stdin closed": Way(prepare=closing(0)),
    "stdout closed": Way(prepare=closing(1)),
    "stderr closed": Way(prepare=closing(2)),
    "all streams closed": Way(prepare=closing(0, 1, 2)),
    "stdout full": Way(prepare=full(1)),
    "stderr full": Way(prepare=full(2)),
    "stdout without a reader": Way(prepare=unread(1)),
    "stderr without a reader": Way(prepare=unread(2)),
    "a terminal that hung up": Way(prepare=HUNG_UP),
    "umask 000": Way(prepare="os.umask(0)"),
    "umask 777": Way(prepare="os.umask(0o777)"),
    "HOME unset": Way(env={"HOME": None}),
    "HOME missing": Way(env={"HOME": "/nowhere"}),
    "HOME unwritable": Way(env={"HOME": "/proc/self"}),
    "HOME long": Way(env={"HOME": LONG}),
    "TMPDIR missing": Way(env={"TMPDIR": "/nowhere"}),
    "TMPDIR unwritable": Way(env={"TMPDIR": "/proc/self"}),
    "TMPDIR long": Way(env={"TMPDIR": LONG}),
    "cwd missing": Way("change to another one, or use --cwd", prepare=GONE, loud=True),
    "cwd long": Way(prepare=DEEP),
    "cwd unwritable": Way(prepare="os.chdir('/proc/self')"),
    "rundir unwritable": Way("/proc/self/run", start=("--rundir", "/proc/self/run")),
    "rundir without its parent": Way("make the directory above", start=("--rundir", "/no/run")),
    "rundir a file": Way("choose another place", start=("--rundir", "/etc/passwd")),
    "rundir long": Way(
        "a shorter path for attribute rundir", start=("--rundir", "/tmp/" + "x" * 120)
    ),
    "rundir on a read-only file system": Way(
        "choose a place that can be written to",
        before=mounted("ro"),
        start=("--rundir", "/mnt/run"),
    ),
    "rundir on a full file system": Way(
        "make room there", before=mounted("size=4k,nr_inodes=3"), start=("--rundir", "/mnt/run")
    ),
    "TMPDIR on a full file system": Way(before=mounted("size=4k"), env={"TMPDIR": "/mnt"}),
    "statedir missing": Way("statedir", start=("--statedir", "/no/state")),
    "statedir unwritable": Way("statedir", start=("--statedir", "/proc/self")),
    "statedir on a full file system": Way(
        "make room there", before=mounted("size=4k"), start=("--statedir", "/mnt")
    ),
    "ulimit -n 64": Way(prepare=limit(resource.RLIMIT_NOFILE, 64)),
    "ulimit -n 24": Way(prepare=limit(resource.RLIMIT_NOFILE, 24)),
    "ulimit -n 12": Way("ulimit -n", prepare=limit(resource.RLIMIT_NOFILE, 12)),
    "ulimit -n 8": Way("ulimit -n", prepare=limit(resource.RLIMIT_NOFILE, 8)),
    "ulimit -f 0": Way("ulimit -f", prepare=limit(resource.RLIMIT_FSIZE, 0)),
    "ulimit -u 1": Way("ulimit -u", before=NOBODY, prepare=limit(resource.RLIMIT_NPROC, 1)),
    "ulimit -v 200M": Way(prepare=limit(resource.RLIMIT_AS, 200 << 20)),
    "ulimit -s 1M": Way(prepare=limit(resource.RLIMIT_STACK, 1 << 20)),
    "ulimit -c 0": Way(prepare=limit(resource.RLIMIT_CORE, 0)),
    # Of what was wrong Python 3.13 says no more than what it led to.
    "PYTHONHOME": Way(
        "PYTHONHOME" if sys.version_info < (3, 13) else "encodings",
        env={"PYTHONHOME": "/nowhere"},
        loud=True,
    ),
    **{
        f"{name}={value}": Way(env={name: value}, loud=loud)
        for name, value, loud in [
            ("PYTHONOPTIMIZE", "2", False),
            ("PYTHONSAFEPATH", "1", False),
            ("PYTHONWARNINGS", "error", False),
            ("PYTHONDONTWRITEBYTECODE", "1", False),
            ("PYTHONIOENCODING", "latin-1", False),
            ("PYTHONUTF8", "0", False),
            ("PYTHONSTARTUP", "/nowhere", False),
            ("PYTHONINSPECT", "1", False),
            ("PYTHONDEVMODE", "1", False),
            ("PYTHONUNBUFFERED", "1", False),
            ("PYTHONHASHSEED", "0", False),
            ("PYTHONNOUSERSITE", "1", False),
            ("PYTHONMALLOC", "debug", False),
            ("PYTHONTRACEMALLOC", "5", False),
            ("PYTHONFAULTHANDLER", "1", False),
            ("PYTHONINTMAXSTRDIGITS", "640", False),
            ("PYTHONPATH", "/nowhere", False),
            ("PYTHONPROFILEIMPORTTIME", "1", True),
            ("PYTHONVERBOSE", "1", True),
        ]
    },
    "PYTHONIOENCODING=nosuch": Way(
        "unknown encoding: nosuch", env={"PYTHONIOENCODING": "nosuch"}, loud=True
    ),
    "python -I": Way(options=("-I",)),
    "python -E": Way(options=("-E",)),
    "python -O": Way(options=("-OO",)),
    "python -B": Way(options=("-B",)),
    "python -W error": Way(options=("-W", "error")),
    "python -X dev": Way(options=("-X", "dev")),
    "python -S": Way("No module named 'flux'", options=("-S",), loud=True),
    "nohup": Way(before=("nohup",), loud=True),
    "setsid": Way(before=("setsid", "--wait")),
    "timeout": Way(before=("timeout", "60")),
    "nice": Way(before=("nice",)),
    "xargs": Way(before=("xargs", "-a", "/dev/null")),
    "sh -c": Way(before=("sh", "-c", '"$@"; exit $?', "sh")),
    "a bare environment": Way(before=("env", "-i"), clean=True),
    "process 1": Way(before=("unshare", "--pid", "--fork", "--mount-proc")),
    "another user": Way(before=NOBODY),
    "systemd-run": Way(
        before=("systemd-run", "--pipe", "--wait", "--quiet", "-E", "RESULT", "-E", "SCRIPT")
    ),
}


def run(way: Way, words: list[str], tmp_path: Path) -> tuple[int, str, str]:
    result = tmp_path / "out" / "result"
    result.parent.mkdir(mode=0o777)
    result.parent.chmod(0o777)
    result.touch()
    result.chmod(0o666)
    (tmp_path / "cwd").mkdir()
    env = dict(os.environ, RESULT=str(result), SCRIPT=SCRIPT)
    for name, value in way.env.items():
        env.pop(name, None)
        if value is not None:
            env[name] = value
    before = list(way.before)
    if before and not shutil.which(before[0]):
        pytest.skip(f"there is no {before[0]} here")
    if way.clean:
        before += [f"RESULT={result}", f"SCRIPT={SCRIPT}"]
    done = subprocess.run(
        # Not with preexec_fn, which may hang where there are threads.
        [PYTHON, "-ISc", PREPARE.format(way.prepare), *before, PYTHON, *way.options, *words],
        check=False,
        env=env,
        cwd=tmp_path / "cwd",
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=20,
    )
    return done.returncode, result.read_text("utf-8"), done.stderr.decode("utf-8", "replace")


@pytest.mark.parametrize("how", ["flux start", "Broker"])
@pytest.mark.parametrize("name", WAYS)
def test_it_works_or_says_in_a_line_what_to_change(name, how, tmp_path):
    way = WAYS[name]
    if how == "flux start":
        words = ["-m", "flux.devbroker", "start", *way.start, "sh", "-c", SCRIPT]
    elif way.start:
        pytest.skip("an option of flux start")
    else:
        # Without a directory CPython 3.13.0 cannot import socket, unless that one is not searched.
        blind = name.startswith("cwd ") and sys.version_info[:3] == (3, 13, 0)
        words = [*(["-P"] if blind else []), "-c", PROGRAM]
    code, result, stderr = run(way, words, tmp_path)
    if "System has not been booted with systemd" in stderr or "unshare failed" in stderr:
        pytest.skip(stderr.splitlines()[0])
    if way.refusal is None:
        assert code == 0, stderr
        # Python may have told of itself.
        assert [line for line in result.splitlines() if line in ("0", "fine")] == ["0", "fine"]
        assert way.loud or not stderr
        return
    assert code in (1, 126)
    lines = [line for line in (result + stderr).splitlines() if way.refusal in line]
    assert lines, stderr
    if not way.loud:
        assert "Traceback" not in stderr
        assert len(stderr.splitlines()) <= 2


def test_the_table_has_all_of_them():
    text = (Path(__file__).parents[3] / "docs" / "devbroker.md").read_text("utf-8")
    table = text.partition("| started with | |\n|---|---|\n")[2].partition("\n\n")[0]
    named = [
        name.strip(" `") for row in table.splitlines() for name in row.split("|")[1].split(";")
    ]
    assert sorted(named) == sorted(WAYS)


def test_a_program_that_embeds_python_is_told_what_to_set():
    program = "import sys; sys.executable = ''; from flux.devbroker import Broker; Broker()"
    out = subprocess.run([PYTHON, "-c", program], check=False, capture_output=True, text=True)
    assert "sys.executable is empty" in out.stderr.splitlines()[-1]


def test_a_clock_that_runs_backwards_keeps_no_job_from_starting_or_ending(tmp_path):
    """In the broker alone, by an hour with each second."""
    program = (
        "import sys, time\n"
        "time.time = lambda: 2e9 - 3600 * time.monotonic()\n"
        "from flux.command._main import run\n"
        "sys.exit(run(sys.argv[1:]))"
    )
    script = "flux run echo fine; flux run -t 0.2s sleep 60 2>/dev/null || echo over"
    words = [PYTHON, "-c", program, "start", "sh", "-c", script]
    out = subprocess.run(words, check=False, capture_output=True, text=True, timeout=60)
    assert out.stdout == "fine\nover\n", out.stderr
