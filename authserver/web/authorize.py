"""The authorization endpoint and the way through it: resume names the next page, cancel ends it.

``/authorize`` reads no cookie: a form posted by another site carries none. The browser is bound, and the
session read, on the way through ``/authorize/resume``.
"""

from __future__ import annotations

from flask import Blueprint, Response, request

from .. import crypto
from ..audit import Entry, Event
from ..interaction import Step
from ..oauth.authorization_endpoint import Refused
from ..oauth.authorization_response import Late
from ..oauth.interactions import InteractionRecord, Unusable
from ..oauth.response_mode import error_reply
from ..texts import Text
from . import csrf
from .guards import (
    BROWSER,
    Onward,
    allow_form_redirect,
    claim,
    cookie,
    deliver,
    incoming,
    page,
    place,
    see_other,
    services,
    set_cookie,
    show,
    speak_as_asked,
    started_session,
    step_due,
    translated,
    within_limits,
)

blueprint = Blueprint("authorize", __name__)

CANCEL = "cancel"
COOKIE_LENGTH = 43
STATUS = {"unknown": 400, "foreign": 403, "client": 400, "finished": 409, "expired": 410}
PAGES = {
    "unknown": (
        Text("This request is not known here"),
        Text("It may be too old. Go back to the application that sent you here and start again."),
    ),
    "foreign": (
        Text("This request belongs to another browser"),
        Text(
            "It was opened elsewhere, or before somebody signed out here. "
            "Go back to the application that sent you here and start again."
        ),
    ),
    "client": (
        Text("This request cannot be answered"),
        Text("The application that sent you here is unknown, or gave a wrong address to return to."),
    ),
}


@blueprint.route("/authorize", methods=["GET", "POST"], provide_automatic_options=False, head=False)
def authorize() -> Response:
    """The authorization endpoint (RFC 6749 §3.1): the request is kept; the browser goes on to resume it."""
    rooms = services()
    try:
        opened = rooms.authorization_endpoint.open(incoming("authorize"))
    except Refused as refused:
        return _refused(refused)
    return see_other(f"/authorize/resume?request={rooms.interactions.open(opened)}")


@blueprint.get("/authorize/resume", provide_automatic_options=False, head=False)
def resume() -> Response:
    """The next page of an authorization, or its end."""
    within_limits("resume")
    rooms = services()
    id_ = request.args.get("request")
    browser = cookie(BROWSER)
    if browser is None or len(browser) != COOKIE_LENGTH:
        browser = crypto.random_token()
    found = rooms.interactions.read(id_)
    # a client asks with prompt=none whether anybody is there or not
    session = started_session(seen=found is not None and "none" not in found.request.prompt)
    if found is not None and found.browser is None:
        rooms.interactions.bind(found.id, browser, session.digest if session else None)
    interaction = rooms.interactions.claim(id_, browser)
    speak_as_asked(interaction)
    response = _go_on(interaction)
    if browser != cookie(BROWSER):
        set_cookie(response, BROWSER, browser)
    return response


@blueprint.post("/authorize/cancel", provide_automatic_options=False)
def cancel() -> Response:
    """access_denied for the client: the person goes back without having allowed anything."""
    within_limits("resume")
    fields = csrf.check(CANCEL)
    rooms = services()
    interaction = claim(fields.get("txn"), late=True)
    try:
        return deliver(rooms.authorization_responses.denied(interaction))
    except Late:
        return unusable(Unusable("finished", interaction))


@blueprint.app_errorhandler(Unusable)
def unusable(error: Unusable) -> Response:
    """A page that says what became of a request, and what to do."""
    rooms, interaction = services(), error.interaction
    speak_as_asked(interaction)
    if error.reason == "foreign" and interaction is not None:
        client_id = interaction.request.client_id
        if rooms.throttle.noticed(request.environ.get("REMOTE_ADDR", "")):
            entry = Entry(Event.CSRF_REJECTED, "denied", "transaction_mismatch", client_id)
            rooms.audit.record(entry)
    if error.reason == "expired" and interaction is not None:
        client = rooms.clients.get(interaction.request.client_id)
        allow_form_redirect()
        return show("expired.html", STATUS["expired"], txn=interaction.id, client=client)
    if error.reason == "finished" and interaction is not None:
        client = rooms.clients.get(interaction.request.client_id)
        pays = interaction.request.payment is not None
        return show("answered.html", STATUS["finished"], client=client, pays=pays)
    title, text = PAGES[error.reason]
    return page(STATUS[error.reason], title, text)


def _go_on(interaction: InteractionRecord) -> Response:
    rooms = services()
    session = started_session()
    step = step_due(interaction, session)
    try:
        match step.step:
            case Step.LOGIN:
                if step.reason in ("reauthentication", "acr"):
                    _record(Event.LOGIN_REQUIRED, step.reason, interaction)
                return see_other(f"/login?request={interaction.id}")
            case Step.CONFIRM_DEVICE | Step.MFA | Step.ENROL | Step.CHANGE_PASSWORD:
                _record(Event.LOGIN_REQUIRED, step.reason, interaction)
                return see_other(place(step, Onward(interaction.id)))
            case Step.CONSENT | Step.APPROVE_PAYMENT:
                _record(Event.AUTHZ_INTERACTION, step.reason, interaction)
                return see_other(f"/consent?request={interaction.id}")
            case Step.REFUSE:
                reply = rooms.authorization_responses.refused(interaction, step.error, step.reason)
            case Step.DONE:
                assert session is not None  # or the step were another
                reply = rooms.authorization_responses.recalled(interaction, session)
    except Late:
        # asked anew, the same request gives the page of what has changed
        return see_other(f"/authorize/resume?request={interaction.id}")
    return deliver(reply)


def _record(event: Event, reason: str, interaction: InteractionRecord) -> None:
    session = started_session()
    user_id = session.user_id if session else ""
    services().audit.record(
        Entry(event, reason=reason, client_id=interaction.request.client_id, user_id=user_id)
    )


def _refused(refused: Refused) -> Response:
    error = refused.error
    if refused.target is not None:
        issuer = services().settings.issuer
        return deliver(error_reply(refused.target, issuer, str(error.error), str(error.description)))
    told = Text(
        "%(reason)s Go back to it and tell its makers: %(error)s.",
        reason=translated(error.description),
        error=str(error.error),
    )
    response = page(error.status_code, Text("This request cannot be answered"), told)
    response.headers.extend(error.headers)
    return response
