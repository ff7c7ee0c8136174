"""The binding to the libflux-core of the machine: ``ffi`` and ``lib``.

Importing this module loads nothing.  ``ffi`` needs the cffi package, ``lib`` also the library,
which is looked for when a name is first taken from it: the file that the environment variable
FLUX_LIBFLUX_CORE names; or else the library that belongs to the first ``flux`` on PATH that has
one; or else what the dynamic loader finds.  `library` tells which it was.
"""

from __future__ import annotations

import errno
import os
import sys
import sysconfig
from typing import TYPE_CHECKING, Any, NamedTuple

import flux._ours  # noqa: F401 - refuses another flux

__all__ = ["ffi", "lib", "library"]

if TYPE_CHECKING:
    ffi: Any  # found on first use, so that importing this module does not load cffi

#: The library's file name; the number changes with its binary interface.
SONAME = "libflux-core.so.2"

#: The environment variable that names the library file to use.
VARIABLE = "FLUX_LIBFLUX_CORE"

#: The oldest release that has every function that `flux._libflux` needs: flux_open_ex came then.
OLDEST = (0, 42, 0)

_ADVICE = (
    f"have {VARIABLE} name the {SONAME} of flux-core {OLDEST[0]}.{OLDEST[1]} or later, or have the "
    "flux command of its installation on PATH"
)
_MISSING = "install it with: pip install 'flux-core-py[libflux]'"


class Found(NamedTuple):
    """The library in use.

    Attributes:
        path: Its file.
        version: What flux_core_version(3) says: major, minor and patch.
        text: What flux_core_version_string(3) says.
    """

    path: str
    version: tuple[int, int, int]
    text: str

    def __str__(self) -> str:
        return f"libflux-core {self.text} from {self.path}"


class _MissingFFI:
    """Stands for ``ffi`` where there is none, for code that only passes on ``ffi.NULL``."""

    #: The null pointer, which stands for "not given" in argument lists.
    NULL = None

    def __init__(self, reason: str) -> None:
        self._reason = reason

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        raise OSError(errno.ENOSYS, f"ffi.{name}: {self._reason}")


class Library:
    """The functions and constants of libflux-core, which is loaded when the first one is asked for.

    Raises:
        OSError: On taking a name: ENOENT, there is no such library; ENOSYS, it, or the binding to
            it, cannot be used.
    """

    _found: Found | None = None

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        handle = self._load(name)
        try:
            value = getattr(handle, name)
        except (AttributeError, _ffi().error):
            import difflib

            near = difflib.get_close_matches(name, dir(handle), 3, 0.75)
            if name in near:
                text = f"{self._found} lacks {name}"
            elif near:
                text = f"no {name} in libflux-core; did you mean {', '.join(near)}?"
            else:
                text = f"no {name} among the declarations that flux-core-py has of libflux-core"
            raise AttributeError(text) from None
        # The next look-up finds it at once.
        setattr(self, name, value)
        return value

    def __dir__(self) -> list[str]:
        return dir(self._load("dir(lib)"))

    def _load(self, wanted: str) -> Any:
        handle = self.__dict__.get("_handle")
        if handle is None:
            binding = _ffi()
            if isinstance(binding, _MissingFFI):
                raise OSError(errno.ENOSYS, f"{wanted} is in libflux-core: {binding._reason}")
            try:
                self._found, handle = _open(binding)
            except OSError as exc:
                raise OSError(
                    exc.errno, f"{wanted} is in libflux-core, and {exc.strerror}"
                ) from None
            self._handle = handle
        return handle


def library() -> Found:
    """Return which library is in use, loading it if that has not happened yet.

    Raises:
        OSError: There is none; see `Library`.
    """
    lib._load("library()")
    assert lib._found is not None
    return lib._found


def check_pointer(value: object, ctype: str, or_else: str) -> None:
    """Check that a value is a pointer of a certain type, without loading cffi to find out.

    Args:
        value: The value.
        ctype: The type's name in libflux.cdef.
        or_else: What else it could have been, for the message.

    Raises:
        TypeError: It is something else.
    """
    backend = sys.modules.get("_cffi_backend")
    if backend is None or not isinstance(value, backend.FFI.CData):
        raise TypeError(f"expected a '{ctype}' or {or_else}, not {value!r}")
    binding = _ffi()
    if binding.typeof(value) is not binding.typeof(ctype):
        raise TypeError(
            f"expected a '{ctype}' or {or_else}, not {value!r}; if it is one by another name, use "
            f"_flux._core.ffi.cast({ctype!r}, ...)"
        )


def _ffi() -> Any:
    """Return cffi's view of the declarations, or what stands for it."""
    try:
        from _flux._libflux import ffi as binding
    except ModuleNotFoundError as exc:
        if exc.name == "_cffi_backend":
            return _MissingFFI(f"the cffi package is not installed; {_MISSING}")
        # A source tree on the path is no installation.
        return _MissingFFI(
            "the module _flux._libflux, which is made when flux-core-py is built or installed, is "
            f"not there; {_MISSING}"
        )
    return binding


def _candidate() -> tuple[str, str]:
    """Return what to load, and why that."""
    explicit = os.environ.get(VARIABLE)
    if explicit:
        return explicit, f"named by {VARIABLE}"
    multiarch = sysconfig.get_config_var("MULTIARCH")
    directories = ("lib", "lib64", *((f"lib/{multiarch}",) if multiarch else ()))
    for entry in os.get_exec_path():
        command = os.path.join(entry, "flux")
        if not os.access(command, os.X_OK):
            continue
        # As it is reached, and as it is: a link may lead from a common place into a prefix.
        for path in (os.path.abspath(command), os.path.realpath(command)):
            prefix = os.path.dirname(os.path.dirname(path))
            for directory in directories:
                file = os.path.join(prefix, directory, SONAME)
                # There is none beside the `flux` command of the development broker.
                if os.path.exists(file):
                    return file, f"beside {command}"
    return SONAME, "no flux command on PATH has one beside it"


def _open(binding: Any) -> tuple[Found, Any]:
    path, why = _candidate()
    known = os.path.exists(path)
    try:
        # The loader searches for a name without a slash, even if there is such a file here.
        handle = binding.dlopen(os.path.abspath(path) if known else path)
    except OSError as exc:
        # Its text may be preceded by a description of the same path.
        reason = str(exc).rpartition(f"{path}: ")[2]
        raise OSError(
            errno.ENOSYS if known else errno.ENOENT,
            f"{path} ({why}) cannot be loaded: {reason}; {_ADVICE}",
        ) from None
    numbers = [binding.new("int *") for _ in range(3)]
    try:
        handle.flux_core_version(*numbers)
        text = binding.string(handle.flux_core_version_string()).decode("utf-8", "replace")
    except (AttributeError, binding.error):
        raise OSError(
            errno.ENOSYS,
            f"{path} ({why}) is not libflux-core: it has no flux_core_version; {_ADVICE}",
        ) from None
    version = (numbers[0][0], numbers[1][0], numbers[2][0])
    found = Found(path if known else _mapped(path), version, text)
    check_version(found)
    return found, handle


def check_version(found: Found) -> None:
    """Refuse a library that lacks what `flux._libflux` needs.

    Raises:
        OSError: ENOSYS, it is older than `OLDEST`.
    """
    if found.version < OLDEST:
        oldest = ".".join(map(str, OLDEST))
        raise OSError(errno.ENOSYS, f"{found} is older than {oldest}; {_ADVICE}")


def _mapped(name: str) -> str:
    """Return the file of a loaded library, as far as the system tells."""
    try:
        with open("/proc/self/maps", encoding="utf-8", errors="surrogateescape") as maps:
            for line in maps:
                path = line.rstrip("\n").partition("/")[2]
                if os.path.basename(path).startswith(name):
                    return f"/{path}"
    except OSError:
        pass
    return name


def __getattr__(name: str) -> Any:
    if name == "ffi":
        return _ffi()
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


lib = Library()
