"""What is committed names no registry and no machine, is finished, and holds to its sizes."""

from __future__ import annotations

import re
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parent.parent
LOCKS = ("requirements.lock", "requirements-dev.lock", "requirements-build.lock")
# What git would not track, for a copy of the project without its history.
IGNORED = {".git", ".venv", "instance", "build", "dist", "__pycache__", "node_modules", "htmlcov"}

# In two parts, so that this file does not find itself.
REGISTRIES = [
    ("pypi", ".org"),
    ("python", "hosted.org"),
    ("npm", "js.org"),
    ("npm", "js.com"),
    ("crates", ".io"),
    ("golang", ".org"),
    ("maven", ".org"),
    ("maven.apache", ".org"),
    ("debian", ".org"),
]
MACHINE_PATH = re.compile(r"(?<![\w.~$}])/(?:work|r[o]ot|home/\w+|Users/\w+)/")
UNFINISHED = re.compile(r"\b(?:T[O]DO|F[I]XME)\b")


def tracked() -> Iterator[Path]:
    """The files that are committed, or would be by `git add .`; every file where there is no git."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if listed.returncode == 0:
        paths = [ROOT / name for name in listed.stdout.split("\0") if name]
    else:
        paths = [path for path in ROOT.rglob("*") if not IGNORED & set(path.relative_to(ROOT).parts)]
    yield from (path for path in paths if path.is_file() and path.suffix != ".pyc")


def matches(pattern: re.Pattern[str]) -> list[str]:
    found = []
    for path in tracked():
        try:
            lines = path.read_text(encoding="utf-8").splitlines()
        except UnicodeDecodeError:
            continue
        found += [
            f"{path.relative_to(ROOT)}:{number}: {line.strip()[:100]}"
            for number, line in enumerate(lines, 1)
            if pattern.search(line)
        ]
    return found


def locked(lock: str) -> dict[str, str]:
    """Name → version of every requirement in a lock file."""
    lines = (ROOT / lock).read_text().splitlines()
    requirements = [Requirement(line.rstrip(" \\")) for line in lines if line[:1].isalnum()]
    return {canonicalize_name(one.name): str(one.specifier).removeprefix("==") for one in requirements}


def test_no_file_names_a_package_registry() -> None:
    assert matches(re.compile("|".join(re.escape("".join(parts)) for parts in REGISTRIES))) == []


def test_no_file_names_a_folder_of_one_machine() -> None:
    assert matches(MACHINE_PATH) == []


def test_nothing_is_marked_as_unfinished() -> None:
    assert matches(UNFINISHED) == []


def test_no_server_module_is_longer_than_300_lines() -> None:
    sizes = {path: len(path.read_text().splitlines()) for path in (ROOT / "authserver").rglob("*.py")}
    assert [f"{path.relative_to(ROOT)}: {size}" for path, size in sizes.items() if size > 300] == []


@pytest.mark.parametrize("lock", LOCKS)
def test_a_lock_file_has_a_hash_for_every_package_and_no_address(lock: str) -> None:
    content = (ROOT / lock).read_text()
    assert re.findall(r"https?:|file:|git\+|--(?:extra-)?index-url|--find-links", content) == []
    for block in re.split(r"^(?=[A-Za-z0-9])", content, flags=re.M):
        assert not block.strip() or "--hash=sha256:" in block, block


def test_every_declared_dependency_is_locked_at_a_version_that_it_allows() -> None:
    pyproject = tomllib.loads((ROOT / "pyproject.toml").read_text())
    project = pyproject["project"]
    declared = {
        "requirements.lock": project["dependencies"],
        "requirements-dev.lock": [*project["dependencies"], *project["optional-dependencies"]["dev"]],
        "requirements-build.lock": pyproject["dependency-groups"]["build"],
    }
    for lock, requirements in declared.items():
        versions = locked(lock)
        for requirement in map(Requirement, requirements):
            version = versions.get(canonicalize_name(requirement.name))
            assert version, f"{requirement} is not in {lock}: make lock"
            assert requirement.specifier.contains(version), f"{requirement} is {version} in {lock}: make lock"


def test_the_lock_files_agree_so_that_one_environment_serves_them_all() -> None:
    largest = locked("requirements-dev.lock")
    assert locked("requirements.lock").items() <= largest.items()
    build = locked("requirements-build.lock")
    assert {name: largest[name] for name in build if name in largest}.items() <= build.items()
