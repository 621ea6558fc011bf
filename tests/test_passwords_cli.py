"""authserver passwords: making the filter of breached passwords, and checking it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from authserver.cli import main
from authserver.login.breach_filter import BreachFilter

Run = Callable[..., Result]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.setenv("AUTHSERVER_BREACHED_PASSWORDS", str(tmp_path / "breached.filter"))
    return lambda *arguments: CliRunner().invoke(main, ["passwords", *map(str, arguments)])


def test_a_list_becomes_the_filter_of_the_setting(run: Run, tmp_path: Path) -> None:
    words = tmp_path / "words.txt"
    words.write_text("walk the old dog\nseven brown foxes\n")
    told = json.loads(run("import", words, "--plain", "--json").output)
    assert (told["hashes"], told["file"]) == (2, str(tmp_path / "breached.filter"))
    assert told["bytes"] == (tmp_path / "breached.filter").stat().st_size
    assert "walk the old dog" in BreachFilter(tmp_path / "breached.filter")
    assert "2 hashes" in run("check").output


def test_a_folder_of_ranges_tells_how_much_of_all_it_is(run: Run, tmp_path: Path) -> None:
    folder = tmp_path / "ranges"
    folder.mkdir()
    (folder / "0A1B2.txt").write_text("0" * 35 + ":3\n" + "1" * 35 + ":1\n")
    done = run("import", folder, "--at-least", 2, "--file", tmp_path / "other.filter")
    assert done.exit_code == 0
    assert "1 hashes" in done.output and "ranges: 1 of 1048576" in done.output
    assert not (tmp_path / "breached.filter").exists()


def test_what_cannot_be_done_is_one_sentence(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    missing = run("import", tmp_path / "nowhere.txt")
    assert (missing.exit_code, "cannot be read" in missing.output) == (2, True)
    words = tmp_path / "words.txt"
    words.write_text("password\n")
    assert (run("import", words).exit_code, "line 1" in run("import", words).output) == (2, True)
    assert run("import", words, "--plain").exit_code == 0
    path = tmp_path / "breached.filter"
    damaged = bytearray(path.read_bytes())
    damaged[-1] ^= 1
    path.write_bytes(damaged)
    assert (run("check").exit_code, "damaged" in run("check").output) == (2, True)
    monkeypatch.delenv("AUTHSERVER_BREACHED_PASSWORDS")
    assert (run("check").exit_code, "--file" in run("check").output) == (1, True)
