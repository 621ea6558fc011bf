"""What one warm request costs in statements, transactions, signatures and bytes: counted, not timed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

from joserfc.jws import JWSRegistry
from sqlalchemy import event
from werkzeug.test import Client, TestResponse

from authserver.app import create_app
from authserver.config import Settings
from authserver.db import Database, Insert

from .cases import TOKEN_FORM
from .people import REDEEMING, SHOP, settle
from .subjects import _basic, prepared, settings_for

COLUMNS = (
    "reads", "write statements", "rows inserted", "write transactions", "signatures", "verifications",
    "bytes in", "bytes out",
)  # fmt: skip


# each needs something that is good once; what is made once is made by then
ONCE = ("code", "revocation")


def counted(directory: Path) -> list[dict[str, Any]]:
    """The costs of each kind of request, on SQLite, in this process."""
    # no confirmation of caches falls due while a request is counted: it is one read a process and 500 ms
    settings = Settings.load({}, **settings_for(directory, 8000, cache_confirm_ms="1000"))
    services, content = prepared(settings, directory)
    people = settle(services)
    codes, assertions = people.codes(3), [people.assertion() for _ in range(2)]
    services.database.engine.dispose()
    app = create_app(settings)
    http = Client(app, TestResponse)
    merchant, api = _basic(content["clients"][0]), _basic(content["resource_servers"][0])
    base = settings.issuer

    def post(path: str, authorization: str, form: dict[str, str]) -> TestResponse:
        return http.post(
            path,
            base_url=base,
            data=form,
            headers={"Authorization": authorization} if authorization else {},
            environ_overrides={"REMOTE_ADDR": "127.0.0.1"},
        )

    def get(path: str, etag: str = "") -> TestResponse:
        headers = {"If-None-Match": etag} if etag else {}
        return http.get(path, base_url=base, headers=headers, environ_overrides={"REMOTE_ADDR": "127.0.0.1"})

    def token() -> str:
        return str(post("/token", merchant, TOKEN_FORM).get_json()["access_token"])

    live, spent, etag = token(), token(), get("/revocations").headers["ETag"]
    shop = _basic({"client_id": SHOP, "client_secret": people.secret})

    def redeem() -> TestResponse:
        return post("/token", shop, REDEEMING | {"code": codes.pop()})

    refreshes = [str(redeem().get_json()["refresh_token"]) for _ in range(2)]
    refresh = {"grant_type": "refresh_token"}
    kinds = {
        "client_credentials": lambda: post("/token", merchant, TOKEN_FORM),
        "client_credentials, private_key_jwt": lambda: post("/token", "", TOKEN_FORM | assertions.pop()),
        "code": redeem,
        "refresh": lambda: post("/token", shop, refresh | {"refresh_token": refreshes.pop()}),
        "introspection": lambda: post("/introspect", api, {"token": live}),
        "jwks": lambda: get("/jwks"),
        "metadata": lambda: get("/.well-known/oauth-authorization-server"),
        "revocations 200": lambda: get("/revocations"),
        "revocations 304": lambda: get("/revocations", etag),
        # last: it makes the list of revocations and the caches' numbers new
        "revocation": lambda: post("/revoke", merchant, {"token": spent}),
    }
    rows = []
    for name, send in kinds.items():
        if name not in ONCE:
            send()
        with _counting(app) as counts:
            answer = send()
        assert answer.status_code in (200, 304), (name, answer.status_code, answer.data)
        sent = answer.request.environ
        counts["bytes in"] = int(sent.get("CONTENT_LENGTH") or 0)
        counts["bytes out"] = len(answer.data)
        rows.append({"case": name} | {column: counts[column] for column in COLUMNS})
    return rows


def printed(rows: list[dict[str, Any]]) -> str:
    """The table in Markdown."""
    lines = [f"| case | {' | '.join(COLUMNS)} |", f"|---|{'--:|' * len(COLUMNS)}"]
    lines += [f"| {row['case']} | {' | '.join(str(row[c]) for c in COLUMNS)} |" for row in rows]
    return "\n".join(lines)


@contextmanager
def _counting(app: Any) -> Iterator[Counter[str]]:
    """Statements of the app's engine, and signatures made and verified, while the block runs."""
    counts: Counter[str] = Counter()
    engine = app.extensions["authserver"].database.engine
    es256 = type(JWSRegistry.algorithms["ES256"])

    def executed(_connection: Any, _cursor: Any, statement: str, parameters: Any, *rest: Any) -> None:
        many = rest[-1]
        word = statement.split(None, 1)[0].upper()
        if word in ("SELECT", "PRAGMA"):
            counts["reads"] += 1
        else:
            counts["write statements"] += 1
            counts["rows inserted"] += (len(parameters) if many else 1) if word == "INSERT" else 0

    def inserted(database: Database, kind: Insert, added: Any) -> None:
        counts["write statements"] += 1
        counts["rows inserted"] += len(added)
        counts["write transactions"] += 1
        insert(database, kind, added)

    insert = Database.insert

    def begun(connection: Any) -> None:
        counts["write transactions"] += bool(connection.get_execution_options().get("authserver_writes"))

    def counting(name: str, original: Any) -> Any:
        def call(*arguments: Any) -> Any:
            counts[name] += 1
            return original(*arguments)

        return call

    event.listen(engine, "before_cursor_execute", executed)
    event.listen(engine, "begin", begun)
    try:
        with (
            mock.patch.object(es256, "sign", counting("signatures", es256.sign)),
            mock.patch.object(es256, "verify", counting("verifications", es256.verify)),
            # what goes to the driver past the engine
            mock.patch.object(Database, "insert", inserted),
        ):
            yield counts
    finally:
        event.remove(engine, "before_cursor_execute", executed)
        event.remove(engine, "begin", begun)
