"""Every line of shell in the documentation that calls authserver is run, in the order in which it stands."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from click.testing import CliRunner
from journey import PAYMENT, Journey, claims_of
from plugins.app import MASTER, World, make_settings, populate
from sqlalchemy import update
from test_cli_tree import RUNNING, documents, examples, words_of

from authserver.app import create_app
from authserver.cli import main
from authserver.db import table_of
from authserver.models.signing_key import SigningKey
from authserver.oauth.payment_evidence import Evidence, Statement, new_nonce

SHOPS = {
    "demo-merchant": ("client_secret_basic", ["authorization_code", "refresh_token"]),
    "demo-shop": ("client_secret_basic", ["authorization_code", "refresh_token"]),
}
# documents that make their people themselves, beginning with alice
WITH_PEOPLE = {"operations.md", "payments.md"}


def lines_of(document: Path) -> list[str]:
    """What runs of a document's shell blocks; a server that would never end does not."""
    blocks = re.findall(r"```(?:sh|shell)\n(.*?)```", document.read_text("utf-8"), re.DOTALL)
    found = [line for block in blocks for line in examples(block)]
    return [line for line in found if not any(f"authserver {name}" in line for name in RUNNING)]


DOCUMENTS = [document for document in documents() if lines_of(document)]


@pytest.fixture
def world(tmp_path: Path, sqlite_template: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    """What a command does to a database is tested elsewhere, on both: this is one server to run them on."""
    path = tmp_path / "authserver.db"
    path.write_bytes(sqlite_template.read_bytes())
    given = {"DATABASE_URL": f"sqlite:///{path}", "INSTANCE_DIR": str(tmp_path), "MASTER_KEYS": MASTER}
    for name, value in (given | {"ARGON2_MEMORY_KIB": "8", "ARGON2_TIME_COST": "1"}).items():
        monkeypatch.setenv(f"AUTHSERVER_{name}", value)
    monkeypatch.chdir(tmp_path)
    world = populate(create_app(make_settings(tmp_path, f"sqlite:///{path}")))
    with world.services.database.writing() as connection:
        # the next key has been published long enough to sign
        connection.execute(update(table_of(SigningKey)).values(published_at=1))
    # the template's rows may have waited longer than a log that somebody seals lets them
    world.services.sealer.seal()
    return world


def placeholders(world: World, with_people: bool) -> dict[str, str]:
    """What the words in capitals stand for."""
    known = {"CLIENT_ID": "web1", "REQUEST_ID": world.token().headers["X-Request-Id"]}
    if not with_people:
        return known
    journey = Journey(world).prepare("alice", SHOPS)
    first, second, third = (journey.tokens("demo-shop", scope="openid accounts:read") for _ in range(3))
    Path("token.txt").write_text(first["access_token"])
    journey.log_in()
    return known | {
        "JTI": claims_of(second["access_token"])["jti"],
        "GID": claims_of(third["access_token"])["gid"],
        "SID": journey.session.sid,
        "GRANT_ID": journey.grants["demo-shop"],
        "EVIDENCE_ID": evidence_id(world),
    }


def evidence_id(world: World) -> str:
    """The id of what proves a payment."""
    statement = Statement(
        payment=PAYMENT | {"creditorAccount": {}, "debtorAccount": {}},
        client_id="shop", request_id="r", nonce=new_nonce(), language="en", lines=("You pay 12.30 EUR",),
    )  # fmt: skip
    evidence = Evidence.of(statement, "totp", {"totpId": "t", "timeStep": "1"})
    journey = Journey(world).prepare("paula", {})
    services = world.services
    with services.database.writing() as connection:
        services.payment_evidences.keep_in(connection, evidence, journey.session, "gid", "shop")
    return evidence.evidence_id


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_the_commands_of_a_document_do_what_it_says(document: Path, world: World) -> None:
    known = placeholders(world, document.name in WITH_PEOPLE)
    for line in lines_of(document):
        if "TOKEN_ID" in line:
            listed = CliRunner().invoke(main, ["partners", "list", "--json"])
            known["TOKEN_ID"] = json.loads(listed.stdout)[0]["token_id"]
        words = [known.get(word, word) for word in words_of(line)]
        result = CliRunner().invoke(main, words)
        assert result.exit_code == 0, (line, result.output, result.exception)
        assert result.output.strip(), line
    world.services.database.engine.dispose()


def test_there_are_documents_with_commands() -> None:
    names = {document.name for document in DOCUMENTS}
    assert {"README.md", "operations.md", "registration.md", "partner-tutorial.md"} <= names
    assert len(lines_of(next(d for d in DOCUMENTS if d.name == "operations.md"))) > 25
