"""A broker starts, and is itself, whatever lies about where it is started."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

FLUX = [sys.executable, "-m", "flux.devbroker"]

HOSTILE = "raise SystemExit('imported from where it must not be')\n"

#: A program elsewhere that starts a broker and has it run a job and a module.
PROGRAM = """
import os, subprocess, sys
from flux.devbroker import Broker
with Broker(warm=WARM) as broker, broker.handle() as handle:
    assert handle.rpc("broker.ping", {"seq": 1}).get()["seq"] == 1
    env = dict(os.environ, FLUX_URI=broker.uri)
    flux = os.path.join(handle.attr_get("rundir"), "bin", "flux")
    out = subprocess.run([flux, "run", "echo", "fine"], env=env, capture_output=True, text=True)
    assert out.stdout == "fine\\n", out
    handle.rpc("module.load", {"path": sys.argv[1], "args": []}).get()
    handle.rpc("noop.ping", {"seq": 2}).get()
    print("all fine")
"""

MODULE = "from flux.brokermod import BrokerModule\nclass Noop(BrokerModule):\n    pass\n"


def run(words: list[str], **options: Any) -> subprocess.CompletedProcess[Any]:
    return subprocess.run(words, check=False, capture_output=True, **options)


@pytest.fixture
def program(tmp_path: Path) -> list[str]:
    """Return the words that run the program."""
    (tmp_path / "program").mkdir()
    path, module = tmp_path / "program" / "main.py", tmp_path / "program" / "noop.py"
    module.write_text(MODULE)
    path.write_text(PROGRAM)
    return [sys.executable, str(path), str(module)]


@pytest.mark.parametrize("warm", [True, False])
@pytest.mark.parametrize("way", ["working directory", "PYTHONPATH"])
def test_modules_of_others_with_our_names_are_not_ours(program, tmp_path, way, warm):
    path = Path(program[1])
    path.write_text(path.read_text().replace("WARM", str(warm)))
    hostile = tmp_path / "hostile"
    hostile.mkdir()
    names = ["random", "json", "select", "queue", "urllib", "socket", "sqlite3"]
    for name in names if way == "PYTHONPATH" else [*names, "flux", "orjson", "noop"]:
        (hostile / f"{name}.py").write_text(HOSTILE)
    env = dict(os.environ)
    if way == "PYTHONPATH":
        # For what the broker starts; the program itself has imported what it needs.
        path.write_text(f"import os\n{path.read_text()}")
        prelude = f"os.environ['PYTHONPATH'] = {str(hostile)!r}\n"
        path.write_text(path.read_text().replace("with Broker", f"{prelude}with Broker"))
    out = run(program, cwd=hostile, env=env, text=True, timeout=60)
    assert out.stdout == "all fine\n", out.stderr


def test_a_job_gets_variables_whose_names_no_shell_knows(flux_broker):
    env = {
        **os.environ,
        "FLUX_URI": flux_broker.uri,
        "BASH_FUNC_x%%": "() { :; }",
        "my.setting": "1",
        "0digit": "2",
    }
    names = ("BASH_FUNC_x%%", "my.setting", "0digit")
    script = f"import os; print([os.environ.get(name) for name in {names}])"
    flux = Path(flux_broker.uri[len("local://") :]).parent / "bin" / "flux"
    words = [str(flux), "run", sys.executable, "-c", script]
    out = run(words, env=env, text=True, timeout=30)
    assert out.stdout == "['() { :; }', '1', '2']\n", out.stderr


def test_a_variable_that_is_not_text_is_named_and_left_out(flux_broker):
    env = {**os.environb, b"FLUX_URI": flux_broker.uri.encode(), b"ODD": b"\xff\xfe"}
    script = "import os; print(os.environ.get('ODD'))"
    words = [*FLUX, "run", sys.executable, "-c", script]
    out = run(words, env=env, text=True, timeout=30)
    assert out.stdout == "None\n"
    assert "variable 'ODD' is not UTF-8" in out.stderr


@pytest.mark.parametrize("locale", ["C", "C.UTF-8"])
def test_all_spell_a_job_id_alike(tmp_path, locale):
    env = {key: value for key, value in os.environ.items() if not key.startswith("LC_")}
    env.update(LANG=locale, LC_ALL=locale, PYTHONUTF8="0", PYTHONCOERCECLOCALE="0")
    script = (
        "id=$(flux submit sh -c 'echo $FLUX_JOB_ID {{id}}') && flux job attach $id > out && "
        "echo $id $id > expected && cmp out expected && echo alike"
    )
    words = [*FLUX, "start", "sh", "-c", script]
    out = run(words, cwd=tmp_path, env=env, timeout=60)
    assert out.stdout == b"alike\n", out.stderr


def test_text_in_utf8_is_what_it_was_in_the_c_locale(flux_broker):
    env = dict(os.environ, FLUX_URI=flux_broker.uri, LC_ALL="C", NAME="ƒ ä ☃")
    env.update(PYTHONUTF8="0", PYTHONCOERCECLOCALE="0")
    words = [*FLUX, "run", "sh", "-c", "echo $NAME 'ƒ ☃'"]
    out = run(words, env=env, timeout=30)
    assert out.stdout.decode() == "ƒ ä ☃ ƒ ☃\n", out.stderr
