"""Calling C functions by name: `Wrapper`, and the errors it raises.

On this implementation a handle, a message or a future is a Python object and needs no library.
What a `Wrapper` wraps is any C library that cffi has opened; `flux.core.inner.raw` is one for
libflux-core, and so is a handle that goes through that library.
"""

from __future__ import annotations

import errno
import os
import sys
from abc import ABCMeta
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Any, Callable

from flux._exceptions import reduce_exception

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = [
    "FunctionWrapper",
    "InvalidArguments",
    "MissingFunctionError",
    "Pimpl",
    "Wrapper",
    "WrapperBase",
    "WrongNumArguments",
]

_SIGNED = ("char", "short", "int", "long", "long long", "int32_t", "int64_t", "ssize_t")
_PREFIXES = ("flux_msg_", "flux_rpc_", "flux_future_")


class MissingFunctionError(Exception):
    """A function was called that the library, or what is known of it, has not.

    Args:
        name: The name that was looked up.
        names: The names that a function of the library could have had.
        known: All names that there are.
    """

    def __init__(self, name: str, names: list[str], known: list[str]) -> None:
        # Not needed by anything else that `import flux` brings.
        import difflib

        text = f"{name}() does not exist: there is no C function {' or '.join(names)}"
        near = [
            found
            for candidate in reversed(names)
            for found in difflib.get_close_matches(candidate, known, 3, 0.75)
        ]
        if near:
            text += f"; did you mean {', '.join(dict.fromkeys(near[:3]))}?"
        super().__init__(text)

    __reduce__ = reduce_exception


class WrongNumArguments(ValueError):  # noqa: N818 - the name of the official bindings
    """A function was called with more or fewer arguments than it has.

    Args:
        name: The function's name.
        signature: How it is declared.
        expected: How many arguments it takes.
        received: What was passed.
    """

    def __init__(self, name: str, signature: str, expected: int, received: tuple[Any, ...]) -> None:
        super().__init__(
            f"{name} takes {expected} arguments and got {len(received)}: {received!r}; "
            f"it is declared {signature}"
        )

    __reduce__ = reduce_exception


class InvalidArguments(ValueError, TypeError):  # noqa: N818 - the name of the official bindings
    """A function was called with an argument that it cannot take.

    Args:
        name: The function's name.
        signature: How it is declared.
        received: What was passed.
        reason: What is wrong with it.
    """

    def __init__(self, name: str, signature: str, received: tuple[Any, ...], reason: str) -> None:
        super().__init__(f"{name}{received!r}: {reason}; it is declared {signature}")

    __reduce__ = reduce_exception


def is_null(value: object) -> bool:
    """Return True for a null pointer of cffi, without loading cffi to find out."""
    backend = sys.modules.get("_cffi_backend")
    return backend is not None and isinstance(value, backend.FFI.CData) and not value


class FunctionWrapper:
    """A C function that takes and returns what is natural in Python.

    A str becomes UTF-8, None the null pointer, a wrapper its handle.  A null pointer becomes None,
    and a ``char *`` bytes.  A null pointer or a negative number with errno set becomes OSError.

    Args:
        fun: The function, from cffi.
        name: How it is called, for messages.
        function_type: Its type, as ``ffi.typeof`` gives it.
        ffi: The cffi interface that it is from.
        add_handle: Whether the caller's handle is its first argument.
    """

    def __init__(
        self, fun: Any, name: str, function_type: Any, ffi: Any, add_handle: bool = False
    ) -> None:
        self.fun = fun
        self.name = name
        self.function_type = function_type
        self.ffi = ffi
        self.add_handle = add_handle
        self._pointers = [
            i
            for i, argument in enumerate(function_type.args)
            if argument.kind in ("pointer", "array", "function")
        ]
        result = function_type.result
        self._text = result.kind == "pointer" and result.item is ffi.typeof("char")
        self.is_error: Callable[[Any], bool] = _never
        if result.kind in ("pointer", "array"):
            self.is_error = _is_none
        elif any(result is ffi.typeof(name) for name in _SIGNED):
            self.is_error = _is_negative

    def set_error_check(self, fun: Callable[[Any], bool]) -> None:
        """Have ``fun(result)`` tell whether a result is an error if errno is set as well."""
        self.is_error = fun

    def __call__(self, caller: Wrapper, *args_in: Any) -> Any:
        """Call the function.

        Args:
            caller: The wrapper whose handle it gets.
            *args_in: The other arguments.

        Raises:
            WrongNumArguments: There are more or fewer of them than declared.
            InvalidArguments: One of them is of a wrong type.
            ValueError: The caller's handle is gone.
            OSError: The function reports an error.
        """
        args = list(args_in)
        if self.add_handle:
            handle = caller.handle
            if handle is None:
                raise ValueError(
                    f"Attempting to call a cached, bound method that requires a handle, {self.name}"
                    ", with a NULL handle: it has been closed or taken away"
                )
            args.insert(0, handle)
        declared = self.function_type
        expected = len(declared.args)
        if len(args) < expected or (len(args) > expected and not declared.ellipsis):
            own = 1 if self.add_handle else 0
            raise WrongNumArguments(self.name, self._signature(), expected - own, args_in)
        try:
            for i in range(expected, len(args)):
                value = self._pointer(args[i])
                # Without a declared type there is nothing that cffi could convert bytes to.
                args[i] = self.ffi.new("char[]", value) if isinstance(value, bytes) else value
            for i in self._pointers:
                args[i] = self._pointer(args[i])
            self.ffi.errno = 0
            result = self.fun(*args)
            code = self.ffi.errno
        except (AttributeError, OverflowError, TypeError) as exc:
            raise InvalidArguments(self.name, self._signature(), args_in, str(exc)) from exc
        if declared.result.kind == "pointer":
            if result == self.ffi.NULL:
                result = None
            elif self._text:
                result = self.ffi.string(result)
        if self.is_error(result) and code:
            raise OSError(code, f"{errno.errorcode.get(code, code)}: {os.strerror(code)}")
        return result

    def _signature(self) -> str:
        declared = self.function_type
        args = [argument.cname for argument in declared.args]
        if declared.ellipsis:
            args.append("...")
        result = declared.result.cname
        space = "" if result.endswith("*") else " "
        return f"{result}{space}{self.name}({', '.join(args)})"

    def _pointer(self, value: Any) -> Any:
        if isinstance(value, str):
            return value.encode("utf-8", "surrogateescape")
        if not isinstance(value, self.ffi.CData) and hasattr(type(value), "handle"):
            value = value.handle
        return self.ffi.NULL if value is None else value


def _never(result: Any) -> bool:
    return False


def _is_none(result: Any) -> bool:
    return result is None


def _is_negative(result: Any) -> bool:
    return bool(result < 0)


class WrapperBase:
    """Something that has a handle for C functions.

    Attributes:
        handle: The cffi object, or None.
    """

    handle: Any = None


class Wrapper(WrapperBase, metaclass=ABCMeta):
    """The functions and constants of a C library as attributes.

    An attribute that is not found otherwise is looked up in the library, as it is and with each of
    the prefixes.  A function becomes a method, as `FunctionWrapper` describes; if its first
    argument is of the handle's type, it gets the handle.  Calling one that does not exist raises
    `MissingFunctionError`.

    Example:
        >>> ffi.cdef("char *getenv(const char *name);")
        >>> Wrapper(ffi, ffi.dlopen(None)).getenv("HOME")
        b'/home/lamport'

    Args:
        ffi: The cffi interface.
        lib: The library, from cffi.
        handle: The cffi object to pass; None for none.
        match: The handle's type, as ``ffi.typeof`` gives it.
        filter_match: While there is a handle, refuse functions that do not take it.
        prefixes: What may be left off the names of functions.
        destructor: Called with the handle when the wrapper goes away, gets another handle, or ends
            as a context.
    """

    _handle: Any = None
    destructor: Callable[[Any], Any] | None = None

    def __init__(
        self,
        ffi: Any,
        lib: Any,
        handle: Any = None,
        match: Any = None,
        filter_match: bool = True,
        prefixes: list[str] | tuple[str, ...] = (),
        destructor: Callable[[Any], Any] | None = None,
    ) -> None:
        self.ffi = ffi
        self.lib = lib
        self.match = match
        self.filter_match = filter_match
        self.prefixes = prefixes
        self.destructor = destructor
        self._handle = handle
        # Not as attributes: a bound method among them would keep the wrapper from going away.
        self._functions: dict[str, FunctionWrapper] = {}

    @property
    def handle(self) -> Any:
        """The cffi object, or None.  Assigning another one destroys it.

        Raises:
            TypeError: On assigning, what is assigned is of another type.
        """
        return self._handle

    @handle.setter
    def handle(self, value: Any) -> None:
        if value is not None and self.match is not None and self.ffi.typeof(value) != self.match:
            raise TypeError(
                f"Invalid handle {value} of type {self.ffi.typeof(value)} assigned to wrapper with "
                f"handle type {self.match}"
            )
        self._clear()
        self._handle = value

    def check_handle(self, name: str, fun_type: Any) -> bool:
        """Return whether a function gets the handle.

        Raises:
            AttributeError: It does not, and the wrapper has only those that do.
        """
        if self.match is None or self._handle is None:
            return False
        if fun_type.args and fun_type.args[0] == self.match:
            return True
        if self.filter_match:
            raise AttributeError(
                f"Flux Wrapper object {self} masks function {name} type: {fun_type} "
                f"match: {self.match}"
            )
        return False

    def check_wrap(self, fun: Any, name: str) -> FunctionWrapper:
        """Return what calls a function; for subclasses that want to change how."""
        fun_type = self.ffi.typeof(fun)
        return FunctionWrapper(fun, name, fun_type, self.ffi, self.check_handle(name, fun_type))

    def __getattr__(self, name: str) -> Any:
        # Not set is one that the constructor has not run for.
        if name.startswith("_") or name in ("ffi", "lib", "match", "filter_match", "prefixes"):
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        function = self._functions.get(name)
        if function is None:
            names = [name]
            if not name.startswith(tuple(self.prefixes)):
                names += [prefix + name for prefix in self.prefixes]
            for candidate in names:
                try:
                    value = getattr(self.lib, candidate)
                except AttributeError:
                    continue
                if not callable(value):
                    return value
                function = self._functions[name] = self.check_wrap(value, candidate)
                break
            else:
                return partial(_missing, name, names, self.lib)
        return partial(function, self)

    def _clear(self) -> None:
        handle = self._handle
        if handle is not None and self.destructor is not None:
            self._handle = None
            self.destructor(handle)

    def __del__(self) -> None:
        self._clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        self._clear()


def _missing(name: str, names: list[str], lib: Any, *args: Any) -> None:
    raise MissingFunctionError(name, names, dir(lib))


class Pimpl:
    """The C library's names for what a message or future does, as in ``rpc.pimpl.get_matchtag()``.

    ``set_NAME(value)`` assigns the attribute NAME; any other name is that of a method.
    """

    def __init__(self, wrapped: Any) -> None:
        self._wrapped = wrapped

    @property
    def handle(self) -> Any:
        """As the attribute of the message or future."""
        return self._wrapped.handle

    @handle.setter
    def handle(self, value: Any) -> None:
        self._wrapped.handle = value

    def __getattr__(self, name: str) -> Any:
        short = name
        for prefix in _PREFIXES:
            short = short.removeprefix(prefix)
        wrapped = self._wrapped
        if short.startswith("set_") and not hasattr(wrapped, short):
            return lambda value: setattr(wrapped, short[4:], value)
        try:
            return getattr(wrapped, short)
        except AttributeError:
            kind = type(wrapped).__name__
            raise AttributeError(
                f"the pimpl of a {kind} masks function {name}: it has only what a {kind} does"
            ) from None
