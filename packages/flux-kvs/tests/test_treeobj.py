from __future__ import annotations

import hashlib
import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flux.kvs import treeobj

REF = "sha1-" + "0" * 40
TEXT = st.text(st.characters(exclude_categories=["Cs"]))

LEAVES = (
    st.builds(treeobj.val, st.binary())
    | st.builds(treeobj.symlink, TEXT, st.none() | TEXT)
    | st.builds(lambda data: treeobj.valref(treeobj.blobref(data)), st.binary())
    | st.builds(lambda data: treeobj.dirref(treeobj.blobref(data, "sha256")), st.binary())
)
OBJECTS = st.recursive(
    LEAVES, lambda inner: st.builds(treeobj.directory, st.dictionaries(TEXT, inner)), max_leaves=8
)
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text() | st.just("val") | st.just("dir"),
    lambda inner: (
        st.lists(inner)
        | st.dictionaries(st.sampled_from(["ver", "type", "data", "target"]) | st.text(), inner)
    ),
    max_leaves=8,
)


@given(OBJECTS)
def test_what_is_stored_is_read_back(obj: treeobj.TreeObject) -> None:
    treeobj.validate(obj)
    stored = treeobj.encode(obj)
    assert json.loads(stored) == obj
    # The same content has the same text, and so the same blobref.
    assert treeobj.encode(json.loads(stored)) == stored


@given(ANYTHING)
def test_anything_else_is_refused(obj: Any) -> None:
    # Nothing else is raised.
    with suppress(OSError):
        treeobj.validate(obj)
    with suppress(ValueError):
        treeobj.decode_val(obj)


@pytest.mark.parametrize(
    "obj",
    [
        {"ver": 2, "type": "val", "data": ""},
        {"ver": 1, "type": "val", "data": "", "more": 1},
        {"ver": 1, "type": "val", "data": 1},
        {"ver": 1, "type": "valref", "data": []},
        {"ver": 1, "type": "valref", "data": ["sha1-0"]},
        {"ver": 1, "type": "dirref", "data": REF},
        {"ver": 1, "type": "dir", "data": {"a": 1}},
        {"ver": 1, "type": "dir", "data": {"\ud800": treeobj.val(b"")}},
        {"ver": 1, "type": "symlink", "data": {}},
        {"ver": 1, "type": "symlink", "data": {"target": "a", "namespace": 1}},
        {"ver": 1, "type": "hdir", "data": {}},
    ],
    ids=json.dumps,
)
def test_objects_that_are_not_valid(obj: Any) -> None:
    with pytest.raises(OSError, match="invalid tree object"):
        treeobj.validate(obj)


def test_directories_within_directories_have_an_end() -> None:
    obj = treeobj.directory()
    for _ in range(treeobj.MAX_NESTED):
        obj = treeobj.directory({"a": obj})
    with pytest.raises(OSError, match="invalid"):
        treeobj.validate(obj)


@pytest.mark.parametrize("text", ["a", "YQ", "YQ==YQ==", "Y\nQ==", "Y!Q==", "ä", 1, None, b"YQ="])
def test_what_is_not_base64(text: Any) -> None:
    with pytest.raises(ValueError, match=r"base64|tree object|\w"):
        treeobj.decode_val({"ver": 1, "type": "val", "data": text})


def test_blobrefs() -> None:
    empty = treeobj.encode(treeobj.directory())
    # As flux-core has it for each new namespace.
    assert treeobj.blobref(empty) == "sha1-c0a9faf907dda6216fd73bf81d0b3b21a1a8cb91"
    assert treeobj.blobref(b"x", "sha256") == f"sha256-{hashlib.sha256(b'x').hexdigest()}"
    assert treeobj.is_blobref(treeobj.blobref(b"x", "sha256"))
    assert not treeobj.is_blobref("sha1-" + "0" * 64)
