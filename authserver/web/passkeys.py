"""Passkeys: what browsers ask them with, and those of the person who is signed in."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, Response, jsonify, make_response

from .. import context, crypto
from ..errors import Invalid
from ..login import SessionView
from ..login.webauthn import Ceremony, Purpose
from ..login.webauthn.credentials import name_of
from ..texts import Text
from . import csrf
from .guards import (
    BACK_TO_FACTORS,
    LAST_FACTOR,
    NOT_CHANGED,
    Onward,
    Refused,
    enrolled,
    fresh,
    holder,
    not_fresh,
    page,
    see_other,
    services,
    started_session,
)

blueprint = Blueprint("passkeys", __name__)

LOGIN, MFA, FACTORS = "login", "mfa", "factors"
AGAIN = Text("The passkey was not accepted. Try again, or use another one.")


@blueprint.post("/login/passkey/options", provide_automatic_options=False)
def login_options() -> Response:
    """What a browser asks its passkeys with, whoever may be there; the challenge is this browser's alone."""
    csrf.check(LOGIN)
    _within_limits()
    ceremony = Ceremony(Purpose.LOGIN, holder())
    return _options(services().passkeys.assertions.options(ceremony))


@blueprint.post("/mfa/passkey/options", provide_automatic_options=False)
def mfa_options() -> Response:
    """What a browser asks the passkeys of the person with who has given their password."""
    csrf.check(MFA)
    _within_limits()
    session = started_session()
    if session is None:
        return _options(None)
    ceremony = Ceremony(Purpose.MFA, session.sid, session.user_id)
    return _options(services().passkeys.assertions.options(ceremony))


@blueprint.post("/account/passkeys/options", provide_automatic_options=False)
def registration_options() -> Response:
    """What a browser makes a new passkey with."""
    csrf.check(FACTORS)
    _within_limits()
    session = started_session()
    return _options(None if session is None else services().passkey_changes.options(session))


@blueprint.post("/account/passkeys", provide_automatic_options=False)
def add() -> Response:
    """The passkey counts; recovery codes follow for who has none."""
    session, fields = _session()
    name = _named(fields.get("name", "") or str(_usual_name()))
    passkey = services().passkey_changes.add(session, fields.get("answer", ""), name)
    if passkey is not None:
        return enrolled(passkey, Onward.of(fields), "passkey_added")
    if not fresh(session):
        raise not_fresh()
    return page(400, NOT_CHANGED, AGAIN, BACK_TO_FACTORS)


@blueprint.post("/account/passkeys/rename", provide_automatic_options=False)
def rename() -> Response:
    """The passkey has another name, which says nothing about who may use it."""
    session, fields = _session()
    if not session.complete:
        raise not_fresh()
    if not services().passkey_changes.rename(session, _id(fields), _named(fields.get("name", ""))):
        return _no_such_one()
    return see_other("/account/security?notice=passkey_renamed")


@blueprint.post("/account/passkeys/remove", provide_automatic_options=False)
def remove() -> Response:
    """The passkey no longer counts, unless it is all that there is."""
    session, fields = _session()
    match services().passkey_changes.remove(session, _id(fields)):
        case "":
            return see_other("/account/security?notice=passkey_removed")
        case "unknown_factor":
            return _no_such_one()
        case "last_factor":
            return page(403, NOT_CHANGED, LAST_FACTOR, BACK_TO_FACTORS)
    raise not_fresh()


def _within_limits() -> None:
    """Refused when the address asks too often: each challenge is a row."""
    if services().login_limits.ask(context.current.get().address):
        raise Refused(429, Text("Too many requests"), Text("Wait a minute and reload this page."))


def _session() -> tuple[SessionView, dict[str, str]]:
    fields = csrf.check(FACTORS)
    session = started_session()
    if session is None:
        raise not_fresh()
    return session, fields


def _id(fields: dict[str, str]) -> bytes:
    try:
        return crypto.b64u_decode(fields.get("id", ""))
    except ValueError:
        return b""


def _no_such_one() -> Response:
    return page(404, Text("There is no such passkey"), Text("It was removed already."), BACK_TO_FACTORS)


def _named(text: str) -> str:
    """``text`` as the name of a passkey; Refused if it can be none."""
    try:
        return name_of(text)
    except Invalid as error:
        fault = Text("Give it a name of up to 60 characters.")
        raise Refused(400, NOT_CHANGED, fault, BACK_TO_FACTORS) from error


def _usual_name() -> Text:
    return Text("Passkey")


def _options(options: dict[str, Any] | None) -> Response:
    """The options for the page's script; 403 when the page must be shown anew."""
    return make_response(jsonify(options or {}), 200 if options else 403)
