"""The names of flux-core's module, with its arguments; what comes after those is ours."""

from __future__ import annotations

import inspect
import subprocess
import sys
from typing import Any

import pytest

import flux.kvs

SIGNATURES = {
    "KVSDir": "(flux_handle=None, path='.', handle=None, namespace=None, _kvstxn=None)",
    "KVSDir.InnerWrapper": "(flux_handle=None, path='.', handle=None, namespace=None)",
    "KVSDir.KVSDirIterator": "(kvsdir)",
    "KVSDir.commit": "(self, flags=0)",
    "KVSDir.commit_async": "(self, flags=0)",
    "KVSDir.directories": "(self)",
    "KVSDir.exists": "(self, name)",
    "KVSDir.files": "(self)",
    "KVSDir.fill": "(self, contents)",
    "KVSDir.key_at": "(self, key)",
    "KVSDir.list_all": "(self)",
    "KVSDir.mkdir": "(self, key, contents=None)",
    "KVSTxn": "(flux_handle=None, path='.', namespace=None)",
    "KVSTxn.clear": "(self)",
    "KVSTxn.commit": "(self, flags=0)",
    "KVSTxn.commit_async": "(self, flags=0)",
    "KVSTxn.mkdir": "(self, key)",
    "KVSTxn.put": "(self, key, value, raw=False)",
    "KVSTxn.symlink": "(self, key, target)",
    "KVSTxn.unlink": "(self, key)",
    "KVSWatchFuture": "(future_handle)",
    "KVSWatchFuture.watch_cancel": "(self, future)",
    "KVSWatchFuture.watch_get": "(self, future)",
    "WatchImplementation": "(future_handle)",
    "WatchImplementation.cancel": "(self, stop=False)",
    "WatchImplementation.get": "(self, autoreset=True)",
    "commit": "(flux_handle, flags=0, namespace=None, _kvstxn=None)",
    "commit_async": "(flux_handle, flags=0, namespace=None, _kvstxn=None)",
    "exists": "(flux_handle, key, namespace=None)",
    "get": "(flux_handle, key, namespace=None, _kvstxn=None)",
    "get_dir": "(flux_handle, key='.', namespace=None, _kvstxn=None)",
    "get_key_direct": "(flux_handle, key, namespace=None)",
    "isdir": "(flux_handle, key, namespace=None)",
    "join": "(*args)",
    "kvs_checkpoint_lookup": "(flux_handle, cache_bypass=False)",
    "kvs_watch_async": (
        "(flux_handle, key, namespace=None, waitcreate=False, uniq=False, full=False)"
    ),
    "namespace_list": "(flux_handle)",
    "namespace_remove": "(flux_handle, namespace)",
    "put": "(flux_handle, key, value, _kvstxn=None, raw=False)",
    "put_mkdir": "(flux_handle, key, _kvstxn=None)",
    "put_symlink": "(flux_handle, key, target, _kvstxn=None)",
    "put_unlink": "(flux_handle, key, _kvstxn=None)",
    "walk": "(directory, topdown=False, flux_handle=None, namespace=None)",
}


@pytest.mark.parametrize("name", SIGNATURES)
def test_arguments(name: str) -> None:
    found: Any = flux.kvs
    for part in name.split("."):
        found = getattr(found, part)
    signature = inspect.signature(found)
    theirs = [
        parameter.replace(annotation=parameter.empty)
        for parameter in signature.parameters.values()
        if parameter.kind is not parameter.KEYWORD_ONLY
    ]
    empty = inspect.Signature.empty
    assert str(signature.replace(parameters=theirs, return_annotation=empty)) == SIGNATURES[name]


def test_all_that_is_public_is_there() -> None:
    assert all(hasattr(flux.kvs, name) for name in flux.kvs.__all__)
    assert flux.kvs.__all__ == sorted(flux.kvs.__all__)
    with pytest.raises(AttributeError, match="nonesuch"):
        flux.kvs.nonesuch  # noqa: B018


def test_names_for_c_code_load_cffi_only_when_asked_for() -> None:
    program = """
import sys, flux.kvs
from flux.kvs import *
assert "_cffi_backend" not in sys.modules
assert isinstance(flux.kvs.RAW, flux.kvs.KVSWrapper)
assert flux.kvs.ffi is not None
"""
    subprocess.run([sys.executable, "-W", "error", "-c", program], check=True)
