"""Modules that stand for functions of libflux-core, without it."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from flux import debugged, importer
from flux.conf_builtin import conf_builtin_get


def install(prefix):
    """Make what looks like an installation of flux-core, and return its ``bin``."""
    (prefix / "bin").mkdir(parents=True)
    (prefix / "libexec" / "flux").mkdir(parents=True)
    (prefix / "lib64" / "flux").mkdir(parents=True)
    (prefix / "bin" / "flux").write_text("#!/bin/sh\n")
    (prefix / "bin" / "flux").chmod(0o755)
    return str(prefix / "bin")


def test_paths_of_the_first_installation_on_the_path(tmp_path, monkeypatch):
    command = tmp_path / "bin"
    command.mkdir()
    (command / "flux").write_text("#!/bin/sh\n")
    (command / "flux").chmod(0o755)
    prefix = tmp_path / "prefix"
    monkeypatch.setenv("PATH", f"{command}:{install(prefix)}")
    assert conf_builtin_get("confdir") == f"{prefix}/etc/flux"
    assert conf_builtin_get("module_path", "installed") == f"{prefix}/lib64/flux/modules"
    assert conf_builtin_get("rundir", "intree") == f"{prefix}/var/run/flux"
    assert conf_builtin_get("rc1_path") == "flux modprobe rc1"
    monkeypatch.setenv("PATH", str(command))
    assert conf_builtin_get("confdir") == "/etc/flux"
    assert conf_builtin_get("libexecdir") == "/usr/libexec/flux"


def test_settings_that_there_are_not():
    with pytest.raises(ValueError, match="No builtin config value for 'x': there are cmdhelp"):
        conf_builtin_get("x")
    with pytest.raises(ValueError, match="which must be one of auto, installed, intree"):
        conf_builtin_get("confdir", "x")


def test_the_flag_of_debuggers():
    assert debugged.get_mpir_being_debugged() == 0
    debugged.set_mpir_being_debugged(1)
    try:
        assert debugged.get_mpir_being_debugged() == 1
    finally:
        debugged.set_mpir_being_debugged(0)


def test_plugins_of_a_package_in_several_places(tmp_path):
    (tmp_path / "some_plugins").mkdir()
    (tmp_path / "some_plugins" / "one.py").write_text("x = 1\n")
    before = list(sys.path)
    found = importer.import_plugins("some_plugins", [str(tmp_path)])
    assert {name: module.x for name, module in found.items()} == {"one": 1}
    assert importer.import_plugins("no_such_plugins") == {}
    (tmp_path / "some_plugins" / "two.py").write_text("import no_such_module\n")
    with pytest.raises(ImportError, match=r"failed to import two plugin: .*no_such_module"):
        importer.import_plugins("some_plugins", [str(tmp_path)])
    assert sys.path == before
    for name in ("some_plugins", "some_plugins.one"):
        del sys.modules[name]


def test_a_file_as_a_module(tmp_path):
    (tmp_path / "pyplugin.py").write_text("x = 1\n")
    module = importer.import_path(tmp_path / "pyplugin.py")
    assert (module.__name__, module.x) == ("pyplugin", 1)
    assert "pyplugin" not in sys.modules
    for name in ("none.py", "none.txt"):
        with pytest.raises(ImportError, match="none"):
            importer.import_path(tmp_path / name)


@pytest.mark.skipif(not os.path.exists("/proc/self/comm"), reason="the system is not Linux")
def test_the_name_of_a_process():
    code = (
        "from flux.proctitle import set_proctitle\n"
        "set_proctitle('a-name-that-is-too-long')\n"
        "print(open('/proc/self/comm').read(), end='')\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "a-name-that-is-\n"
