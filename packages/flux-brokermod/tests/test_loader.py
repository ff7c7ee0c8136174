"""The loader: its conversation with the broker apart from the recorded ones, and its faults."""

from __future__ import annotations

import errno
import os
import subprocess
import sys

import pytest

PLAIN = "from flux.brokermod import BrokerModule\nclass Mod(BrokerModule): pass\n"


def test_requests_that_come_too_late_are_answered_enosys(load):
    mod = load(PLAIN)
    mod.call("mod.ping", {})
    mod.request("mod.shutdown", noresponse=True, matchtag=0)
    status = mod.next()
    assert status.payload == {"status": 2}
    late = mod.request("mod.ping", {})
    mod.request("mod.ping", {}, noresponse=True)
    mod.answer(status)
    refused = mod.next()
    assert (refused.matchtag, refused.errnum) == (late, errno.ENOSYS)
    assert refused.routes == ["broker-uuid", "client-uuid"]
    assert mod.next().payload == {"status": 3, "errnum": 0}
    assert mod.next() is None
    assert mod.fate() == ""
    assert mod.process.returncode == 0


def test_requests_that_were_waiting_behind_the_welcome_are_served(spawn):
    mod = spawn(PLAIN)
    mod.welcome()
    tag = mod.request("mod.ping", {})
    assert mod.response(tag).errnum == 0
    assert mod.running == 1


def test_rank_size_and_configuration_are_known_without_asking(load):
    mod = load(
        """
def mod_main(h, *args):
    assert (h.get_rank(), h.attr_get("size"), h.conf_get("x")) == (0, "1", [1])
""",
        conf={"x": [1]},
    )
    assert mod.finish() == 0


def test_the_process_is_named_after_the_module(load):
    if not os.path.exists("/proc/self/comm"):
        pytest.skip("processes have no name here")
    mod = load(PLAIN, name="module-of-a-long-name")
    mod.call("module-of-a-long-name.ping", {})
    with open(f"/proc/{mod.process.pid}/comm") as comm:
        assert comm.read() == "module-of-a-lon\n"
    assert mod.unload("module-of-a-long-name") == 0


def test_log_entries_carry_the_name_of_the_module(load):
    mod = load("def mod_main(h): h.log(6, 'hello')", name="other")
    while True:
        msg = mod.read()
        if msg.topic == "log.append":
            assert msg.payload_bytes.decode().split(" ")[3] == "other"
            break
        if msg.topic == "event.subscribe":
            mod.answer(msg)


def test_programs_that_a_module_starts_do_not_take_themselves_for_modules(load):
    mod = load("""
        import os
        def mod_main(h):
            assert "FLUX_MODULE_URI" not in os.environ
            assert not os.get_inheritable(h._session.connector.fileno())
    """)
    assert mod.finish() == 0


def test_dataclasses_and_pickle_work_in_a_module_file(load):
    mod = load("""
        from __future__ import annotations
        import dataclasses, pickle
        @dataclasses.dataclass
        class Point:
            x: int
        def mod_main(h):
            assert pickle.loads(pickle.dumps(Point(1))) == Point(1)
    """)
    assert mod.finish() == 0


def test_a_file_may_have_the_name_of_a_standard_module(spawn):
    mod = spawn("import json\ndef mod_main(h): assert json.loads('1') == 1\n", filename="json.py")
    mod.welcome("json")
    assert mod.finish() == 0


ENDINGS = {
    "oserror": ("raise OSError(errno.ENOSPC, 'full')", errno.ENOSPC, ""),
    "oserror without errno": ("raise OSError('?')", errno.ECONNRESET, ""),
    "bad argument": ("raise ValueError('bad --x')", errno.EINVAL, "mod.py: bad --x\n"),
    "returns": ("return 5", 0, ""),
}


@pytest.mark.parametrize("case", ENDINGS)
def test_how_an_entry_point_ends_is_how_the_module_ends(load, case):
    statement, errnum, stderr = ENDINGS[case]
    mod = load(f"import errno\ndef mod_main(h, *args): {statement}\n")
    assert mod.finish() == errnum
    assert mod.fate() == stderr


def test_an_unexpected_exception_is_shown_with_its_traceback(load):
    mod = load("def mod_main(h, *args): raise RuntimeError('a fault')")
    assert mod.finish() == errno.ECONNRESET
    stderr = mod.fate()
    assert stderr.startswith("Traceback")
    assert stderr.endswith("RuntimeError: a fault\n")


UNLOADABLE = {
    "nothing to run": ("x = 1", "mod.py: no mod_main() or BrokerModule subclass found\n"),
    "two classes": (
        PLAIN + "class Too(BrokerModule): pass\n",
        "mod.py: multiple BrokerModule subclasses found (Mod, Too); define mod_main()\n",
    ),
    "syntax": ("def f(:", "SyntaxError: invalid syntax\n"),
    "import": ("import nosuchmodule", "ModuleNotFoundError: No module named 'nosuchmodule'\n"),
    "at import": ("int('x')", "ValueError: invalid literal for int() with base 10: 'x'\n"),
}


@pytest.mark.parametrize("case", UNLOADABLE)
def test_a_file_that_cannot_be_loaded_is_explained(load, case):
    source, text = UNLOADABLE[case]
    mod = load(source)
    assert mod.next() is None
    stderr = mod.fate()
    assert mod.process.returncode == 1
    assert stderr.startswith("flux-brokermod: /")
    assert stderr.endswith(text)
    assert "importlib" not in stderr
    assert "_loader.py" not in stderr


def test_a_file_that_is_not_there_is_named(spawn, tmp_path):
    mod = spawn(tmp_path / "gone.py")
    mod.welcome()
    assert mod.next() is None
    assert mod.fate() == f"flux-brokermod: {tmp_path}/gone.py: No such file or directory\n"
    assert mod.process.returncode == 1


@pytest.mark.parametrize(
    "fields", [{"name": None}, {"conf": []}, {"args": None}, {"uuid": 1}, {"attrs": []}]
)
def test_a_malformed_welcome_is_refused(spawn, fields):
    mod = spawn(PLAIN)
    mod.welcome(**fields)
    assert mod.next() is None
    assert "the broker's welcome message is malformed" in mod.fate()
    assert mod.process.returncode == 1


ASYNC = """
from flux.brokermod import BrokerModule, request_handler
class Mod(BrokerModule):
    @request_handler("x")
    async def x(self, msg): pass
"""


@pytest.mark.parametrize("source", [PLAIN, ASYNC], ids=["sync", "async"])
def test_a_broker_that_goes_away_ends_the_module(load, source):
    mod = load(source)
    mod.call("mod.ping", {})
    mod.sock.close()
    stderr = mod.fate()
    assert mod.process.returncode == 1
    assert stderr.startswith("flux-brokermod: cannot report the end of mod: ")


def test_a_broker_that_goes_away_before_the_welcome(spawn):
    mod = spawn(PLAIN)
    mod.sock.sendall(b"\0")
    mod.sock.close()
    assert "lost connection to fd://" in mod.fate()
    assert mod.process.returncode == 1


def test_a_loader_takes_one_argument():
    done = subprocess.run(
        [sys.executable, "-m", "flux.brokermod", "a.py", "b"],
        env={**os.environ, "FLUX_MODULE_URI": "fd://9"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "Usage: flux-brokermod FILE" in done.stderr
