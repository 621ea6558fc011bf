"""What the question tells a person, in the language of the page."""

from __future__ import annotations

import json
from typing import Any

from babel.numbers import get_decimal_symbol

from ... import crypto
from ...clients.redirect_uris import place_of
from ...oauth.consent import Shown
from ...oauth.interactions import InteractionRecord
from ...oauth.payment import Account
from ...oauth.payment_evidence import NextTime
from ...texts import Text
from ..guards import language, services, translated

# asking for a factor the next time too: what every choice begins with
ASK: NextTime = "ask"
CHOICES: dict[NextTime, Text] = {
    ASK: Text("Ask me every time"),
    "payee": Text("Do not ask again for this payee"),
    "amount": Text("Do not ask again for this amount to this payee"),
}
NEXT_TIME = Text("Your passkey or code the next time")

NARROW_SPACE, NO_BREAK_SPACE = "\u202f", "\u00a0"


def money(amount: dict[str, str]) -> str:
    """An amount for people: ``1 234.50 EUR``, in German ``1 234,50 EUR``.

    Thousands are set apart by a space that does not break: a point or comma is decimal in one language and
    not in another.
    """
    whole, point, rest = amount["amount"].partition(".")
    thousands = f"{int(whole):,}".replace(",", NARROW_SPACE)
    decimals = get_decimal_symbol(language()) + rest if point else ""
    return f"{thousands}{decimals}{NO_BREAK_SPACE}{amount['currency']}"


def iban(text: str) -> str:
    """An IBAN in groups of four, as it is printed (ISO 13616)."""
    return " ".join(text[place : place + 4] for place in range(0, len(text), 4))


def asked(interaction: InteractionRecord) -> dict[str, Any]:
    """What the page tells of the request, as it stands now and in its language.

    The client and where it gets the answer, the sentences of scopes, the payment and its amount in words.
    """
    rooms, request = services(), interaction.request
    known = rooms.scopes.all()
    # what a receipt tells in detail is not told again in general
    told = {detail["type"] for detail in request.authorization_details or ()}
    scopes = [known[name] for name in request.consent_scopes if name in known]
    client = rooms.clients.get(request.client_id)
    return {
        "client": client,
        "host": place_of(request.redirect_uri, client.application_type if client else "web"),
        "scopes": [
            scope.sentence(language()) for scope in scopes if scope.authorization_details_type not in told
        ],
        "payment": request.payment,
        "amount": money(request.payment["instructedAmount"]) if request.payment else "",
    }


def choices(offered: tuple[NextTime, ...]) -> dict[NextTime, Text]:
    """What the page offers for the next time, in its words; nothing where there is no choice."""
    return {choice: CHOICES[choice] for choice in (ASK, *offered)} if offered else {}


def shown(told: dict[str, Any]) -> Shown:
    """The page's language, and a digest that goes into the form: two pages share it if they say the same."""
    client = told["client"]
    name = client.client_name if client else None
    words = [language(), name, translated(told["host"]), told["scopes"], told["payment"], told["amount"]]
    words += [list(told["choices"])] if told.get("choices") else []
    return Shown(language(), crypto.b64u(crypto.digest(json.dumps(words))))


def lines(told: dict[str, Any], account: Account, chosen: NextTime) -> tuple[str, ...]:
    """The text of templates/approve_payment.html that a payer reads before they approve, line by line.

    Of what they may choose for the next time it has what they chose.
    """
    payment, client = told["payment"], told["client"]
    name = client.client_name or "" if client else ""
    found = [
        translated(Text("Approve this payment?")),
        f"{translated(Text('You pay'))} {told['amount']}",
        _line(Text("To"), payment["creditorName"]),
        _line(Text("Payee's account"), iban(payment["creditorAccount"]["iban"])),
    ]
    if "bic" in payment["creditorAccount"]:
        found.append(_line(Text("BIC"), payment["creditorAccount"]["bic"]))
    if remittance := payment.get("remittanceInformationUnstructured"):
        found.append(_line(Text("Reference"), remittance))
    found.append(_line(Text("Asked for by"), f"{name} {translated(told['host'])}"))
    found.append(_line(Text("Pay from"), f"{translated(account.name)} {iban(account.iban)}"))
    if told["scopes"]:
        also = translated(Text("<bdi>%(name)s</bdi> will also be able to:"))
        found.append(also.replace("<bdi>", "").replace("</bdi>", "") % {"name": name})
        found += told["scopes"]
    if told["choices"]:
        found.append(_line(NEXT_TIME, translated(CHOICES[chosen])))
    return tuple(found)


def _line(label: str, value: str) -> str:
    return f"{translated(label)}: {value}"
