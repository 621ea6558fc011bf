"""What a person allows and approved, and the end of it."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from flask import Response, request

from ...clients import ClientRecord, login_uris
from ...oauth.consent import Allowed
from ...texts import Text
from .. import csrf
from ..guards import (
    Onward,
    come_back_to,
    current_session,
    language,
    login_redirect,
    page,
    see_other,
    services,
    show,
    translated,
)
from .blueprint import PURPOSE, blueprint, here
from .paging import Turning

PATH = "/account/consents"
BACK = (PATH, Text("What you allow"))
NOTICES = {
    "payment_withdrawn": Text(
        "Your approval is withdrawn. The application can no longer use it. "
        "A payment that was made already is not undone by this."
    ),
    "payee_ended": Text("You will be asked for your passkey or code again. Nothing that was paid is undone."),
}
# about a client, once it is true of it
NOTICES_OF_CLIENTS = {
    "withdrawn": Text("%(name)s may do nothing for you any more without asking again.", name=""),
}
STATES = {
    "waiting": Text("Approved, not yet fetched by the application"),
    "fetched": Text("Approved and fetched by the application"),
    "missed": Text("Never fetched by the application, and over"),
    "ended": Text("Withdrawn or ended"),
}


@blueprint.get(PATH, provide_automatic_options=False)
def allowed() -> Response:
    """Which applications may do what, and the payments that were approved."""
    found = here()
    if found is None:
        return login_redirect(Onward(then="consents"))
    user_id, rooms = found[1].user_id, services()
    turning = Turning(PATH, ("allowed", "payments"))
    come_back_to(turning.here)
    return show(
        "account_consents.html",
        allowed=turning.part("allowed", lambda first, most: _allowed(user_id, first, most)),
        payments=turning.part("payments", lambda first, most: _payments(user_id, first, most)),
        turn=turning.to,
        notice=_notice(user_id),
        # where nobody can trust a payee there is no list to look up
        trusting=rooms.exemptions.keeps_lists,
        payees=rooms.trusted_payees.of(user_id) if rooms.exemptions.keeps_lists else (),
    )


@blueprint.post(f"{PATH}/withdraw", provide_automatic_options=False)
def withdraw() -> Response:
    """A client may do nothing more in the person's name, and all that it held has ended."""
    fields = csrf.check(PURPOSE)
    session = current_session()
    if session is None:
        return login_redirect()
    client_id = fields.get("client_id", "")
    if not services().consents.withdraw(session.user_id, client_id):
        title = Text("There is nothing to withdraw")
        return page(404, title, Text("It was withdrawn already."), BACK)
    return see_other(f"{PATH}?notice=withdrawn&client={quote(client_id, safe='')}")


@blueprint.post("/account/payments/withdraw", provide_automatic_options=False)
def withdraw_payment() -> Response:
    """A payment that the person approved can no longer be made by it."""
    fields = csrf.check(PURPOSE)
    session = current_session()
    if session is None:
        return login_redirect()
    if not services().approved_payments.withdraw(session.user_id, fields.get("payment", "")):
        text = Text("It was withdrawn, or its time is over. Ask the payee about a payment that was made.")
        return page(404, Text("There is nothing to withdraw"), text, BACK)
    return see_other(f"{PATH}?notice=payment_withdrawn")


@blueprint.post("/account/payees/end", provide_automatic_options=False)
def end_payee() -> Response:
    """Payments to a payee whom the person trusted need a factor again."""
    fields = csrf.check(PURPOSE)
    session = current_session()
    if session is None:
        return login_redirect()
    if not services().trusted_payees.end(session, fields.get("payee", "")):
        text = Text("It was ended already: you are asked for your passkey or code.")
        return page(404, Text("There is nothing to end"), text, BACK)
    return see_other(f"{PATH}?notice=payee_ended")


def _notice(user_id: str) -> str:
    name = request.args.get("notice", "")
    if name not in NOTICES_OF_CLIENTS:
        return translated(NOTICES.get(name, ""))
    # a link can name any client: it is told only of one that this person withdrew from
    client = services().clients.get(request.args.get("client", ""))
    if client is None or not services().consents.ended(user_id, client.client_id):
        return ""
    return translated(Text(NOTICES_OF_CLIENTS[name].message, name=client.client_name))


def _allowed(user_id: str, first: int, most: int) -> list[dict[str, Any]]:
    """Each client that the person allows something, and in words what."""
    return [_client(one.client_id) | _in_words(one) for one in services().consents.of(user_id, first, most)]


def _begins(client: ClientRecord | None) -> str | None:
    """Where a login at the client begins, if it said so and is active (OpenID Connect Core §4)."""
    if client is None or not client.active or client.initiate_login_uri is None:
        return None
    return login_uris.begin(client.initiate_login_uri, services().settings.issuer)


def _in_words(allowed: Allowed) -> dict[str, Any]:
    known = services().scopes.all()
    return {
        "sentences": [known[name].sentence(language()) for name in allowed.scopes if name in known],
        "since": allowed.since,
        "last_used": allowed.last_used,
    }


def _payments(user_id: str, first: int, most: int) -> list[dict[str, Any]]:
    """Each payment that the person approved, and what became of it."""
    return [
        _client(one.client_id)
        | {"id": one.gid, "when": one.created_at, "open": one.open, "state": translated(STATES[one.state])}
        | one.payment
        for one in services().approved_payments.of(user_id, first, most)
    ]


def _client(client_id: str) -> dict[str, Any]:
    """What lists tell of an application; clients of one name are told apart by where they send people."""
    client = services().clients.get(client_id)
    if client is None:
        return {"client_id": client_id, "name": client_id, "place": "", "begins": None}
    return {
        "client_id": client_id,
        "name": client.client_name,
        "place": translated(client.place),
        "begins": _begins(client),
    }
