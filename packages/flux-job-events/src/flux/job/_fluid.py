"""Job ids as text (RFC 19, flux-job(1)): decimal, hexadecimal, base 58, words and emoji.

An id is a 64-bit number: 40 bits of milliseconds since the instance's first start, 14 bits that
tell generators apart, and 10 bits of sequence.
"""

from __future__ import annotations

import errno
import locale
import os
import re
from collections.abc import Sequence

__all__ = ["id_encode", "id_parse"]

_BASE58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
_BASE58_DIGITS = {char: value for value, char in enumerate(_BASE58)}

#: More digits than these are refused; the number of 12 digits is cut to 64 bits.
_MAX_BASE58 = 12
_MAX_EMOJI = 7
_MAX_DIGITS = 4000

_MASK = (1 << 64) - 1
_HALF = 1 << 32

_DEC = re.compile(r"\+?[0-9]+", re.ASCII)
_HEX = re.compile(r"0x[0-9a-f]+", re.ASCII | re.IGNORECASE)
_DOTHEX = re.compile(r"[0-9a-f]{1,4}(\.[0-9a-f]{1,4}){3}", re.ASCII | re.IGNORECASE)
_WORD = re.compile("[a-z]+", re.IGNORECASE)


def id_parse(jobid_str: str) -> int:
    """Return the number that a string stands for, in any encoding.

    Args:
        jobid_str: The string; white space around it is ignored.

    Raises:
        OSError: EINVAL, it is not a job id; ERANGE, an integer beyond 64 bits.
    """
    text = jobid_str.strip().removeprefix("job.")
    # A base-58 string may begin like a hexadecimal one or a word, but has neither dot nor dash.
    if "." in text:
        value = _parse_dothex(text)
    elif "-" in text:
        value = _parse_words(text)
    elif text.startswith(("ƒ", "f")):
        value = _parse_base58(text[1:])
    elif text[:1] > "\uffff":
        value = _parse_emoji(text)
    elif _HEX.fullmatch(text) and text[1] == "x":
        value = int(text, 16)
    elif _DEC.fullmatch(text):
        # Python itself refuses to read thousands of digits.
        value = int(text) if len(text) < _MAX_DIGITS else _MASK + 1
    else:
        value = None
    if value is None:
        raise OSError(errno.EINVAL, f"{jobid_str!r} is not a job id")
    if value > _MASK:
        raise OSError(errno.ERANGE, f"{jobid_str!r} exceeds the 64 bits of a job id")
    return value


def id_encode(jobid: int, encoding: str = "f58") -> str:
    """Return a job id as text.

    Args:
        jobid: The number.  A negative one stands for that with the same 64 bits.
        encoding: ``dec``, ``hex``, ``dothex``, ``kvs``, ``f58``, ``f58plain``, ``words`` or
            ``emoji``, in upper or lower case.

    Raises:
        OSError: EPROTO, unknown encoding; EOVERFLOW, the number exceeds 64 bits.
    """
    if not -(1 << 63) <= jobid <= _MASK:
        raise OSError(errno.EOVERFLOW, f"{int(jobid)} exceeds the 64 bits of a job id")
    value = int(jobid) & _MASK
    kind = encoding.lower()
    if kind == "dec":
        return str(value)
    if kind == "hex":
        return f"{value:#x}"
    if kind in ("dothex", "kvs"):
        digits = f"{value:016x}"
        text = ".".join(digits[i : i + 4] for i in (0, 4, 8, 12))
        return f"job.{text}" if kind == "kvs" else text
    if kind in ("f58", "f58plain"):
        prefix = "ƒ" if kind == "f58" and _is_utf8() else "f"
        return prefix + _positional(value, _BASE58)
    if kind == "words":
        from flux.job._mnemonic_words import WORDS

        low, high = (_words(half, WORDS) for half in (value % _HALF, value // _HALF))
        return f"{low}--{high}"
    if kind == "emoji":
        from flux.job._emoji_digits import EMOJI

        return _positional(value, EMOJI)
    raise OSError(errno.EPROTO, f"{encoding!r} is not an encoding of job ids")


def _is_utf8() -> bool:
    """Return True if the user's locale has the letter ƒ, and nobody objects to it."""
    return "FLUX_F58_FORCE_ASCII" not in os.environ and (
        locale.nl_langinfo(locale.CODESET) == "UTF-8"
    )


def _positional(value: int, digits: str) -> str:
    text = ""
    while True:
        value, digit = divmod(value, len(digits))
        text = digits[digit] + text
        if not value:
            return text


def _parse_dothex(text: str) -> int | None:
    if not _DOTHEX.fullmatch(text):
        return None
    value = 0
    for group in text.split("."):
        value = value << 16 | int(group, 16)
    return value


def _parse_base58(text: str) -> int | None:
    if not 0 < len(text) <= _MAX_BASE58:
        return None
    value = 0
    for char in text:
        digit = _BASE58_DIGITS.get(char)
        if digit is None:
            return None
        value = value * len(_BASE58) + digit
    return value & _MASK


def _parse_emoji(text: str) -> int | None:
    from flux.job._emoji_digits import EMOJI

    if len(text) > _MAX_EMOJI:
        return None
    value = 0
    for char in text:
        digit = EMOJI.find(char)
        if digit < 0:
            return None
        value = value * len(EMOJI) + digit
    return value & _MASK


def _words(half: int, words: Sequence[str]) -> str:
    """Return 32 bits as three words, least significant first."""
    base = len(words)
    return "-".join(words[half // scale % base] for scale in (1, base, base * base))


def _parse_words(text: str) -> int | None:
    from flux.job._mnemonic_words import WORDS

    found = _WORD.findall(text.lower())
    if len(found) != 6:
        return None
    try:
        digits = [WORDS.index(word) for word in found]
    except ValueError:
        return None
    base = len(WORDS)
    low, high = (digits[i] + digits[i + 1] * base + digits[i + 2] * base * base for i in (0, 3))
    # Three words can say a little more than 32 bits.
    return low + high * _HALF if low < _HALF and high < _HALF else None
