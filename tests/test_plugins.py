"""The suite's own plugins, each run by a pytest of its own over a few planted tests."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from plugins.groups import FOLDERS, MODULES, group_of
from plugins.spec import mistake_in

PLANTED = """
import pytest

@pytest.mark.spec("RFC 9126", "2.10")
def test_par_ten(): pass

@pytest.mark.spec("RFC 9126", "2.9")
@pytest.mark.spec("RFC 6749", "4.1")
@pytest.mark.parametrize("n", [1, 2])
def test_par_nine(n): assert n == 1

@pytest.mark.spec("PSD2 RTS", "art. 5")
@pytest.mark.xfail(strict=True)
def test_expected(): assert False
"""
SKIPPED = """
import pytest

def test_runs(): pass

def test_leaves(): pytest.skip("PostgreSQL is not installed")
"""


Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    def run(source: str, *arguments: str, ci: bool = False) -> subprocess.CompletedProcess[str]:
        (tmp_path / "test_planted.py").write_text(source)
        (tmp_path / "pytest.ini").write_text("[pytest]\nmarkers = spec(document, section)\n")
        environment = {name: value for name, value in os.environ.items() if name != "CI"}
        environment |= {"PYTHONPATH": str(Path(__file__).parent)} | ({"CI": "true"} if ci else {})
        plugins = ["-p", "plugins.skips", "-p", "plugins.spec", "-p", "no:cacheprovider"]
        return subprocess.run(
            [sys.executable, "-m", "pytest", "--strict-markers", *plugins, *arguments],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )

    return run


def test_every_skip_is_counted_and_named_with_its_reason(run: Run) -> None:
    done = run(SKIPPED)
    assert done.returncode == 0
    assert "skipped: 1" in done.stdout
    assert "test_planted.py::test_leaves: PostgreSQL is not installed" in done.stdout


def test_a_skip_fails_a_run_in_ci(run: Run) -> None:
    done = run(SKIPPED, ci=True)
    assert done.returncode == 1
    assert "CI=true: a skipped test fails the run" in done.stdout


def test_a_module_that_skips_itself_whole_fails_a_run_in_ci(run: Run) -> None:
    done = run('import pytest\npytest.skip("no browser", allow_module_level=True)\n', ci=True)
    assert done.returncode == 1
    assert "test_planted.py: no browser" in done.stdout


def test_a_run_without_skips_says_so_and_an_expected_failure_is_none(run: Run) -> None:
    done = run("import pytest\n@pytest.mark.xfail\ndef test_x(): assert False\n", ci=True)
    assert done.returncode == 0
    assert "skipped: none" in done.stdout


def test_the_report_ties_sections_to_tests_and_results_in_natural_order(run: Run, tmp_path: Path) -> None:
    run(PLANTED, "--spec-report=out/spec.md")
    assert (tmp_path / "out" / "spec.md").read_text() == (
        """# Specification sections and their tests

## PSD2 RTS

| section | test | result |
| --- | --- | --- |
| art. 5 | `test_planted.py::test_expected` | xfailed |

## RFC 6749

| section | test | result |
| --- | --- | --- |
| 4.1 | `test_planted.py::test_par_nine` | failed (1 of 2) |

## RFC 9126

| section | test | result |
| --- | --- | --- |
| 2.9 | `test_planted.py::test_par_nine` | failed (1 of 2) |
| 2.10 | `test_planted.py::test_par_ten` | passed |
"""
    )


def test_a_marker_that_names_no_document_or_section_stops_the_run(run: Run) -> None:
    done = run('import pytest\n@pytest.mark.spec("RFC 9126")\ndef test_x(): pass\n')
    assert done.returncode == pytest.ExitCode.USAGE_ERROR
    assert "test_planted.py::test_x: the spec marker takes two strings" in done.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ("RFC9126", "2.1"),
        ("RFC 9126", ""),
        ("RFC 9126", 2.1),
        ("RFC 9126", "2|1"),
        ("", "2.1"),
        ("RFC 9", "2", "3"),
    ],
)
def test_a_marker_must_name_a_document_and_a_section(arguments: tuple[object, ...]) -> None:
    assert mistake_in(pytest.mark.spec(*arguments).mark)


@pytest.mark.parametrize(
    "arguments",
    [("RFC 9126", "2.1"), ("OpenID Connect Core", "3.1.2.1"), ("PSD2 RTS", "art. 5"), ("RFC 7591", "A.1")],
)
def test_a_marker_may_name_any_document(arguments: tuple[str, str]) -> None:
    assert mistake_in(pytest.mark.spec(*arguments).mark) is None


def test_tests_of_one_group_run_in_one_process(tmp_path: Path) -> None:
    folder = tmp_path / "tests" / "browser"
    folder.mkdir(parents=True)
    planted = "import os, pathlib, pytest\n@pytest.mark.parametrize('n', range(8))\ndef test_a(n):\n"
    planted += f"    pathlib.Path({str(tmp_path)!r}, os.environ['PYTEST_XDIST_WORKER'] + '.ran').touch()\n"
    for name in ("test_one.py", "test_two.py"):
        (folder / name).write_text(planted)
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    plugins = ["-p", "plugins.groups", "-p", "no:cacheprovider", "--import-mode=importlib"]
    subprocess.run(
        [sys.executable, "-m", "pytest", "-q", *plugins, "-n", "2", "--dist", "loadgroup"],
        cwd=tmp_path,
        env=dict(os.environ) | {"PYTHONPATH": str(Path(__file__).parent)},
        capture_output=True,
        check=True,
    )
    assert len(list(tmp_path.glob("*.ran"))) == 1


def test_cases_of_an_area_are_a_group_on_each_database_and_others_stand_alone() -> None:
    attacks = "tests/attacks/test_attacks.py::test_attack"
    same = [group_of(f"{attacks}[sqlite-{case}]") for case in ("RU-001", "RU-049x2")]
    other = [group_of(f"{attacks}[postgresql-RU-001]"), group_of(f"{attacks}[sqlite-RV-001]")]
    alone = [group_of(f"{attacks}_on_an_app_of_its_own[sqlite-RU-{number}]") for number in (1, 2)]
    assert same[0] == same[1]
    assert len({same[0], *other, *alone}) == 5
    servers = [group_of(f"{attacks}_on_a_server[HT-{number}]") for number in (1, 2)]
    assert servers[0] == servers[1]


def test_every_group_names_files_that_there_are() -> None:
    here = Path(__file__).parent
    assert [name for name in (*FOLDERS, *MODULES) if not (here / name).exists()] == []
