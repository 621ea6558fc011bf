"""`authserver risk`: a model made of the sign-ins of this server, and what it is measured by."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from plugins.app import MASTER, World
from plugins.people import Browser, add_user
from sqlalchemy import insert, select

from authserver.cli import main
from authserver.db import table_of
from authserver.login.risk.model import read
from authserver.models.sign_in import SignIn

rows = table_of(SignIn)
Run = Callable[..., Result]


@pytest.fixture
def run(database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs a command on this test's database, in this process."""
    for name, value in {
        "DATABASE_URL": database_url,
        "INSTANCE_DIR": str(tmp_path),
        "MASTER_KEYS": MASTER,
    }.items():
        monkeypatch.setenv(f"AUTHSERVER_{name}", value)
    monkeypatch.chdir(tmp_path)
    return lambda *arguments: CliRunner().invoke(main, list(arguments))


def test_a_model_is_made_of_completed_sign_ins_and_of_no_others(
    run: Run, world: World, tmp_path: Path
) -> None:
    add_user(world.services, "alice")
    Browser(world.app).log_in()
    few = run("risk", "train", "--out", "model.json")
    assert (few.exit_code, "fewer than 1000" in few.output) == (1, True)
    assert not (tmp_path / "model.json").exists()
    with world.services.database.writing() as connection:
        row = dict(connection.execute(select(rows)).mappings().one())
        copies = [row | {"id": f"c{n}", "at": row["at"] + n} for n in range(1, 1200)]
        refused = [row | {"id": f"r{n}", "completed_at": None, "country": "JP"} for n in range(300)]
        connection.execute(insert(rows), copies + refused)
    made = run("risk", "train", "--out", "model.json", "--json")
    assert made.exit_code == 0, made.output
    assert json.loads(made.output)["learned"] == read(tmp_path / "model.json").learned == 1200
    measured = run("risk", "evaluate", "--people", "20", "--model", "model.json", "--json")
    assert measured.exit_code == 0, measured.output
    assert json.loads(measured.output)["learned"] == 1200


def test_a_model_is_never_judged_by_what_it_learned_from(run: Run) -> None:
    refused = run("risk", "evaluate", "--seed", "1")
    assert (refused.exit_code, "take another one" in refused.output) == (2, True)


def test_files_that_hold_no_events_and_no_model_are_refused_in_a_sentence(run: Run, tmp_path: Path) -> None:
    (tmp_path / "junk").write_text("junk\n")
    for option in ("--events", "--model"):
        refused = run("risk", "evaluate", "--people", "20", option, "junk")
        assert refused.exit_code == 2, refused.output
        assert refused.output.startswith("authserver: ")
        assert "junk" in refused.output
