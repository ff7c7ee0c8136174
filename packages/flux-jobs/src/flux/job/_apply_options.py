"""`JobspecV1.apply_options`: options of flux-submit(1), and plugins that bring more of them."""

from __future__ import annotations

import os
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from flux.job import _submit_options as options

if TYPE_CHECKING:
    from flux.job._jobspec import Jobspec

__all__ = ["apply_options"]

#: Options that are lists, of which a single text is the only entry.
_LISTS = ("env", "rlimit", "dependency", "requires", "add_file", "setopt", "setattr")


def apply_options(
    jobspec: Jobspec,
    args: Any,
    prog: str | None,
    preinit: bool,
    named: dict[str, Any],
    plugged: dict[str, Any],
) -> None:
    """Change a jobspec by options.

    Args:
        jobspec: The jobspec.
        args: An object whose attributes are options, or None.
        prog: The command whose plugins count; None: none do.
        preinit: Give plugins their first say, and their options what they are by default.
        named: Options given by name; None: not given.
        plugged: Options of plugins.

    Raises:
        TypeError: There is no such option, or an attribute is set in what is no mapping.
        ValueError: An option's text is malformed.
    """
    registry = None
    if prog:
        from flux.cli.plugin import CLIPluginRegistry

        registry = CLIPluginRegistry(prog)
    unknown = plugged.keys() - {option.dest for option in (registry.options if registry else ())}
    if unknown:
        raise TypeError(
            "apply_options() got unexpected keyword argument(s): "
            + ", ".join(map(repr, sorted(unknown)))
        )
    given = {key: value for key, value in {**named, **plugged}.items() if value is not None}
    absent = dict.fromkeys((*named, *plugged, "setopt", "setattr"))
    merged = SimpleNamespace(**{**absent, **(vars(args) if args is not None else {}), **given})
    for key in _LISTS:
        if isinstance(getattr(merged, key), str):
            setattr(merged, key, [getattr(merged, key)])
    # With the options of a command line the environment goes along also without a rule for it.
    for key, apply in (("env", _environment), ("rlimit", _rlimits)):
        if args is not None or key in given:
            apply(jobspec, getattr(merged, key))
    _apply(jobspec, merged)
    if registry:
        if preinit:
            for option in registry.options:
                if not hasattr(merged, option.dest):
                    setattr(merged, option.dest, option.kwargs.get("default"))
            registry.preinit(merged)
        registry.modify_jobspec(merged, jobspec)


def _environment(jobspec: Jobspec, rules: list[str] | None) -> None:
    jobspec.environment, expand = options.environment(rules)
    if expand:
        jobspec.setattr_shell_option("env-expand", expand)


def _rlimits(jobspec: Jobspec, rules: list[str] | None) -> None:
    limits = options.rlimits(rules)
    if limits:
        jobspec.setattr_shell_option("rlimit", limits)


def _apply(jobspec: Jobspec, merged: SimpleNamespace) -> None:
    if merged.signal:
        jobspec.setattr_shell_option("signal", options.signal_option(merged.signal))
    if merged.taskmap is not None:
        jobspec.setattr_shell_option("taskmap", options.uri_entry(merged.taskmap, "taskmap"))
    if merged.dependency is not None:
        entries = [options.dependency(uri) for uri in merged.dependency]
        jobspec.setattr("system.dependencies", entries)
    if merged.requires is not None:
        jobspec.setattr("system.constraints", options.constraint(merged.requires))
    if merged.time_limit is not None:
        jobspec.duration = options.duration(merged.time_limit)
    # Dicts after text: what a program sets counts before what its user set on the command line.
    settings = [options.key_value("--setopt", text) for text in merged.setopt or ()]
    for key, value in (*settings, *(merged.shell_options or {}).items()):
        jobspec.setattr_shell_option(key, value)
    settings = [options.key_value("--setattr", text) for text in merged.setattr or ()]
    for key, value in (*settings, *(merged.attributes or {}).items()):
        jobspec.setattr(f"attributes{key}" if key.startswith(".") else key, value)
    for text in merged.add_file or ():
        _add_file(jobspec, text)


def _add_file(jobspec: Jobspec, option: str) -> None:
    # In a shell's argument a newline is easier written as an escape.
    name, equals, data = option.replace("\\n", "\n").partition("=")
    permissions = None
    try:
        if not equals:
            if "\n" in name:
                raise ValueError("file name missing")
            name, data = os.path.basename(name), name
        else:
            before, colon, digits = name.rpartition(":")
            try:
                permissions = int(digits, 8)
                name = before if colon else name
            except ValueError:
                # A colon of the name's own.
                pass
            permissions = permissions if colon else None
        jobspec.add_file(name, data, perms=permissions)
    except (TypeError, ValueError, OSError) as exc:
        raise ValueError(f"--add-file={option}: {exc}") from None
