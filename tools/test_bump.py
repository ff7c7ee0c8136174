"""The version changes everywhere at once, or nowhere, in a repository of this one's files."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Callable

import pytest

ROOT = Path(__file__).resolve().parents[1]

FILES = (
    "pyproject.toml",
    "tools/bump.py",
    "packages/*/pyproject.toml",
    "packages/*/CHANGELOG.md",
    "packages/*/changes/README.md",
    "examples/downstream/*/pyproject.toml",
)

ENV = {
    **os.environ,
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_SYSTEM": os.devnull,
    **{f"GIT_{who}_NAME": "Someone" for who in ("AUTHOR", "COMMITTER")},
    **{f"GIT_{who}_EMAIL": "someone@example.org" for who in ("AUTHOR", "COMMITTER")},
}

CHANGELOG = "# Changes\n\n<!-- towncrier release notes start -->\n"


class Repository:
    """Distributions of version 1.0.0, released, then changed and with a note of it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        for pattern in FILES:
            for path in ROOT.glob(pattern):
                copy = root / path.relative_to(ROOT)
                copy.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(path, copy)
        self.packages = sorted(path.parent for path in root.glob("packages/*/pyproject.toml"))
        self.tomls = sorted([*root.glob("*/*/pyproject.toml"), *root.glob("*/*/*/pyproject.toml")])
        self.old = self.version()
        for toml in self.tomls:
            self.edit(toml, self.old, "1.0.0")
        for package in self.packages:
            notes = "\n## 1.0.0 (2020-02-20)\n\n### Added\n\n- The first.\n"
            (package / "CHANGELOG.md").write_text(CHANGELOG + notes)
        self.git("init", "--quiet")
        self.commit()
        self.git("tag", "v1.0.0")
        for package in self.packages:
            (package / "src").mkdir()
            (package / "src" / "new.py").touch()
            (package / "changes" / "7.fixed.md").write_text(f"{package.name} works.\n")
        self.commit()

    def version(self) -> str:
        text = (self.packages[0] / "pyproject.toml").read_text()
        return text.partition('version = "')[2].partition('"')[0]

    def git(self, *arguments: str) -> str:
        command = ["git", "-C", str(self.root), *arguments]
        return subprocess.check_output(command, env=ENV, text=True)

    def commit(self) -> None:
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message=Something")

    def edit(self, path: Path, old: str, new: str) -> None:
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new))

    def change(self, name: str, old: str, new: str) -> None:
        """Change a file, and commit that."""
        self.edit(self.root / name, old, new)
        self.commit()

    def bump(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, str(self.root / "tools/bump.py"), *arguments]
        return subprocess.run(command, env=ENV, capture_output=True, text=True, check=False)

    def refuses(self, *arguments: str) -> str:
        """Bump to no avail, and return why."""
        before = self.git("status", "--porcelain")
        result = self.bump(*arguments)
        assert result.returncode == 1
        assert self.git("status", "--porcelain") == before
        return result.stderr


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    return Repository(tmp_path)


def test_all_versions_pins_and_changelogs_go_together(repository: Repository) -> None:
    repository.change("packages/flux-journal/pyproject.toml", "core-py==", "core-py == ")
    before = [toml.read_text() for toml in repository.tomls]
    result = repository.bump("1.1.0")
    assert result.returncode == 0, result.stderr
    assert "Release 1.1.0" in result.stdout
    # Nothing else in these files has that version, and no line changed otherwise.
    after = [toml.read_text() for toml in repository.tomls]
    assert after == [text.replace("1.0.0", "1.1.0") for text in before]
    for package in repository.packages:
        text = (package / "CHANGELOG.md").read_text()
        assert text.startswith(f"{CHANGELOG}\n## 1.1.0 (")
        assert f"### Fixed\n\n- {package.name} works. (#7)\n" in text
        assert text.endswith("## 1.0.0 (2020-02-20)\n\n### Added\n\n- The first.\n")
        assert [path.name for path in (package / "changes").iterdir()] == ["README.md"]
    # The next one is refused until this one is committed, and then there is nothing to say.
    assert "not committed" in repository.refuses("1.2.0")
    repository.commit()
    repository.git("tag", "v1.1.0")
    assert repository.bump("1.2.0").returncode == 0


def test_a_version_is_normalised(repository: Repository) -> None:
    assert repository.bump("v1.1-rc.2").returncode == 0
    assert repository.version() == "1.1rc2"


def test_the_version_of_an_unreleased_tree_can_be_released(repository: Repository) -> None:
    for package in repository.packages:
        (package / "CHANGELOG.md").write_text(CHANGELOG)
    repository.commit()
    assert "is not greater than 1.0.0" in repository.refuses("0.9")
    assert repository.bump("1.0.0").returncode == 0
    repository.commit()
    assert "is not greater than 1.0.0" in repository.refuses("1.0.0")


def test_a_distribution_that_did_not_change_needs_no_note(repository: Repository) -> None:
    repository.git("reset", "--quiet", "--hard", "v1.0.0")
    repository.change("packages/flux-journal/pyproject.toml", "description", "# \ndescription")
    assert "flux-journal has changed" in repository.refuses("1.1")
    (repository.root / "packages/flux-journal/changes/+new.added.md").write_text("It is new.\n")
    repository.commit()
    assert repository.bump("1.1").returncode == 0
    changelog = repository.root / "packages/flux-core-py/CHANGELOG.md"
    assert "No significant changes." in changelog.read_text()


@pytest.mark.parametrize(
    ("version", "complaint"),
    [
        ("one", "'one' is not a version"),
        ("1.1.0+local", "cannot be published"),
        ("1.0.0", "1.0.0 is not greater than 1.0.0"),
        ("1.0.0rc1", "1.0.0rc1 is not greater than 1.0.0"),
        ("0.9", "0.9 is not greater than 1.0.0"),
    ],
)
def test_a_version_that_cannot_be_next(
    repository: Repository, version: str, complaint: str
) -> None:
    assert complaint in repository.refuses(version)


def test_no_version(repository: Repository) -> None:
    assert "usage" in repository.refuses()


def test_different_versions(repository: Repository) -> None:
    toml = "packages/flux-journal/pyproject.toml"
    repository.change(toml, 'version = "1.0.0"', 'version = "1.0.1"')
    reason = repository.refuses("1.1.0")
    assert "different versions" in reason
    assert "1.0.1" in reason


@pytest.mark.parametrize("pin", ["", ">=1.0.0", "==1.0.*", "==0.9", "==1.0.0,>0.9", "===1.0.0"])
@pytest.mark.parametrize(
    ("toml", "name"),
    [
        ("packages/flux-journal/pyproject.toml", "flux-core-py"),
        ("packages/flux-job-events/pyproject.toml", "flux-journal"),
        ("examples/downstream/jobtally/pyproject.toml", "flux-devbroker"),
    ],
)
def test_a_pin_that_is_not_the_version(
    repository: Repository, toml: str, name: str, pin: str
) -> None:
    repository.change(toml, f'"{name}==1.0.0', f'"{name}{pin}')
    reason = repository.refuses("1.1.0")
    assert f"{toml} must pin {name}==1.0.0" in reason


def test_a_requirement_that_is_none(repository: Repository) -> None:
    repository.change("packages/flux-journal/pyproject.toml", "flux-core-py==", "flux-core-py=")
    assert "flux-journal requires 'flux-core-py=1.0.0'" in repository.refuses("1.1.0")


@pytest.mark.parametrize(
    "dirty",
    [
        lambda root: (root / "new.txt").touch(),
        lambda root: (root / "packages/flux-journal/changes/7.fixed.md").unlink(),
    ],
)
def test_a_work_tree_with_changes(repository: Repository, dirty: Callable[[Path], None]) -> None:
    dirty(repository.root)
    assert "not committed" in repository.refuses("1.1.0")


def test_a_change_without_a_note(repository: Repository) -> None:
    (repository.root / "packages/flux-brokermod/changes/7.fixed.md").unlink()
    repository.commit()
    assert "packages/flux-brokermod/changes/ has no note" in repository.refuses("1.1.0")


def test_a_note_with_a_wrong_name(repository: Repository) -> None:
    repository.git("mv", *[f"packages/flux-journal/changes/7.{x}.md" for x in ("fixed", "mended")])
    repository.commit()
    reason = repository.refuses("1.1.0")
    assert "notes of flux-journal" in reason
    assert "7.mended.md" in reason


def test_a_clone_without_the_tag(repository: Repository) -> None:
    repository.git("tag", "--delete", "v1.0.0")
    assert "no tag v1.0.0" in repository.refuses("1.1.0")
