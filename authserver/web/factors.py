"""Second factors of the person who is signed in: adding, replacing and removing them."""

from __future__ import annotations

import segno
from flask import Blueprint, Response, request
from markupsafe import Markup

from .. import crypto
from ..acr import PHISHING_RESISTANT
from ..interaction import Step
from ..login import Device, SessionView
from ..login.factor_changes import Begun
from ..texts import Text
from ..users import UserRecord
from . import csrf
from .guards import (
    BACK_TO_FACTORS,
    DEVICE,
    LAST_FACTOR,
    NOT_CHANGED,
    Onward,
    allow_form_redirect,
    asking,
    come_back_to,
    cookie,
    current_session,
    due,
    enrolled,
    fresh,
    login_redirect,
    not_fresh,
    page,
    place,
    recovery_codes_page,
    see_other,
    services,
    show,
    started_session,
)

blueprint = Blueprint("factors", __name__)

PURPOSE = "factors"
WRONG_CODE = Text("That code is not right. Check that the clock of your device is, and enter the next one.")
NOTICES = {
    "totp_added": Text("Your authenticator app is set up."),
    "device_revoked": Text("That device is no longer known."),
    "passkey_added": Text("Your passkey is set up."),
    "passkey_renamed": Text("Your passkey has its new name."),
    "passkey_removed": Text("That passkey no longer works here."),
    "totp_removed": Text("Your authenticator app no longer works here."),
}


@blueprint.get("/account/security", provide_automatic_options=False)
def security() -> Response:
    """How the person signs in, and what they can change about it."""
    session = current_session()
    if session is None:
        return login_redirect(Onward(then="security"))
    come_back_to("/account/security")
    rooms = services()
    factors = rooms.mfa.factors(session.user_id)
    return show(
        "security.html",
        user=rooms.users.get(session.user_id),
        factors=factors,
        passkeys=rooms.passkey_changes.of(session.user_id),
        fresh=rooms.mfa.fresh(session, factors),
        notice=NOTICES.get(request.args.get("notice", "")),
        devices=_devices(session),
    )


@blueprint.get("/second-factor", provide_automatic_options=False)
def choose() -> Response:
    """Which second factor to set up, for who must have one before they go on."""
    session, onward = started_session(), Onward.of(request.args)
    if session is None:
        return login_redirect(onward)
    step = due(onward, session)
    if step.step is not Step.ENROL:
        return see_other(place(step, onward))
    come_back_to(onward.by("/second-factor"))
    allow_form_redirect()
    asked = asking(onward.request_id) if onward.request_id else None
    passkey_only = step.acr == PHISHING_RESISTANT
    return show("second_factor.html", onward=onward, asked=asked, passkey_only=passkey_only)


@blueprint.app_template_filter("credential_id")
def credential_id(id_: bytes) -> str:
    """The id of a passkey as forms carry it."""
    return crypto.b64u(id_)


@blueprint.post("/account/totp", provide_automatic_options=False)
def begin_totp() -> Response:
    """A new secret, shown this once: as a QR code and as text."""
    session, onward = _session()
    user = _person(session)
    begun = services().factor_changes.begin_totp(session, user.username)
    if begun is None:
        raise not_fresh()
    return _totp_page(begun, onward)


@blueprint.post("/account/totp/confirm", provide_automatic_options=False)
def confirm_totp() -> Response:
    """The app counts once its code is right; recovery codes follow for who has none."""
    session, onward = _session()
    user, fields = _person(session), csrf.fields()
    changes, totp_id = services().factor_changes, fields.get("totp_id", "")
    app = changes.confirm_totp(session, totp_id, fields.get("code", ""))
    if app is not None:
        return enrolled(app, onward, "totp_added")
    begun = changes.pending_totp(session, totp_id, user.username)
    if begun is None or not fresh(session):
        raise not_fresh()
    return _totp_page(begun, onward, 400, WRONG_CODE)


@blueprint.post("/account/totp/remove", provide_automatic_options=False)
def remove_totp() -> Response:
    """The app no longer counts, unless it is all that there is."""
    session, _ = _session()
    match services().factor_changes.remove_totp(session, csrf.fields().get("totp_id", "")):
        case "":
            return see_other("/account/security?notice=totp_removed")
        case "unknown_factor":
            return page(404, NOT_CHANGED, Text("It was removed or replaced already."), BACK_TO_FACTORS)
        case "last_factor":
            return page(403, NOT_CHANGED, LAST_FACTOR, BACK_TO_FACTORS)
    raise not_fresh()


@blueprint.post("/account/devices/revoke", provide_automatic_options=False)
def revoke_device() -> Response:
    """The person is no longer known by one of their devices; to be asked for more needs no fresh proof."""
    fields, session = csrf.check(PURPOSE), current_session()
    if session is None:
        return login_redirect(Onward(then="security"))
    services().device_trust.revoke(session.user_id, fields.get("device_id", ""))
    return see_other("/account/security?notice=device_revoked")


@blueprint.post("/account/recovery-codes", provide_automatic_options=False)
def renew_codes() -> Response:
    """Ten new recovery codes, shown this once."""
    session, _ = _session()
    codes = services().factor_changes.renew_codes(session)
    if codes is None:
        raise not_fresh()
    return recovery_codes_page(codes, "/account/security")


def needs_passkey() -> bool:
    """Whether changes wait for a passkey of the person: they have one, and have not signed in with it."""
    session = started_session()
    if session is None or session.acr == PHISHING_RESISTANT:
        return False
    return services().mfa.factors(session.user_id).passkeys > 0


def _session() -> tuple[SessionView, Onward]:
    """The session whose factors change, and where the person goes on to; Refused without one."""
    onward = Onward.of(csrf.check(PURPOSE))
    session = started_session()
    if session is None:
        raise not_fresh()
    return session, onward


def _devices(session: SessionView) -> list[Device]:
    return services().device_trust.list(session.user_id, cookie(DEVICE))


def _person(session: SessionView) -> UserRecord:
    return services().users.must(session.user_id)


def _totp_page(begun: Begun, onward: Onward, status: int = 200, error: str | None = None) -> Response:
    # drawn in the text's colour on white, whatever the scheme: cameras read dark on light
    picture = segno.make_qr(begun.uri).svg_inline(scale=4, border=4, dark="#000", light="#fff", omitsize=True)
    key = " ".join(begun.secret[at : at + 4] for at in range(0, len(begun.secret), 4))
    return show(
        "totp.html",
        status,
        begun=begun,
        picture=Markup(picture),  # noqa: S704 - drawn by segno from an address that is quoted
        key=key,
        onward=onward,
        shown_once=True,
        error=error,
    )
