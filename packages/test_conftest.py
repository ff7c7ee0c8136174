"""That a leaking test fails, and no other."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

pytest_plugins = ["pytester"]

LEAKS = """
    import os
    import socket
    import subprocess
    import threading

    import pytest

    kept = []
    event = threading.Event()
    held = os.open("/dev/null", os.O_RDONLY)

    @pytest.fixture(scope="module", autouse=True)
    def end_what_leaked():
        yield
        event.set()
        process = kept.pop()
        process.kill()
        process.wait()

    def test_file():
        kept.append(os.open("/dev/null", os.O_RDONLY))

    def test_forgotten_socket():
        loop = [socket.socket()]
        loop.append(loop)

    def test_thread():
        threading.Thread(target=event.wait, name="waits").start()

    def test_running_process():
        kept.append(subprocess.Popen(["sleep", "60"]))

    def test_unreaped_process():
        os.waitid(os.P_PID, os.posix_spawnp("true", ["true"], {}), os.WEXITED | os.WNOWAIT)

    def test_exception_in_del():
        class Bad:
            def __del__(self):
                raise ValueError("nobody sees this")

        bad = Bad()
        bad.itself = bad

    def test_failure_is_reported_once():
        opened = os.open("/dev/null", os.O_RDONLY)
        raise LookupError

    def test_reopened_descriptor():
        os.close(held)
        assert os.open("/dev/zero", os.O_RDONLY) == held
"""

CLEAN = """
    import socket
    import subprocess
    import threading

    import pytest

    @pytest.fixture(scope="module")
    def wider():
        with socket.socket() as opened, subprocess.Popen(["cat"], stdin=subprocess.PIPE) as process:
            yield opened, process

    def test_nothing():
        pass

    def test_wider_fixture(wider):
        pass

    def test_closed():
        with socket.socket(), subprocess.Popen(["true"]):
            thread = threading.Thread(target=int)
            thread.start()
            thread.join()

    def test_collected():
        loop = [open("/dev/null")]
        loop.pop().close()
        loop.append(loop)

    def test_thread_on_its_way_out():
        threading.Timer(0.05, int).start()
"""


Run = Callable[[str], pytest.RunResult]


@pytest.fixture
def run(pytester: pytest.Pytester) -> Run:
    """Return a function that runs a test module under packages/conftest.py."""
    pytester.makeconftest(Path(__file__).with_name("conftest.py").read_text(encoding="utf-8"))
    pytester.makeini("[pytest]\nfilterwarnings = error\n")

    def run(source: str) -> pytest.RunResult:
        pytester.makepyfile(test_inner=source)
        # Wide enough that the summary isn't shortened.
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("COLUMNS", "200")
            return pytester.runpytest_subprocess("-rEf", "--tb=no", "-p", "no:cacheprovider")

    return run


def test_leaking_tests_fail(run: Run) -> None:
    result = run(LEAKS)
    result.stdout.fnmatch_lines(
        [
            "ERROR *::test_file - *left behind: file * (/dev/null)",
            "ERROR *::test_forgotten_socket - *Unraisable*<socket.socket *",
            "ERROR *::test_thread - *left behind: <Thread(waits, *",
            "ERROR *::test_running_process - *left behind: process *",
            "ERROR *::test_unreaped_process - *left behind: process *",
            "ERROR *::test_exception_in_del - *Unraisable*__del__*",
            "ERROR *::test_reopened_descriptor - *left behind: file * (/dev/zero)",
            "FAILED *::test_failure_is_reported_once - LookupError",
        ]
    )
    result.assert_outcomes(passed=7, errors=7, failed=1)


def test_clean_tests_pass(run: Run) -> None:
    run(CLEAN).assert_outcomes(passed=5)
