"""Commands that are about the key-value store and what is under it."""

from __future__ import annotations

import json

from harness.cell import LIMIT
from harness.official import Official
from harness.rows import fails, works


@works("flux kvs put, get, unlink")
def test_put_and_get(flux: Official) -> None:
    flux("kvs", "put", "official.a=42", 'official.b="text"')
    assert flux("kvs", "get", "official.a", "official.b") == '42\n"text"\n'
    flux("kvs", "put", "--raw", "official.raw=-", stdin="as it is")
    assert flux("kvs", "get", "--raw", "official.raw") == "as it is"
    flux("kvs", "unlink", "-R", "official")
    assert "No such file" in flux.fail("kvs", "get", "official.a")


@works("flux kvs dir, ls, mkdir")
def test_directories(flux: Official) -> None:
    flux("kvs", "put", "tree.x.y=1", "tree.z=2")
    assert flux("kvs", "dir", "-R", "tree") == "tree.x.y = 1\ntree.z = 2\n"
    assert flux("kvs", "ls", "tree").split() == ["x", "z"]
    flux("kvs", "mkdir", "tree.empty")
    assert flux("kvs", "dir", "tree.empty") == ""


@works("flux kvs link, readlink, copy, move")
def test_links(flux: Official) -> None:
    flux("kvs", "put", "links.a=1")
    flux("kvs", "link", "links.a", "links.b")
    assert flux("kvs", "get", "links.b") == "1\n"
    assert flux("kvs", "readlink", "links.b") == "links.a\n"
    flux("kvs", "copy", "links.a", "links.c")
    flux("kvs", "move", "links.c", "links.d")
    assert flux("kvs", "get", "links.d") == "1\n"


@works("flux kvs get --watch")
def test_watching(flux: Official) -> None:
    flux("kvs", "put", "watched=1")
    with flux.start("kvs", "get", "--watch", "--count=2", "watched") as watch:
        assert watch.stdout is not None
        assert watch.stdout.readline() == "1\n"
        flux("kvs", "put", "watched=2")
        assert watch.communicate(timeout=LIMIT)[0] == "2\n"


@works("flux kvs eventlog")
def test_eventlogs(flux: Official) -> None:
    flux("kvs", "eventlog", "append", "log", "began", '{"n":1}')
    assert flux("kvs", "eventlog", "get", "log").split()[1:] == ["began", "n=1"]
    assert "began" in flux("kvs", "eventlog", "wait-event", "log", "began")


@works("flux kvs namespace")
def test_namespaces(flux: Official) -> None:
    flux("kvs", "namespace", "create", "official-space")
    assert "official-space" in flux("kvs", "namespace", "list")
    flux("kvs", "put", "--namespace=official-space", "a=1")
    assert flux("kvs", "get", "--namespace=official-space", "a") == "1\n"
    flux("kvs", "namespace", "remove", "official-space")
    assert "official-space" not in flux("kvs", "namespace", "list")


@works("flux kvs version, wait, getroot")
def test_roots(flux: Official) -> None:
    version = flux("kvs", "version").strip()
    flux("kvs", "wait", version)
    assert json.loads(flux("kvs", "getroot"))["type"] == "dirref"


@works("flux content store, load, flush")
def test_content(flux: Official) -> None:
    reference = flux("content", "store", stdin="some content").strip()
    assert reference.startswith("sha1-")
    assert flux("content", "load", reference) == "some content"
    flux("content", "flush")


@fails("flux content dropcache", "there is no cache")
def test_dropping_the_cache(flux: Official) -> None:
    assert "Function not implemented" in flux.fail("content", "dropcache")


@works("flux archive")
def test_archives(flux: Official) -> None:
    flux("archive", "create", "--name=official", "--directory=/etc", "passwd")
    assert flux("archive", "list", "--name=official") == "passwd\n"
    flux("archive", "remove", "--name=official")
