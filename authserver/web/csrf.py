"""Forms that this server gave to this browser, and no others.

A token is a MAC over a random cookie, the session's cookie and the form's purpose: nothing rests here, and
a token taken from one form, one browser or before a login fits nowhere else.
"""

from __future__ import annotations

from flask import Flask, g, request
from markupsafe import Markup

from .. import context, crypto
from ..audit import Entry, Event
from ..oauth.interactions import Unusable
from ..texts import Text
from .guards import (
    SESSION,
    Refused,
    as_request_id,
    claim,
    cookie,
    form,
    holder,
    remember_holder,
    sent_holder,
    services,
)

FIELD = "csrf"
KEY_PURPOSE = "csrf"
TITLE = Text("This page is out of date")
TEXT = Text("You signed in or out in another tab, or the page is from a while ago. Nothing was changed.")
ADVICE = Text(
    "You signed in or out in another tab, or the page is from a while ago. Nothing was changed. "
    "Go back, reload the page and try again."
)


def install(app: Flask) -> None:
    """Templates have ``csrf_field``; a browser that got its first form gets the cookie with it."""
    app.jinja_env.globals["csrf_field"] = field
    app.after_request(remember_holder)


def field(purpose: str) -> Markup:
    """The hidden field of a form for ``purpose``."""
    return Markup('<input type="hidden" name="{}" value="{}">').format(FIELD, _token(holder(), purpose))


def check(purpose: str) -> dict[str, str]:
    """The fields of this form, which this server gave to this browser for ``purpose``; Refused otherwise."""
    reason = _foreign()
    sent = {} if reason else form()
    if not reason:
        reason = _unfit(sent.pop(FIELD, ""), purpose)
    if reason:
        _tell_if_answered(sent)
        if services().throttle.noticed(context.current.get().address):
            services().audit.record(Entry(Event.CSRF_REJECTED, "denied", reason, detail={"form": purpose}))
        link = _way_on(sent)
        raise Refused(403, TITLE, TEXT if link else ADVICE, link)
    g.csrf_fields = sent
    return sent


def fields() -> dict[str, str]:
    """The fields that ``check`` has let pass in this request."""
    passed: dict[str, str] = g.csrf_fields
    return passed


def _tell_if_answered(fields: dict[str, str]) -> None:
    """Unusable where the form's request was answered in this browser: a second click of who has just paid.

    Their session was renewed by that, so that the form no longer fits; but something was changed.
    """
    try:
        claim(_request_of(fields), late=True)
    except Unusable as error:
        if error.reason == "finished":
            raise


def _request_of(fields: dict[str, str]) -> str:
    return as_request_id(fields.get("request") or fields.get("txn") or "")


def _way_on(fields: dict[str, str]) -> tuple[str, str] | None:
    """The link to the authorization request that the form was about; resuming judges it anew."""
    id_ = _request_of(fields)
    return (f"/authorize/resume?request={id_}", Text("Go on from here")) if id_ else None


def _foreign() -> str:
    """Why another site sent this, as far as the browser tells; empty if it does not say so."""
    if request.headers.get("Sec-Fetch-Site", "same-origin") not in ("same-origin", "none"):
        return "fetch_site"
    origin = request.headers.get("Origin")
    return "" if origin is None or origin == services().settings.issuer else "origin"


def _unfit(token: str, purpose: str) -> str:
    value = sent_holder()
    if value is None:
        return "cookie"
    fits = [
        crypto.equal(_token(value, purpose, kid).encode(), token.encode()) for kid in services().master.keys
    ]
    return "" if any(fits) else "token"


def _token(value: str, purpose: str, kid: str | None = None) -> str:
    session = cookie(SESSION) or ""
    key = services().master.derive(KEY_PURPOSE, kid)
    parts = (part.encode("utf-8", "surrogatepass") for part in (value, session, purpose))
    return crypto.b64u(crypto.mac(key, *parts))
