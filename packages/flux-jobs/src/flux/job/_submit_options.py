"""The options of flux-submit(1) and its kin, as text, and what becomes of them in a jobspec."""

from __future__ import annotations

import fnmatch
import json
import os
import re
import resource
import signal
import sys
from collections.abc import Iterable, Mapping
from string import Template
from typing import Any, TypeVar, Union
from urllib.parse import parse_qs

from flux.util._durations import parse_fsd
from flux.util._treedict import json_or_text

__all__ = [
    "constraint",
    "decode_signal",
    "dependency",
    "duration",
    "environment",
    "key_value",
    "rlimits",
    "signal_option",
    "uri_entry",
]

_T = TypeVar("_T")

#: Limits that the job does not get from whoever submits it unless they are named.
_KEPT = ("memlock", "ofile", "msgqueue", "nice", "rtprio", "rttime", "sigpending")
_UNLIMITED = ("unlimited", "infinity", "inf")


def duration(value: Union[str, float]) -> float:  # noqa: UP007
    """Return a duration in seconds.

    Args:
        value: A number, or text as RFC 23 has it.

    Raises:
        ValueError: It is none.
    """
    return parse_fsd(value) if isinstance(value, str) else value


def decode_signal(value: Union[str, int]) -> int:  # noqa: UP007
    """Return the number of a signal.

    Args:
        value: The number; also as text; or the name, with or without ``SIG``.

    Raises:
        ValueError: There is none of that name.
    """
    try:
        return int(value)
    except ValueError:
        name = str(value)
        found = getattr(signal, name if name.startswith("SIG") else f"SIG{name}", None)
        if not isinstance(found, signal.Signals):
            raise ValueError(f"signal '{value}' is invalid: there is none of that name") from None
        return found


def signal_option(text: str) -> dict[str, Any]:
    """Return the shell's option ``signal``: which one to send how long before the time limit.

    Args:
        text: ``[SIGNAL][@TIME]``; SIGUSR1, and a minute, where they are left out.

    Raises:
        ValueError: There is no such signal, or the time is no duration.
    """
    name, _, time = text.partition("@")
    try:
        number = decode_signal(name or "USR1")
        if number <= 0:
            raise ValueError(f"signal '{name}' is invalid: it must be at least 1")
        return {"signum": int(number), "timeleft": duration(time or "60")}
    except ValueError as exc:
        raise ValueError(f"--signal={text}: {exc}") from None


def uri_entry(text: str, name: str) -> dict[str, Any]:
    """Return an entry of RFC 26 from a URI: ``SCHEME[:VALUE][?KEY=VALUE&...]``.

    Args:
        text: The URI.
        name: What it is given for, for messages.

    Raises:
        ValueError: It has no scheme.
    """
    scheme, _, rest = text.partition(":")
    if not re.fullmatch(r"[a-z][a-z0-9+.-]*", scheme, re.IGNORECASE):
        raise ValueError(f'Invalid {name} URI "{text}": it begins with a scheme and a colon')
    value, _, query = rest.partition("?")
    entry: dict[str, Any] = {"scheme": scheme.lower(), "value": value}
    for key, values in parse_qs(query).items():
        numbers = [_number(one) for one in values]
        entry[key] = numbers if len(numbers) > 1 else numbers[0]
    return entry


def dependency(uri: str) -> dict[str, Any]:
    """Return a dependency from its URI.

    Raises:
        ValueError: It has no scheme.
    """
    entry = uri_entry(uri, "dependency")
    if entry["scheme"] == "after":
        sys.stderr.write("dependency scheme 'after' is deprecated, use 'afterstart'\n")
    return entry


def _number(text: str) -> Any:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:  # noqa: PERF203
            pass
    return text


def constraint(expressions: Iterable[str]) -> dict[str, Any]:
    """Return a constraint (RFC 31) from expressions that must all hold (RFC 35).

    Args:
        expressions: Of properties, ``host:HOSTS`` and ``rank:RANKS``.

    Raises:
        ValueError: One is malformed.
    """
    from flux.constraint.parser import ConstraintParser, ConstraintSyntaxError

    class Parser(ConstraintParser):
        operator_map = {  # noqa: RUF012 - as the base class has it
            None: "properties",
            "host": "hostlist",
            "hosts": "hostlist",
            "rank": "ranks",
        }
        split_values = {"properties": ","}  # noqa: RUF012
        combined_terms = {"properties"}  # noqa: RUF012

    text = " ".join(expressions)
    try:
        parsed: dict[str, Any] = Parser().parse(text)
    except ConstraintSyntaxError as exc:
        raise ValueError(f"--requires='{text}': {exc}") from None
    return parsed


def _matching(names: Mapping[str, _T], pattern: str, wanted: bool = True) -> dict[str, _T]:
    """Return the items whose name matches, or does not: a glob(7), or ``/regular expression/``."""
    regex = pattern[1:].rstrip("/") if pattern.startswith("/") else fnmatch.translate(pattern)
    match = re.compile(regex).match
    return {name: value for name, value in names.items() if bool(match(name)) is wanted}


def environment(
    rules: Iterable[str] | None, environ: dict[str, str] | None = None
) -> tuple[dict[str, str], dict[str, str]]:
    """Return a job's environment by the rules of ``flux submit --env``.

    Args:
        rules: ``VAR=VALUE``, to set; ``PATTERN``, to take from this process what is not there;
            ``-PATTERN``, to take out; ``^FILE``, for rules in a file.
        environ: What to begin with; None: the environment of this process.

    Returns:
        The environment, and the variables that the job shell is to expand.

    Raises:
        ValueError: A value names a variable that there is not, or a file cannot be read.
    """
    result = dict(os.environ) if environ is None else environ
    expand: dict[str, str] = {}
    for rule in rules or ():
        if rule.startswith("-"):
            result = _matching(result, rule[1:], wanted=False)
        elif rule.startswith("^"):
            try:
                with open(os.path.expanduser(rule[1:]), encoding="utf-8") as file:
                    more = [line.strip() for line in file]
            except OSError as exc:
                raise ValueError(f"--env: {exc}") from None
            result, expanded = environment(more, result)
            expand.update(expanded)
        else:
            name, equals, value = rule.partition("=")
            if not equals:
                result = {**_matching(os.environ, name), **result}
            elif "{{" in value:
                expand[name] = value
            else:
                result[name] = _substitute(rule, value, result)
    return result, expand


def _substitute(rule: str, value: str, environ: dict[str, str]) -> str:
    try:
        return Template(value).substitute({**os.environ, **environ})
    except KeyError as exc:
        raise ValueError(f"--env: Variable {exc} not found in {rule}") from None
    except ValueError:
        raise ValueError(f"--env: Unable to substitute {rule}: a $ alone is written $$") from None


def rlimits(rules: Iterable[str] | None) -> dict[str, int]:
    """Return the limits that a job gets, by the rules of ``flux submit --rlimit``.

    Args:
        rules: ``NAME``, that limit of this process; ``NAME=VALUE``; ``-NAME``, not that one.  The
            name may be a glob(7) but in the second; several rules may stand with commas between.

    Raises:
        ValueError: There is no such limit, or the value is none.
    """
    known = {
        name[len("RLIMIT_") :].lower(): number
        for name, number in vars(resource).items()
        if name.startswith("RLIMIT_")
    }
    result = {
        name: resource.getrlimit(number)[0] for name, number in known.items() if name not in _KEPT
    }
    for rule in (part for text in rules or () for part in text.split(",")):
        name, equals, value = rule.lower().partition("=")
        if name.startswith("-"):
            result = _matching(result, name[1:], wanted=False)
        elif not equals:
            found = _matching(known, name)
            if not found:
                raise ValueError(f'No corresponding rlimit matching "{name}"')
            result.update((one, resource.getrlimit(number)[0]) for one, number in found.items())
        elif name not in known:
            raise ValueError(f'Invalid rlimit "{name}": there are {", ".join(sorted(known))}')
        else:
            try:
                result[name] = resource.RLIM_INFINITY if value in _UNLIMITED else int(value)
            except ValueError:
                raise ValueError(f"Invalid value in {rule}: it is a number or unlimited") from None
    return result


def key_value(option: str, text: str) -> tuple[str, Any]:
    """Return a key and its value from an option.

    Args:
        option: The name of the option, for messages.
        text: ``KEY``, which is set to 1; ``KEY=VALUE``, in JSON or as it stands; ``^KEY=FILE``, of
            JSON.

    Raises:
        OSError: The file cannot be read.
        ValueError: The file is no JSON.
    """
    key, equals, value = text.partition("=")
    if key.startswith("^"):
        with open(value, encoding="utf-8") as file:
            try:
                return key[1:], json.load(file)
            except ValueError as exc:
                raise ValueError(f"{option}: {value}: {exc}") from None
    return key, json_or_text(value) if equals else 1
