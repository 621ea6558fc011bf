"""HEAD asks for what a GET would say, and changes nothing (RFC 9110 §9.2.1): on every route, new ones too."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import urlencode

import pytest
from asking import CALLBACK, Asking, answer, ask, decide, follow, parameters, request_id, start
from plugins.app import Moving
from sqlalchemy import select

from authserver.audit.chain import rows as audit_rows
from authserver.db import Base

CHANGING = ["/authorize", "/authorize/resume", "/end_session", "/end_session/resume"]


def rows(asking: Asking) -> dict[str, Any]:
    """Everything that rests, but for what is on record."""
    with asking.world.services.database.reading() as connection:
        return {
            table.name: sorted(map(repr, connection.execute(select(table)).all()))
            for table in Base.metadata.sorted_tables
            if table is not audit_rows
        }


@pytest.mark.spec("RFC 9110", "9.2.1")
def test_it_changes_nothing_anywhere(asking: Asking, moving_clock: Moving) -> None:
    services = asking.world.services
    services.clients.set_logout("shop", ["https://client.example/bye"], None)
    browser = asking.browser(logged_in=True)
    code = answer(decide(browser, start(browser)))["code"]
    id_token = asking.redeem(code).json["id_token"]
    waiting, hint = ask(browser), {"id_token_hint": id_token}
    posted = browser.post("/end_session", hint)
    queries = [
        urlencode({"request": request_id(waiting)}),
        urlencode({"request": request_id(posted)}),
        urlencode(hint),
        urlencode(parameters()),
    ]
    # late enough for a visit to be noted
    moving_clock.walk(60)
    before = rows(asking)
    for rule in asking.app.url_map.iter_rules():
        path = re.sub(r"<[^>]+>", "x", rule.rule)
        for query in queries:
            response = browser._open("HEAD", f"{path}?{query}", {})
            assert CALLBACK not in (response.location or ""), path
            assert response.status_code < 500, path
            if path in CHANGING:
                assert response.status_code == 405, path
                assert "HEAD" not in response.headers["Allow"]
    assert rows(asking) == before
    # all of it still works when it is asked for
    assert "code=" in follow(browser, waiting).location
    assert "signed out" in follow(browser, posted).text
