"""What the package gives by name, without libflux-core and without more modules than needed."""

from __future__ import annotations

import errno
import importlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

import flux
from flux import constants

#: The names and values of wire.md and of the handle's manual pages.
CONSTANTS = {
    "FLUX_MSGTYPE_REQUEST": 1,
    "FLUX_MSGTYPE_RESPONSE": 2,
    "FLUX_MSGTYPE_EVENT": 4,
    "FLUX_MSGTYPE_CONTROL": 8,
    "FLUX_MSGTYPE_ANY": 0x0F,
    "FLUX_MSGTYPE_MASK": 0x0F,
    "FLUX_MSGFLAG_TOPIC": 0x01,
    "FLUX_MSGFLAG_PAYLOAD": 0x02,
    "FLUX_MSGFLAG_NORESPONSE": 0x04,
    "FLUX_MSGFLAG_ROUTE": 0x08,
    "FLUX_MSGFLAG_UPSTREAM": 0x10,
    "FLUX_MSGFLAG_PRIVATE": 0x20,
    "FLUX_MSGFLAG_STREAMING": 0x40,
    "FLUX_MSGFLAG_USER1": 0x80,
    "FLUX_NODEID_ANY": 0xFFFFFFFF,
    "FLUX_NODEID_UPSTREAM": 0xFFFFFFFE,
    "FLUX_MATCHTAG_NONE": 0,
    "FLUX_USERID_UNKNOWN": 0xFFFFFFFF,
    "FLUX_ROLE_NONE": 0,
    "FLUX_ROLE_OWNER": 1,
    "FLUX_ROLE_USER": 2,
    "FLUX_ROLE_LOCAL": 4,
    "FLUX_ROLE_ADMIN": 8,
    "FLUX_ROLE_ALL": 0xFFFFFFFF,
    "FLUX_RPC_NORESPONSE": 1,
    "FLUX_RPC_STREAMING": 2,
    "FLUX_O_TRACE": 1,
    "FLUX_O_CLONE": 2,
    "FLUX_O_NONBLOCK": 4,
    "FLUX_O_MATCHDEBUG": 8,
    "FLUX_O_TEST_NOSUB": 16,
    "FLUX_O_RPCTRACK": 32,
    "FLUX_RQ_HEAD": 1,
    "FLUX_RQ_TAIL": 2,
    "FLUX_POLLIN": 1,
    "FLUX_POLLOUT": 2,
    "FLUX_POLLERR": 4,
    "FLUX_REACTOR_NOWAIT": 1,
    "FLUX_REACTOR_ONCE": 2,
}


@pytest.mark.parametrize("name", CONSTANTS)
def test_constants_have_the_values_of_the_protocol(name):
    assert getattr(constants, name) == CONSTANTS[name]
    assert name in constants.__all__


def test_all_names_are_exported():
    assert set(constants.__all__) == {name for name in dir(constants) if name.startswith("FLUX_")}


MODULES = [
    "flux",
    "flux.constants",
    "flux.core",
    "flux.core.handle",
    "flux.core.inner",
    "flux.core.reactor",
    "flux.core.watchers",
    "flux.eventlog",
    "flux.future",
    "flux.message",
    "flux.rpc",
    "flux.wrapper",
    "_flux._core",
]


@pytest.mark.parametrize("module", MODULES)
def test_each_module_imports_alone(module):
    run(f"import {module}")


@pytest.mark.parametrize("module", MODULES)
def test_what_a_module_exports_is_there(module):
    found = importlib.import_module(module)
    for name in getattr(found, "__all__", []):
        assert hasattr(found, name)


def test_importing_loads_neither_asyncio_nor_cffi():
    unwanted = {"asyncio", "cffi", "_cffi_backend", "ssl"}
    run(f"import flux, sys; assert not {unwanted!r} & set(sys.modules)")


def test_a_handle_describes_itself(loop):
    assert repr(loop).startswith("<flux.core.")


def run(code: str, *path: Path) -> None:
    """Run code in a fresh interpreter that finds what this one does, and perhaps more."""
    entries = [os.fspath(entry) for entry in path] + [entry for entry in sys.path if entry]
    subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        check=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(entries)},
        timeout=20,
    )


class TestWithoutTheLibrary:
    """flux.core.inner and flux.wrapper import; using the library says why it cannot be used."""

    @pytest.fixture(autouse=True)
    def _no_library(self, monkeypatch):
        monkeypatch.setenv("FLUX_LIBFLUX_CORE", "/no/such/libflux-core.so.2")

    def test_constants_are_attributes_of_the_core(self):
        from flux.core.inner import Core, raw

        assert isinstance(raw, Core)
        assert raw.FLUX_MSGTYPE_ANY == raw.MSGTYPE_ANY == constants.FLUX_MSGTYPE_ANY

    @pytest.mark.parametrize("name", ["flux_open", "open", "log"])
    def test_a_function_of_the_library_is_a_clear_error(self, name):
        from flux.core.inner import lib, raw

        for source in (lib, raw):
            with pytest.raises(OSError, match="libflux-core") as caught:
                getattr(source, name)
            assert caught.value.errno in (errno.ENOSYS, errno.ENOENT)

    def test_internal_names_are_attribute_errors(self):
        from flux.core.inner import lib, raw

        for source in (lib, raw):
            assert not hasattr(source, "__wrapped__")

    def test_a_handle_takes_the_null_pointer_for_not_given(self, monkeypatch):
        from flux.core.inner import ffi

        monkeypatch.setenv("FLUX_URI", "loop://")
        assert flux.Flux(ffi.NULL, handle=ffi.NULL) is not None

    def test_a_function_that_a_handle_has_not_is_an_attribute_error(self, loop):
        with pytest.raises(AttributeError, match="flux_no_such_function"):
            _ = loop.flux_no_such_function
        assert not hasattr(loop, "no_such_function")
        assert not hasattr(loop, "__no_such_name__")


class TestPortions:
    """Other distributions add to the package; another implementation of it does not mix in."""

    def test_a_portion_without_init_is_found(self, tmp_path):
        (tmp_path / "flux").mkdir()
        (tmp_path / "flux" / "extra.py").write_text("value = 17\n")
        run("import flux.extra; assert flux.extra.value == 17", tmp_path)
        run("import sys; from flux import extra; assert extra.value == 17", tmp_path)

    def test_another_package_is_not_mixed_in(self, tmp_path):
        other = tmp_path / "flux"
        other.mkdir()
        (other / "__init__.py").write_text("")
        (other / "extra.py").write_text("")
        run(
            f"import sys; sys.path.append({os.fspath(tmp_path)!r}); import flux\n"
            "try: import flux.extra\n"
            "except ImportError: pass\n"
            "else: raise SystemExit(1)\n"
        )
