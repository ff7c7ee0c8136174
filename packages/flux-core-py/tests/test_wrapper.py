"""Calling C functions by name, with the C library that every program has."""

from __future__ import annotations

import errno
import gc
import os
import weakref
from typing import Any

import pytest
from cffi import FFI

import flux
from flux.wrapper import (
    InvalidArguments,
    MissingFunctionError,
    Wrapper,
    WrapperBase,
    WrongNumArguments,
)

ffi = FFI()
ffi.cdef(
    """
    #define SEEK_END 2
    typedef struct file FILE;
    int setenv(const char *name, const char *value, int overwrite);
    char *getenv(const char *name);
    char *strdup(const char *text);
    unsigned long strlen(const char *text);
    int open(const char *path, int flags);
    int close(int fd);
    int getpid(void);
    int snprintf(char *buffer, size_t size, const char *format, ...);
    FILE *fopen(const char *path, const char *mode);
    int fclose(FILE *stream);
    int fseek(FILE *stream, long offset, int whence);
    long ftell(FILE *stream);
    int no_such_function(void);
    """
)
libc: Any = ffi.dlopen(None)
FILE = ffi.typeof("FILE *")


@pytest.fixture
def c() -> Wrapper:
    return Wrapper(ffi, libc, prefixes=["str", "SEEK_"])


class Stream(Wrapper):
    """A file of the C library."""

    def __init__(self, handle: Any = None, **options: Any) -> None:
        super().__init__(ffi, libc, handle, FILE, prefixes=["f"], **options)


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "file"
    path.write_text("0123456789")
    return os.fspath(path)


class TestArgumentsAndResults:
    def test_a_str_becomes_utf8_and_text_becomes_bytes(self, c, monkeypatch):
        monkeypatch.setenv("FLUX_TEST_WRAPPER", "grüße")
        assert c.getenv("FLUX_TEST_WRAPPER") == "grüße".encode()
        assert c.getenv(b"FLUX_TEST_WRAPPER") == "grüße".encode()
        assert c.strlen("grüße") == 7

    def test_bytes_that_are_not_utf8_pass_through(self, c):
        assert c.strlen(os.fsdecode(b"a\xffb")) == 3

    def test_a_null_pointer_without_errno_is_none(self, c):
        assert c.getenv("FLUX_TEST_NOT_SET") is None

    def test_none_is_the_null_pointer(self, c):
        assert c.snprintf(None, 0, "twelve chars") == 12

    def test_a_wrapper_passes_its_handle(self, path):
        c = Wrapper(ffi, libc)
        with Stream(libc.fopen(path.encode(), b"r"), destructor=libc.fclose) as stream:
            assert c.fseek(stream, 0, c.SEEK_END) == 0
            assert c.ftell(stream) == 10

    def test_further_arguments_of_a_variadic_function(self, c):
        buffer = ffi.new("char[]", 32)
        assert c.snprintf(buffer, 32, "%d-%s", ffi.cast("int", 7), "ä") == 4
        assert ffi.string(buffer) == "7-ä".encode()

    def test_an_error_is_an_oserror(self, c):
        with pytest.raises(FileNotFoundError, match="ENOENT: No such file"):
            c.open("/no/such/file", os.O_RDONLY)
        with pytest.raises(OSError, match="EBADF") as caught:
            c.close(-1)
        assert caught.value.errno == errno.EBADF

    def test_an_old_errno_is_no_error(self, c):
        ffi.errno = errno.EIO
        assert c.getenv("FLUX_TEST_NOT_SET") is None
        assert c.getpid() == os.getpid()

    @pytest.mark.parametrize("args", [(), ("a", "b")])
    def test_a_wrong_number_of_arguments(self, c, args):
        with pytest.raises(WrongNumArguments, match=rf"getenv takes 1 .* got {len(args)}"):
            c.getenv(*args)

    @pytest.mark.parametrize("arg", [17, 1.5, {}, object()])
    def test_an_argument_of_a_wrong_type(self, c, arg):
        with pytest.raises(InvalidArguments, match=r"char \*getenv\(char \*\)"):
            c.getenv(arg)

    def test_a_number_out_of_range(self, c):
        with pytest.raises(InvalidArguments, match="close"):
            c.close(1 << 40)

    def test_a_handle_without_c_object_says_why_not(self, c, loop):
        with pytest.raises(InvalidArguments, match=r"open it as libflux\+URI"):
            c.strlen(loop)


class TestNames:
    def test_prefixes_are_added(self, c):
        assert c.len("abc") == c.strlen("abc") == 3

    def test_constants(self, c):
        assert c.END == c.SEEK_END == 2

    def test_a_function_that_does_not_exist_helps(self, c):
        with pytest.raises(MissingFunctionError, match=r"did you mean .*getenv") as caught:
            c.get_env("X")
        assert "no C function get_env or strget_env" in str(caught.value)

    def test_one_that_the_library_lacks(self, c):
        with pytest.raises(MissingFunctionError, match="no_such_function"):
            c.no_such_function()

    def test_internal_names_are_no_functions(self, c):
        assert not hasattr(c, "__wrapped__")
        assert not hasattr(c, "_repr_html_")

    def test_a_constructor_that_has_not_run_is_no_endless_recursion(self):
        with pytest.raises(AttributeError, match="lib"):
            _ = Wrapper.__new__(Wrapper).lib
        with pytest.raises(TypeError, match="missing"):
            Wrapper()  # type: ignore[call-arg]


class TestHandles:
    def test_functions_of_its_type_get_it(self, path):
        with Stream(libc.fopen(path.encode(), b"r"), destructor=libc.fclose) as stream:
            assert stream.seek(4, 0) == 0
            assert stream.ftell() == 4
            with pytest.raises(WrongNumArguments, match="ftell takes 0 arguments and got 1"):
                stream.ftell(1)

    def test_others_are_masked_if_asked_for(self, path):
        with Stream(libc.fopen(path.encode(), b"r"), destructor=libc.fclose) as stream:
            with pytest.raises(AttributeError, match="masks function getpid"):
                stream.getpid()
            stream.filter_match = False
            assert stream.getpid() == os.getpid()

    def test_without_one_all_arguments_are_given(self, path):
        stream = Stream()
        stream.handle = stream.fopen(path, "r")
        assert stream.tell() == 0
        libc.fclose(stream.handle)

    def test_one_that_was_taken_away(self, path):
        with Stream(libc.fopen(path.encode(), b"r"), destructor=libc.fclose) as stream:
            tell = stream.tell
            assert tell() == 0
        with pytest.raises(ValueError, match=r"cached, bound method .* NULL handle"):
            tell()

    def test_one_of_another_type_is_refused(self):
        stream = Stream()
        with pytest.raises(TypeError, match=r"Invalid handle .* handle type .*FILE"):
            stream.handle = ffi.new("int *")
        with pytest.raises(TypeError):
            stream.handle = 17


class TestDestructors:
    """Each handle is destroyed once, and as soon as nothing refers to its wrapper."""

    @pytest.fixture
    def one(self):
        return ffi.cast("FILE *", 0x10)

    @pytest.fixture
    def two(self):
        return ffi.cast("FILE *", 0x20)

    def test_when_the_wrapper_goes_away(self, one):
        gone: list[Any] = []
        stream = Stream(one, destructor=gone.append)
        stream.tell, stream.seek  # noqa: B018 - looking functions up must not keep it
        watch = weakref.ref(stream)
        gc.disable()
        try:
            del stream
            assert watch() is None
        finally:
            gc.enable()
        assert gone == [one]

    def test_at_the_end_of_a_context(self, one):
        gone: list[Any] = []
        with Stream(one, destructor=gone.append) as stream:
            assert gone == []
        assert gone == [one]
        assert stream.handle is None
        del stream
        assert gone == [one]

    def test_when_it_is_replaced(self, one, two):
        gone: list[Any] = []
        stream = Stream(one, destructor=gone.append)
        stream.handle = two
        assert gone == [one]
        stream.handle = None
        assert gone == [one, two]

    def test_without_destructor_it_stays(self, one):
        with Stream(one) as stream:
            pass
        assert stream.handle == one


class TestKinds:
    def test_handles_are_wrappers_without_paying_for_it(self, loop):
        assert isinstance(loop, Wrapper)
        assert issubclass(flux.Flux, Wrapper)
        # What each access to an attribute would pay for.
        assert not hasattr(flux.Flux, "__getattr__")

    def test_wrappers_are_told_from_other_things(self, c):
        assert isinstance(c, WrapperBase)
        assert not isinstance(object(), Wrapper)
