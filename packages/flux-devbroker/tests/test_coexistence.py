"""Another `flux` beside this one: one of them works, or an error says why not; never a mixture."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import flux

#: Our parts that flux-core's bindings may not have: it depends on their version.
PARTS = ["flux.abc", "flux.brokermod", "flux.devbroker", "flux.job", "flux.kvs"]

OURS = Path(flux.__file__).parent


@pytest.fixture
def official(tmp_path: Path) -> Path:
    """Return a directory with what tells flux-core's bindings apart; of ours they have one part."""
    files = {
        "__init__.py": "import pkgutil\n__path__ = pkgutil.extend_path(__path__, __name__)",
        "core/__init__.py": "",
        "core/trampoline.py": "",
        "modprobe.py": "",
        "brokermod.py": "",
    }
    return make(tmp_path / "official", files)


def make(directory: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = directory / "flux" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text + "\n")
    return directory


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """Return a directory in which all of our distributions are installed."""
    directory = tmp_path / "site"
    for part in flux.__path__:
        ignore = shutil.ignore_patterns("__pycache__")
        shutil.copytree(part, directory / "flux", dirs_exist_ok=True, ignore=ignore)
    return directory


def run(code: str, *first: Path, last: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run code with directories before, or after, all others on PYTHONPATH."""
    path = [*map(str, first), *filter(None, sys.path), *([str(last)] if last else [])]
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(path)},
        check=False,
        capture_output=True,
        text=True,
        timeout=30,
    )


def output(result: subprocess.CompletedProcess[str]) -> str:
    assert result.returncode == 0, result.stderr
    return result.stdout.strip()


def error(result: subprocess.CompletedProcess[str]) -> str:
    assert result.returncode == 1
    return result.stderr.splitlines()[-1]


def test_the_first_one_wins_as_a_whole(official):
    code = "import flux, flux.brokermod; print(flux.__file__, flux.brokermod.__file__)"
    theirs = official / "flux"
    assert output(run(code, official)) == f"{theirs / '__init__.py'} {theirs / 'brokermod.py'}"
    first, second = output(run(code, last=official)).split()
    assert first == str(OURS / "__init__.py")
    assert second.endswith("brokermod/__init__.py")
    assert "No module named 'flux.modprobe'" in error(run("import flux.modprobe", last=official))


@pytest.mark.parametrize("part", PARTS)
def test_our_parts_do_not_work_with_theirs(official, part):
    (official / "flux" / "brokermod.py").unlink()
    text = error(run(f"import {part}", official))
    assert text.startswith(f"ImportError: {OURS} belongs to flux-core-py")
    assert f"found the `flux` in {official / 'flux'} first" in text
    assert "`env -u PYTHONPATH`" in text


def test_the_way_out_fits_what_put_theirs_first(official):
    code = f"import sys; sys.path.insert(0, {str(official)!r}); import flux.devbroker"
    text = error(run(code))
    assert "uninstall one of them" in text
    assert "PYTHONPATH" not in text


def test_the_binding_of_theirs_is_not_ours(official):
    # That of theirs is missing: it is a compiled file, for one version of Python.
    with (official / "flux" / "__init__.py").open("a") as file:
        file.write("from _flux._core import ffi, lib\n")
    assert "belongs to flux-core-py" in error(run("import flux", official))


def test_ours_installed_over_theirs_says_so(official, site):
    shutil.copytree(site, official, dirs_exist_ok=True)
    text = error(run("import flux", official))
    assert text.startswith(f"ImportError: {official / 'flux'} holds files of both flux-core-py")
    assert "uninstall both" in text


@pytest.mark.parametrize("part", PARTS)
def test_theirs_installed_over_ours_says_so(official, site, part):
    shutil.copytree(official, site, dirs_exist_ok=True)
    # Of two of the same name Python takes the directory.
    text = error(run(f"import {part}", site))
    assert text.startswith(f"ImportError: {site / 'flux'} holds files of both flux-core-py")


TEST = """
def test_without_a_broker():
    pass

def test_with_a_broker(flux_handle):
    pass
"""


@pytest.mark.parametrize("parts", ["with our parts", "alone"])
def test_the_plugin_hinders_no_test_that_needs_no_broker(official, tmp_path, parts):
    if parts == "alone":
        (official / "flux" / "__init__.py").write_text("")
    (tmp_path / "test_it.py").write_text(TEST)
    path = os.pathsep.join([str(official), *filter(None, sys.path)])
    result = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "_flux_devbroker.pytest_plugin", "-q", "test_it.py"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": path, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert "1 passed, 1 error" in result.stdout
    assert "there is no flux.devbroker to start a broker with: " in result.stdout
    assert str(official / "flux" / "__init__.py") in result.stdout


def test_theirs_installed_into_the_same_directory_is_seen_by_its_metadata(site):
    (site / "flux_python-0.88.0.dist-info").mkdir()
    text = error(run("import flux", site))
    assert text.startswith(f"ImportError: {site / 'flux'} holds files of both flux-core-py")
    assert "uninstall both" in text


def test_what_uninstalling_theirs_leaves_of_ours_says_so(site):
    (site / "flux" / "__init__.py").unlink()
    code = f"import sys; sys.path[:] = [{str(site)!r}, *sys.path]; import flux.abc"
    result = subprocess.run(
        [sys.executable, "-I", "-S", "-c", code], check=False, capture_output=True, text=True
    )
    assert "reinstall flux-core-py" in error(result)
