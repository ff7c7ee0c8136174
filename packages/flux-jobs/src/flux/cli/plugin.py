"""Plugins of flux-submit(1) and its kin (flux-cli-plugins(7)): more options for jobs."""

from __future__ import annotations

import inspect
import os
import pydoc
import sys
from abc import ABC
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import flux._ours  # noqa: F401 - refuses another flux
from flux.conf_builtin import conf_builtin_get
from flux.importer import import_path, import_plugins

if TYPE_CHECKING:
    from flux.job._jobspec import Jobspec

__all__ = ["CLIPlugin", "CLIPluginOption", "CLIPluginRegistry", "PluginArgsProxy"]


class PluginArgsProxy:
    """Options as a plugin sees them: its own also by the name that they have without its prefix.

    Args:
        args: The options.
        alias: What the names are short for.
    """

    __slots__ = ("_alias", "_args")

    _args: Any
    _alias: dict[str, str]

    def __init__(self, args: Any, alias: dict[str, str]) -> None:
        object.__setattr__(self, "_args", args)
        object.__setattr__(self, "_alias", alias)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._args, self._alias.get(name, name))

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(self._args, self._alias.get(name, name), value)


class CLIPluginOption:
    """An option that a plugin adds.

    Args:
        name: The option, with two dashes.
        prefix: What is put before its name, so that plugins do not clash; None or empty: nothing.
        **kwargs: Arguments of `argparse.ArgumentParser.add_argument`.

    Attributes:
        name: The option with its prefix.
        kwargs: The arguments, ``dest`` among them.

    Raises:
        ValueError: The name is none of a long option.
    """

    def __init__(self, name: str, prefix: str | None, **kwargs: Any) -> None:
        if not name.startswith("--"):
            raise ValueError(f"{name}: plugins add only long options, which begin with --")
        self.name = f"--{prefix}-{name[2:]}" if prefix else name
        self.kwargs = {"dest": _attribute(self.name), **kwargs}
        #: What a plugin may call it for short; None where it chose the name itself.
        self.short = None if "dest" in kwargs else _attribute(name)

    @property
    def dest(self) -> str:
        """The attribute that the option sets."""
        dest: str = self.kwargs["dest"]
        return dest


def _attribute(option: str) -> str:
    return option[2:].replace("-", "_")


class CLIPlugin(ABC):  # noqa: B024 - what a plugin does not need it leaves as it is
    """The base class of plugins.

    Args:
        prog: The command, such as ``submit``.
        prefix: What is put before the names of its options.
        version: Its version.

    Attributes:
        prog: The command.
        path: The file that the plugin comes from.
        prefix: As given.
        version: As given.
        options: The options added.
    """

    def __init__(self, prog: str, prefix: str | None = "ex", version: str | None = None) -> None:
        self.prog = prog.removeprefix("flux ")
        self.path: str | None = None
        self.prefix = prefix
        self.version = version
        self.options: list[CLIPluginOption] = []

    def add_option(self, name: str, **kwargs: Any) -> None:
        """Add an option.

        Args:
            name: The option, with two dashes.
            **kwargs: Arguments of `argparse.ArgumentParser.add_argument`.

        Raises:
            ValueError: The name is none of a long option.
        """
        self.options.append(CLIPluginOption(name, self.prefix, **kwargs))

    def help(self, option: CLIPluginOption) -> None:
        """Show the documentation of the plugin, which is its docstring.

        Args:
            option: The option that help was asked for.
        """
        text = inspect.getdoc(type(self))
        if text is None or text == inspect.getdoc(CLIPlugin):
            sys.stderr.write(f"No extra documentation for option `{option.name}` found.\n")
        else:
            pydoc.pager(f"{option.name} comes from a plugin:\n\n{text}\n")

    def preinit(self, args: Any) -> None:  # noqa: B027
        """Change the options before there is a jobspec.

        Args:
            args: The options.
        """

    def modify_jobspec(self, args: Any, jobspec: Jobspec) -> None:  # noqa: B027
        """Change the jobspec.

        Args:
            args: The options.
            jobspec: The jobspec, with all but what plugins do to it.
        """

    def validate(self, jobspec: Jobspec) -> None:  # noqa: B027
        """Check the jobspec.

        Args:
            jobspec: The jobspec.

        Raises:
            ValueError: It is not allowed.
        """


class CLIPluginRegistry:
    """The plugins for a command.

    Args:
        prog: The command, such as ``submit``.

    Attributes:
        prog: The command.
        plugindirs: Where files were looked for: in FLUX_CLI_PLUGINPATH_OVERRIDE alone, if that is
            set; or else in FLUX_CLI_PLUGINPATH and the directories of flux-core.
        plugins: The plugins.  Of two that add the same option the first counts, and the other not
            at all.
        options: The options that they add.

    Raises:
        ImportError: A file cannot be imported.
    """

    default_plugins = ("shape",)
    plugin_namespace = "flux.cli.plugins"

    def __init__(self, prog: str) -> None:
        self.prog = prog
        self.plugindirs = _search_path()
        self.plugins: list[CLIPlugin] = []
        self.options: list[CLIPluginOption] = []
        for directory in self.plugindirs:
            for path in sorted(Path(directory).glob("*.py")):
                self._add(import_path(path))
        packaged = import_plugins(self.plugin_namespace)
        for name in self.default_plugins:
            if name in packaged:
                self._add(packaged[name])

    def _add(self, module: ModuleType) -> None:
        for name, value in vars(module).items():
            if (
                not name.startswith("_")
                and isinstance(value, type)
                and issubclass(value, CLIPlugin)
                and value is not CLIPlugin
            ):
                plugin = value(self.prog)
                plugin.path = module.__file__
                taken = {option.dest for option in self.options}
                if not any(option.dest in taken for option in plugin.options):
                    self.plugins.append(plugin)
                    self.options += plugin.options

    def print_help(self, name: str) -> None:
        """Show the documentation of an option, and exit.

        Args:
            name: The option, with or without its dashes.

        Raises:
            ValueError: No plugin has it.
            SystemExit: Afterwards.
        """
        for plugin in self.plugins:
            for option in plugin.options:
                if name in (option.name, option.name[2:]):
                    plugin.help(option)
                    sys.exit(0)
        raise ValueError(f"--help: no such option {name}")

    def print_plugins(self) -> None:
        """Write the plugins and their options to standard output."""
        write = sys.stdout.write
        write("Options provided by plugins:\n")
        write(f"  Search path: {':'.join(self.plugindirs)}\n" if self.plugindirs else "")
        write(f"  Package: {self.plugin_namespace}\n\n")
        for plugin in self.plugins:
            write(f"{type(plugin).__name__} loaded from {plugin.path}\n")
            for option in plugin.options:
                write(f"  {option.name:<20}  {option.kwargs.get('help') or ''}\n")
            write("\n")

    def _each(self, args: Any) -> list[tuple[CLIPlugin, PluginArgsProxy]]:
        return [
            (
                plugin,
                PluginArgsProxy(
                    args, {option.short: option.dest for option in plugin.options if option.short}
                ),
            )
            for plugin in self.plugins
        ]

    def preinit(self, args: Any) -> None:
        """Have each plugin change the options.

        Args:
            args: The options.
        """
        for plugin, own in self._each(args):
            plugin.preinit(own)

    def modify_jobspec(self, args: Any, jobspec: Jobspec) -> None:
        """Have each plugin change the jobspec.

        Args:
            args: The options.
            jobspec: The jobspec.
        """
        for plugin, own in self._each(args):
            plugin.modify_jobspec(own, jobspec)

    def validate(self, jobspec: Jobspec) -> None:
        """Have each plugin check the jobspec.

        Args:
            jobspec: The jobspec.

        Raises:
            ValueError: It is not allowed.
        """
        for plugin in self.plugins:
            plugin.validate(jobspec)


def _search_path() -> list[str]:
    override = os.environ.get("FLUX_CLI_PLUGINPATH_OVERRIDE")
    if override is not None:
        return _directories(override)
    installed = [f"{conf_builtin_get(name)}/cli/plugins" for name in ("confdir", "libexecdir")]
    return _directories(os.environ.get("FLUX_CLI_PLUGINPATH", "")) + installed


def _directories(path: str) -> list[str]:
    return [entry for entry in path.split(":") if entry.strip()]
