"""What clients hear of logouts."""

from __future__ import annotations

from typing import Any

from receiver import Receiver, verified

from authserver import clock
from authserver.oauth.backchannel_logout import EVENT

from ..forge import claims_of
from ..runner import Run


def hear_of_logout(run: Run, clients: list[str], tokens: list[str]) -> None:
    """Each of ``clients``, which holds ``tokens``, is told once, in a token that its library would take."""
    with Receiver() as receiver:
        for client in clients:
            run.world.services.clients.set_logout(client, ["https://client.example/bye"], receiver.uri)
        run.world.services.versions.forget()
        fields = {"id_token_hint": run.saved[tokens[0]]["id_token"]}
        query = f"id_token_hint={fields['id_token_hint']}"
        rows = {"session": 0, "authorization": 0, "revocation": len(tokens), "logout_delivery": len(clients)}
        expect = {"status": 200, "page": True, "rows": rows, "audit": ["logout.done"]}
        run.send(expect, send="GET /end_session", query=query, browser="alice")
        assert receiver.heard == []
        assert run.world.services.backchannel_logout.deliver() == len(clients)
        told = {claims["aud"]: claims for claims in (verified(run.world, h.token) for h in receiver.heard)}
        run.secrets |= {heard.token for heard in receiver.heard}
        assert sorted(told) == sorted(clients)
        assert len({claims["jti"] for claims in told.values()}) == len(clients)
        for client, name in zip(clients, tokens, strict=True):
            _check(told[client], claims_of(run.saved[name]["id_token"]))
        sent = run.world.events("logout.backchannel.sent")
        assert sorted(row["client_id"] for row in sent) == sorted(clients)
        assert {(row["actor"], row["outcome"]) for row in sent} == {("system", "succeeded")}


def _check(claims: dict[str, Any], id_token: dict[str, Any]) -> None:
    assert set(claims) == {"iss", "aud", "iat", "exp", "jti", "sub", "sid", "events"}
    assert (claims["iss"], claims["sub"], claims["sid"]) == tuple(id_token[n] for n in ("iss", "sub", "sid"))
    assert clock.now() - 5 <= claims["iat"] <= clock.now() < claims["exp"] <= claims["iat"] + 120
    assert claims["events"] == {EVENT: {}}
