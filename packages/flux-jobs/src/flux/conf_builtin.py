"""Where the files of a flux-core installation are, told from where its ``flux`` command is."""

from __future__ import annotations

import os
import sys
import sysconfig
from pathlib import Path

import flux._ours  # noqa: F401 - refuses another flux

__all__ = ["conf_builtin_get"]

_WHICH = ("auto", "installed", "intree")

#: Relative to ``etc``, ``lib``, ``libexec``, ``share`` or ``var`` of the installation.
_FILES = {
    "confdir": "etc/flux",
    "libexecdir": "libexec/flux",
    "datadir": "share/flux",
    "lua_cpath_add": "lib/lua/5.1/?.so",
    "lua_path_add": "share/lua/5.1/?.lua",
    "python_path": f"lib/flux/python{sys.version_info.major}.{sys.version_info.minor}",
    "python_wrapper": "libexec/flux/cmd/py-runner.py",
    "man_path": "share/man",
    "exec_path": "libexec/flux/cmd",
    "connector_path": "lib/flux/connectors",
    "module_path": "lib/flux/modules",
    "cmdhelp_pattern": "share/flux/help.d/*.json",
    "pmi_library_path": "lib/flux/libpmi.so",
    "shell_path": "libexec/flux/flux-shell",
    "shell_pluginpath": "lib/flux/shell/plugins",
    "shell_initrc": "etc/flux/shell/initrc.lua",
    "jobtap_pluginpath": "lib/flux/job-manager/plugins",
    "upmi_pluginpath": "lib/flux/upmi/plugins",
    "no_docs_path": "share/flux/.nodocs",
    "rundir": "run/flux",
}
_COMMANDS = {"rc1_path": "flux modprobe rc1", "rc3_path": "flux modprobe rc3"}


def conf_builtin_get(name: str, which: str = "auto") -> str:
    """Return what a flux-core installation has been built with.

    No library is asked: it is the usual layout below the prefix of the first ``flux`` command on
    PATH that belongs to an installation, and below ``/usr`` where there is none.

    Args:
        name: The name of the setting, such as ``confdir``.
        which: ``auto``, ``installed`` or ``intree``: all the same here, where there is no build
            tree.

    Raises:
        ValueError: There is no such setting, or ``which`` is something else.
    """
    if which not in _WHICH:
        raise ValueError(f"which must be one of {', '.join(_WHICH)}, not {which!r}")
    if name in _COMMANDS:
        return _COMMANDS[name]
    if name not in _FILES:
        raise ValueError(
            f"No builtin config value for '{name}': there are "
            f"{', '.join(sorted((*_FILES, *_COMMANDS)))}"
        )
    prefix = _prefix()
    top, _, rest = _FILES[name].partition("/")
    if str(prefix) == "/usr" and top in ("etc", "run"):
        prefix = Path("/")
    elif top == "run":
        top = "var/run"
    elif top == "lib":
        multiarch = sysconfig.get_config_var("MULTIARCH") or "none"
        places = ("lib", "lib64", f"lib/{multiarch}")
        top = next((place for place in places if (prefix / place / "flux").is_dir()), "lib")
    return str(prefix / top / rest)


def _prefix() -> Path:
    for entry in os.get_exec_path():
        command = Path(entry, "flux")
        if os.access(command, os.X_OK):
            for path in (command.absolute(), command.resolve()):
                prefix = path.parent.parent
                # There is none beside the `flux` command of flux-command.
                if (prefix / "libexec" / "flux").is_dir():
                    return prefix
    return Path("/usr")
