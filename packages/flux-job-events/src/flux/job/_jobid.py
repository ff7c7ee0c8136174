"""The type of job ids."""

from __future__ import annotations

from typing import Any

from flux.job._fluid import id_encode, id_parse

__all__ = ["JobID", "id_encode", "id_parse", "no_jobid"]

_MAX = (1 << 64) - 1


class JobID(int):
    """A job id: an int that knows its encodings (RFC 19, flux-job(1)).

    Example:
        >>> JobID("ƒGeKRU3")
        JobID(10267656192)
        >>> print(JobID(10267656192).dothex)
        0000.0002.6400.0000

    Args:
        value: A number or a string: decimal, hexadecimal with ``0x``, four groups of hexadecimal
            digits with or without ``job.``, base 58 with ``ƒ`` or ``f``, words, or emoji.

    Raises:
        ValueError: The string is not a job id, or the number not one of 64 bits: 0 to 2**64 - 1.
        TypeError: It is neither a number nor a string.
    """

    #: The text, or the text of the number, that the id was made from.
    orig_str: str

    def __new__(cls, value: int | str) -> JobID:  # noqa: PYI034
        if isinstance(value, JobID):
            self = super().__new__(cls, int(value))
            self.orig_str = value.orig_str
            return self
        if isinstance(value, int):
            if isinstance(value, bool) or not 0 <= value <= _MAX:
                raise ValueError(f"{value!r} is not a job id: that is a number from 0 to 2**64 - 1")
            number = value
        elif isinstance(value, str):
            try:
                number = id_parse(value)
            except OSError:
                raise ValueError(f"{value} is not a valid Flux jobid") from None
        else:
            raise TypeError(f"a job id is an int or a str, not {type(value).__name__}")
        self = super().__new__(cls, number)
        self.orig_str = str(value)
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        return _restore, (type(self), int(self)), self.__dict__

    def encode(self, encoding: str = "dec") -> str:
        """Return the id in an encoding.

        Args:
            encoding: ``dec``, ``hex``, ``dothex``, ``kvs``, ``f58``, ``f58plain``, ``words`` or
                ``emoji``.

        Raises:
            OSError: EPROTO, unknown encoding; EOVERFLOW, the number exceeds 64 bits.
        """
        return id_encode(self, encoding)

    @property
    def dec(self) -> str:
        """The id as a decimal number."""
        return self.encode()

    @property
    def f58(self) -> str:
        """The id in base 58, with ``f`` for ``ƒ`` where the locale is not UTF-8."""
        return self.encode("f58")

    @property
    def f58plain(self) -> str:
        """The id in base 58, with ``f``."""
        return self.encode("f58plain")

    @property
    def hex(self) -> str:
        """The id as a hexadecimal number with ``0x``."""
        return self.encode("hex")

    @property
    def dothex(self) -> str:
        """The id as four groups of hexadecimal digits."""
        return self.encode("dothex")

    @property
    def words(self) -> str:
        """The id as words."""
        return self.encode("words")

    @property
    def emoji(self) -> str:
        """The id as emoji."""
        return self.encode("emoji")

    @property
    def kvs(self) -> str:
        """The job's directory in the KVS (RFC 16)."""
        return self.encode("kvs")

    @property
    def orig(self) -> str:
        """The text that the id was made from, or that of the number."""
        return self.orig_str

    def __str__(self) -> str:
        return self.f58

    def __repr__(self) -> str:
        return f"JobID({int(self)})"


def no_jobid() -> JobID:
    """Return -1, which stands for no job where an id is expected."""
    jobid = _restore(JobID, -1)
    jobid.orig_str = "-1"
    return jobid


def _restore(cls: type[JobID], number: int) -> JobID:
    """Make a job id without a look at the number, and without ``orig_str``."""
    return int.__new__(cls, number)
