"""``flux kvs``: its output and what it does, each command as its own process."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any, Callable

import pytest

Run = Callable[..., subprocess.CompletedProcess[bytes]]

FLUX = [sys.executable, "-m", "flux.command"]


@pytest.fixture
def kvs(flux_broker: Any) -> Run:
    """Runs a command against the test's broker."""

    def run(*args: str, **options: Any) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(
            [*FLUX, "kvs", *args],
            env=flux_broker.environ,
            check=False,
            capture_output=True,
            timeout=30,
            **options,
        )

    return run


def output(result: subprocess.CompletedProcess[bytes]) -> str:
    assert result.returncode == 0, result.stderr
    return result.stdout.decode()


def complaint(result: subprocess.CompletedProcess[bytes]) -> str:
    assert result.returncode == 1
    return result.stderr.decode().splitlines()[0].removeprefix("flux-kvs: ")


def test_values(kvs: Run) -> None:
    assert output(kvs("put", "-s", "t.a=1", "t.b=two=2")).strip().isdigit()
    assert output(kvs("get", "t.a", "t.b")) == "1\ntwo=2\n"
    assert output(kvs("get", "-l", "t.a")) == "t.a=1\n"
    assert output(kvs("get", "-t", "t.a")) == '{"data":"MQ==","type":"val","ver":1}\n'
    assert output(kvs("put", "-t", 't.c={"ver":1,"type":"val","data":"Mg=="}')) == ""
    assert output(kvs("get", "t.c")) == "2\n"
    output(kvs("put", "--raw", "t.raw=-", input=b"\xff\0"))
    assert kvs("get", "--raw", "t.raw").stdout == b"\xff\0"
    output(kvs("put", "--append", "t.log=a", "t.log=b"))
    assert output(kvs("get", "--stream", "t.log")) == "ab\n"
    assert output(kvs("get", "--watch", "--count=1", "t.a")) == "1\n"
    assert complaint(kvs("get", "t.none")) == "t.none: No such file or directory"
    assert complaint(kvs("get", "t")) == "t: Is a directory"
    assert complaint(kvs("put", "=1")).startswith(": a KVS key cannot be empty")
    assert complaint(kvs("put", "-t", "t.c={}")) == "t.c: invalid tree object"
    assert "no KVS namespace 'nowhere'" in complaint(kvs("get", "-N", "nowhere", "a"))


def test_directories(kvs: Run) -> None:
    output(kvs("put", "t.a=1", "t.d.b=2"))
    output(kvs("mkdir", "t.e"))
    output(kvs("link", "t.a", "t.l"))
    assert output(kvs("dir", "t")) == "t.a = 1\nt.d.\nt.e.\nt.l -> t.a\n"
    assert output(kvs("dir", "-R", "-d", "t")) == "t.a\nt.d.b\nt.e.\nt.l -> t.a\n"
    assert output(kvs("ls", "-F", "-1", "t")) == "a\nd.\ne.\nl@\n"
    assert complaint(kvs("dir", "t.a")) == "t.a: Not a directory"
    assert complaint(kvs("unlink", "t.d")) == "cannot unlink 't.d': Directory not empty"
    output(kvs("unlink", "-R", "t.d"))
    output(kvs("unlink", "-f", "t.e", "t.none"))
    assert output(kvs("ls", "-1", "t")) == "a\nl\n"


def test_links_and_copies(kvs: Run) -> None:
    output(kvs("put", "t.a=1"))
    output(kvs("link", "-T", "ns", "there", "t.l"))
    assert output(kvs("readlink", "t.l")) == "ns::there\n"
    assert output(kvs("readlink", "-o", "t.l")) == "ns\n"
    assert output(kvs("readlink", "-k", "t.l")) == "there\n"
    assert complaint(kvs("readlink", "t.a")) == "t.a: Invalid argument"
    output(kvs("copy", "t", "copy"))
    assert output(kvs("get", "copy.a")) == "1\n"
    output(kvs("move", "copy", "moved"))
    assert output(kvs("get", "moved.a")) == "1\n"
    assert complaint(kvs("get", "copy.a")) == "copy.a: No such file or directory"


def test_roots_and_namespaces(kvs: Run) -> None:
    output(kvs("put", "t.a=1"))
    root = output(kvs("getroot")).strip()
    ref = output(kvs("getroot", "-b")).strip()
    assert json.loads(root) == {"data": [ref], "type": "dirref", "ver": 1}
    version = output(kvs("version"))
    assert output(kvs("getroot", "-s")) == version
    output(kvs("wait", version.strip()))
    output(kvs("put", "t.a=2"))
    assert output(kvs("get", "--at", root, "t.a")) == "1\n"
    assert output(kvs("dir", "--at", root, "t")) == "t.a = 1\n"
    output(kvs("namespace", "create", "ns"))
    output(kvs("namespace", "create", "-r", ref, "old"))
    assert output(kvs("get", "-N", "old", "t.a")) == "1\n"
    assert output(kvs("ls", "-N", "ns")) == ""
    assert {"ns", "old"} <= set(output(kvs("namespace", "list")).split())
    assert complaint(kvs("namespace", "create", "ns")) == "ns: File exists"
    output(kvs("namespace", "remove", "ns"))
    output(kvs("sync"))


def test_eventlogs(kvs: Run) -> None:
    output(kvs("eventlog", "append", "-t", "1.5", "log", "begin", '{"a":1}'))
    output(kvs("eventlog", "append", "-t", "2.5", "log", "end"))
    assert output(kvs("eventlog", "get", "log")) == "1.500000 begin a=1\n2.500000 end\n"
    assert output(kvs("eventlog", "get", "-w", "-c", "1", "log")) == "1.500000 begin a=1\n"
    assert output(kvs("eventlog", "wait-event", "log", "end")) == "2.500000 end\n"
    assert complaint(kvs("eventlog", "wait-event", "-t", "0.1", "log", "never")) == (
        "wait-event timeout on event 'never'"
    )
