"""The binding to libflux-core on a machine without one: how it is made, found, and missed."""

from __future__ import annotations

import ctypes.util
import errno
import importlib.util
import os
import sys
from pathlib import Path
from typing import Any

import pytest

import flux
from _flux import _core

ROOT = Path(__file__).parents[1]


@pytest.fixture
def lib(monkeypatch: pytest.MonkeyPatch) -> _core.Library:
    """Return a binding that has not looked for its library yet, and will not find one."""
    monkeypatch.setenv("FLUX_LIBFLUX_CORE", "/no/such/libflux-core.so.2")
    fresh = _core.Library()
    monkeypatch.setattr(_core, "lib", fresh)
    return fresh


class TestTheGeneratedModule:
    def generate(self, path: Path) -> bytes:
        spec = importlib.util.spec_from_file_location("hatch_build", ROOT / "hatch_build.py")
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        module.generate(ROOT / "libflux.cdef", path)
        return path.read_bytes()

    def test_it_is_the_same_every_time(self, tmp_path):
        assert self.generate(tmp_path / "one.py") == self.generate(tmp_path / "two.py")

    def test_what_is_installed_is_made_from_the_declarations(self, tmp_path):
        spec = importlib.util.find_spec("_flux._libflux")
        assert spec is not None
        assert spec.origin is not None
        assert Path(spec.origin).read_bytes() == self.generate(tmp_path / "new.py")

    def test_it_has_the_constants_of_the_protocol(self):
        # Constants are in a library's name space, whatever library it is.
        libc = _core._ffi().dlopen(None)
        names = [name for name in dir(libc) if name.startswith("FLUX_")]
        assert len(names) > 30
        shared = [name for name in names if hasattr(flux.constants, name)]
        assert {name: getattr(libc, name) for name in shared} == {
            name: getattr(flux.constants, name) for name in shared
        }


class TestWithoutCffi:
    @pytest.fixture(autouse=True)
    def _without_cffi(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, "_cffi_backend", None)
        monkeypatch.delitem(sys.modules, "_flux._libflux", raising=False)

    def test_using_it_says_what_to_install(self, lib):
        for use in (lambda: lib.flux_open, lambda: _core.ffi.new("int *"), _core.library):
            with pytest.raises(OSError, match=r"pip install 'flux-core-py\[libflux\]'") as caught:
                use()
            assert caught.value.errno == errno.ENOSYS

    def test_the_null_pointer_is_there(self, monkeypatch):
        monkeypatch.setenv("FLUX_URI", "loop://")
        assert _core.ffi.NULL is None
        assert flux.Flux(_core.ffi.NULL, handle=_core.ffi.NULL) is not None


def test_without_the_generated_module_it_says_so(lib, monkeypatch):
    monkeypatch.setitem(sys.modules, "_flux._libflux", None)
    with pytest.raises(OSError, match="made when flux-core-py is built") as caught:
        _ = lib.flux_open
    assert caught.value.errno == errno.ENOSYS


class TestFindingTheLibrary:
    def refusal(self, lib: _core.Library) -> tuple[int | None, str]:
        with pytest.raises(OSError, match="libflux-core") as caught:
            _ = lib.flux_open
        # Whatever it is, it says what to do.
        assert "FLUX_LIBFLUX_CORE" in str(caught.value)
        return caught.value.errno, str(caught.value)

    def prefix(self, path: Path, library: bool = True, directory: str = "lib") -> str:
        """Make a directory tree like that of an installed flux-core; return its bin directory."""
        (path / "bin").mkdir(parents=True)
        (path / directory).mkdir(parents=True)
        (path / "bin" / "flux").touch(0o755)
        if library:
            (path / directory / "libflux-core.so.2").write_text("no library")
        return os.fspath(path / "bin")

    def test_a_file_that_does_not_exist(self, lib):
        code, text = self.refusal(lib)
        assert code == errno.ENOENT
        assert "/no/such/libflux-core.so.2" in text
        assert "named by FLUX_LIBFLUX_CORE" in text

    def test_a_file_that_is_no_library(self, lib, monkeypatch):
        monkeypatch.setenv("FLUX_LIBFLUX_CORE", __file__)
        code, text = self.refusal(lib)
        assert code == errno.ENOSYS
        assert f"{__file__} (named by FLUX_LIBFLUX_CORE) cannot be loaded: invalid ELF" in text

    def test_another_library(self, lib, monkeypatch):
        monkeypatch.setenv("FLUX_LIBFLUX_CORE", str(ctypes.util.find_library("c")))
        code, text = self.refusal(lib)
        assert code == errno.ENOSYS
        assert "is not libflux-core: it has no flux_core_version" in text

    @pytest.mark.parametrize("directory", ["lib", "lib64"])
    def test_that_of_the_flux_command(self, lib, monkeypatch, tmp_path, directory):
        monkeypatch.delenv("FLUX_LIBFLUX_CORE")
        monkeypatch.setenv("PATH", self.prefix(tmp_path, directory=directory))
        code, text = self.refusal(lib)
        assert code == errno.ENOSYS
        assert f"{tmp_path}/{directory}/libflux-core.so.2 (beside {tmp_path}/bin/flux)" in text

    def test_a_command_without_library_is_passed_over(self, lib, monkeypatch, tmp_path):
        # That is what the development broker's command is.
        monkeypatch.delenv("FLUX_LIBFLUX_CORE")
        ours = self.prefix(tmp_path / "ours", library=False)
        theirs = self.prefix(tmp_path / "theirs")
        monkeypatch.setenv("PATH", os.pathsep.join((ours, theirs)))
        assert f"(beside {theirs}/flux)" in self.refusal(lib)[1]

    def test_that_of_a_command_behind_a_link(self, lib, monkeypatch, tmp_path):
        monkeypatch.delenv("FLUX_LIBFLUX_CORE")
        real = self.prefix(tmp_path / "real")
        (tmp_path / "bin").mkdir()
        (tmp_path / "bin" / "flux").symlink_to(f"{real}/flux")
        monkeypatch.setenv("PATH", os.fspath(tmp_path / "bin"))
        assert f"{tmp_path}/real/lib/libflux-core.so.2" in self.refusal(lib)[1]

    def test_one_that_is_too_old(self):
        old = _core.Found("/usr/lib/libflux-core.so.2", (0, 41, 9), "0.41.9-3-gabc")
        with pytest.raises(OSError, match=r"0.41.9-3-gabc from /usr/lib/.* is older than 0.42.0"):
            _core.check_version(old)
        _core.check_version(old._replace(version=(0, 42, 0)))

    def test_internal_names_do_not_look_for_it(self, lib):
        assert not hasattr(lib, "__wrapped__")


class TestURIs:
    @pytest.fixture(autouse=True)
    def _no_library(self, lib: _core.Library, monkeypatch: pytest.MonkeyPatch) -> None:
        # Imported before, the connector would have another one.
        monkeypatch.delitem(sys.modules, "flux._libflux", raising=False)

    def test_an_unknown_scheme_is_an_unknown_connector(self):
        with pytest.raises(OSError, match="Unable to find connector name 'shmem'") as caught:
            flux.Flux("shmem://17")
        assert caught.value.errno == errno.ENOENT
        assert "FLUX_LIBFLUX_CORE" in str(caught.value)

    def test_asking_for_the_library_says_that_it_is_not_there(self):
        with pytest.raises(OSError, match=r"/no/such/.* cannot be loaded") as caught:
            flux.Flux("libflux+local:///tmp/x")
        assert caught.value.errno == errno.ENOENT
        assert "Unable to find connector" not in str(caught.value)

    def test_the_environment_can_ask_for_it(self, monkeypatch):
        assert flux.Flux("loop://") is not None
        monkeypatch.setenv("FLUX_HANDLE_CONNECTOR", "libflux")
        with pytest.raises(OSError, match="cannot be loaded"):
            flux.Flux("loop://")

    def test_the_environment_cannot_ask_for_what_there_is_not(self, monkeypatch):
        monkeypatch.setenv("FLUX_HANDLE_CONNECTOR", "zeromq")
        with pytest.raises(OSError, match="FLUX_HANDLE_CONNECTOR=zeromq") as caught:
            flux.Flux("loop://")
        assert caught.value.errno == errno.EINVAL


class TestNativeObjects:
    """Handles, messages and futures that are not C objects."""

    def test_a_handle_says_how_to_get_one_for_c(self, loop):
        with pytest.raises(AttributeError, match=r"open it as libflux\+URI"):
            _ = loop.handle
        assert not hasattr(loop, "handle")

    @pytest.mark.parametrize("handle", [17, "loop://", object()])
    def test_a_handle_is_made_of_nothing_else(self, handle):
        with pytest.raises(TypeError, match=r"expected a 'flux_t \*' or a connector"):
            flux.Flux(handle=handle)

    def test_a_message_is_made_of_nothing_else(self):
        with pytest.raises(TypeError, match=r"expected a 'flux_msg_t \*' or a Message"):
            flux.Message(handle=b"x")

    def test_a_pointer_of_another_type_is_refused(self):
        ffi = _core._ffi()
        with pytest.raises(TypeError, match=r"expected a 'flux_t \*'.*ffi.cast"):
            flux.Flux(handle=ffi.new("int *"))

    def test_a_null_pointer_stands_for_not_given(self, monkeypatch):
        monkeypatch.setenv("FLUX_URI", "loop://")
        null: Any = _core._ffi().NULL
        assert flux.Flux(null, handle=null) is not None

    def test_wrong_arguments_are_told_as_by_the_official_bindings(self, loop):
        from flux.wrapper import InvalidArguments, WrongNumArguments

        with pytest.raises(WrongNumArguments, match="takes 2 arguments and got 1"):
            loop.request_encode(17)
        with pytest.raises(InvalidArguments, match="the topic is not a string"):
            loop.request_encode(17, {})
