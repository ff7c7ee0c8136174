"""Give every distribution a new version: the work of a release, short of committing and tagging it.

usage: bump.py VERSION

The distributions share one version and pin each other exactly. This sets both, in packages/ and in
the sample projects, and turns the change notes of each distribution into a section of its
CHANGELOG.md. If anything is not as it should be, it says what, changes nothing, and exits with
status 1.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import tomlkit
from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

ROOT = Path(__file__).resolve().parents[1]


class ReleaseError(Exception):
    """Something is not as a release needs it."""


class Tree:
    """The pyproject.toml files that name the version.

    Attributes:
        packages: Those of the distributions, by their directories.
        version: The version that all distributions have.

    Raises:
        ReleaseError: The versions differ, or a sibling is not pinned to that version.
    """

    def __init__(self, root: Path) -> None:
        self.packages = read(root, "packages/*/pyproject.toml")
        self._samples = read(root, "examples/downstream/*/pyproject.toml")
        self._names = {canonicalize_name(str(p["project"]["name"])) for p in self.packages.values()}
        versions = {str(p["project"]["version"]) for p in self.packages.values()}
        if len(versions) != 1:
            raise ReleaseError(f"the distributions have different versions: {', '.join(versions)}")
        (self.version,) = versions
        for path, document in (self.packages | self._samples).items():
            for _, _, pin in self._pins(document):
                if str(pin.specifier) != f"=={self.version}":
                    raise ReleaseError(
                        f"{path.relative_to(root)}/pyproject.toml must pin "
                        f"{pin.name}=={self.version}, not {pin}"
                    )

    def _pins(self, document: Any) -> Iterator[tuple[Any, int, Requirement]]:
        """Yield each requirement that is a sibling, after the list it is in and its place there."""
        project = document["project"]
        lists = [
            project.get("dependencies", []),
            *project.get("optional-dependencies", {}).values(),
        ]
        for requirements in lists:
            for place, text in enumerate(requirements):
                try:
                    requirement = Requirement(str(text))
                except InvalidRequirement as error:
                    raise ReleaseError(f"{project['name']} requires {text!r}: {error}") from None
                if canonicalize_name(requirement.name) in self._names:
                    yield requirements, place, requirement

    def set_version(self, version: str) -> None:
        """Write a new version and the pins that go with it, and leave all else as it was."""
        for document in self.packages.values():
            document["project"]["version"] = version
        for path, document in (self.packages | self._samples).items():
            for requirements, place, _ in self._pins(document):
                requirements[place] = str(requirements[place]).replace(self.version, version, 1)
            (path / "pyproject.toml").write_text(tomlkit.dumps(document), "utf-8")
        self.version = version


def read(root: Path, pattern: str) -> dict[Path, Any]:
    """Parse files, and return them by their directories."""
    paths = sorted(root.glob(pattern))
    return {path.parent: tomlkit.parse(path.read_text("utf-8")) for path in paths}


def git(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run git in the project."""
    command = ["git", "-C", str(ROOT), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def towncrier(package: Path, version: str, option: str) -> subprocess.CompletedProcess[str]:
    """Assemble a distribution's change notes, as the root pyproject.toml says."""
    where = [f"--config={ROOT / 'pyproject.toml'}", f"--dir={package}"]
    command = [sys.executable, "-m", "towncrier", "build", *where, f"--version={version}", option]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def is_released(tree: Tree) -> bool:
    """Tell whether the changelogs have the tree's version, as they have after its release."""
    changelogs = [(package / "CHANGELOG.md").read_text("utf-8") for package in tree.packages]
    return any(f"\n## {tree.version} (" in text for text in changelogs)


def check_version(tree: Tree, text: str) -> str:
    """Return the version in its normal form, if it may come next."""
    try:
        version = Version(text)
    except InvalidVersion:
        raise ReleaseError(f"{text!r} is not a version; 1.2.3 or 1.2.3rc1 would be") from None
    if version.local:
        raise ReleaseError(f"{text} is a local version, which cannot be published")
    current = Version(tree.version)
    # The version that the tree has from the start is to be released as well, once.
    if version < current or (version == current and is_released(tree)):
        raise ReleaseError(f"{version} is not greater than {current}")
    return str(version)


def check_notes(tree: Tree, version: str) -> None:
    """Check that each distribution that differs from the last release says what changed."""
    released = is_released(tree)
    tag = f"v{tree.version}"
    if released and git("rev-parse", "--verify", "--quiet", f"{tag}^{{commit}}").returncode:
        raise ReleaseError(f"there is no tag {tag} to compare with: git fetch --tags")
    for package in tree.packages:
        notes = [path for path in package.glob("changes/*") if path.name != "README.md"]
        shipped = [str(package / "src"), str(package / "pyproject.toml")]
        changed = not released or git("diff", "--quiet", tag, "HEAD", "--", *shipped).returncode
        if changed and not notes:
            raise ReleaseError(
                f"{package.name} has changed, but packages/{package.name}/changes/ has no note of "
                "it; its README.md tells how to write one"
            )
        draft = towncrier(package, version, "--draft")
        if draft.returncode:
            raise ReleaseError(f"towncrier on the notes of {package.name}:\n{draft.stderr}")


def bump(text: str) -> str:
    """Set a new version, and return it."""
    status = git("status", "--porcelain")
    if status.returncode:
        raise ReleaseError(f"git status: {status.stderr.strip()}")
    if status.stdout:
        raise ReleaseError(f"first commit what is not committed:\n{status.stdout.rstrip()}")
    tree = Tree(ROOT)
    version = check_version(tree, text)
    check_notes(tree, version)

    tree.set_version(version)
    for package in tree.packages:
        result = towncrier(package, version, "--yes")
        if result.returncode:
            raise ReleaseError(f"`git restore --staged --worktree .` undoes this:\n{result.stderr}")
    return version


def main() -> None:
    """Run the command."""
    if len(sys.argv) != 2:
        sys.exit("usage: bump.py VERSION")
    try:
        version = bump(sys.argv[1])
    except ReleaseError as error:
        sys.exit(f"bump: {error}")
    print(f"Now look at it, then: git commit -am 'Release {version}' && git tag v{version}")


if __name__ == "__main__":
    main()
