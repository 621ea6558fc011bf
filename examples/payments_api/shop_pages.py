"""What all pages of the shop share: one cookie, forms of its own alone, headers, and words for errors."""

import hashlib
import hmac
import re
import secrets
import sqlite3
from datetime import UTC, datetime
from urllib.parse import urlsplit

from flask import Flask, Response, current_app, g, make_response, redirect, render_template, request
from markupsafe import Markup
from werkzeug.exceptions import HTTPException

from .settings import ShopSettings

# Cookies know no ports: the name must not meet that of another program on this host.
COOKIE = "corner_shop"
FIELD = "form"
_VALUE = re.compile(r"[A-Za-z0-9_-]{43}")

NOTICES = {
    "unknown_answer": (
        "This answer is not for this browser",
        "It belongs to no order that was begun here within a day. Nothing was paid by it.",
    ),
    "foreign_answer": (
        "This answer is not from your bank",
        "We did not use it, and nothing was paid. Begin again from your basket.",
    ),
    "foreign_form": (
        "This page is out of date",
        "Nothing was ordered and nothing was paid. The shop needs its cookie: go back to your basket and"
        " try again.",
    ),
    "not_found": (
        "There is no such page here",
        "An order is shown in the browser in which it was made.",
    ),
    "busy": ("The shop is busy", "Nothing was changed. Wait a moment and reload this page."),
    "other": ("This did not work", "Go back to your basket and try again."),
}


class Notice(Exception):
    """A page instead of what was asked for: its status, and its words in NOTICES."""

    def __init__(self, status: int, words: str) -> None:
        super().__init__(words)
        self.status = status
        self.words = words


def install(app: Flask, settings: ShopSettings) -> None:
    """Make every request of `app` pass the checks and every answer carry the headers."""
    app.config |= {"MAX_CONTENT_LENGTH": 4096, "HTTPS": settings.home.startswith("https:")}
    host = urlsplit(settings.home).netloc

    def check() -> Response | None:
        if request.host != host:
            # The cookie belongs to one host, and so does the callback: there is one name for this shop.
            if request.method == "GET":
                return make_response(redirect(settings.home, 303))
            raise Notice(400, "foreign_form")
        if request.method == "POST":
            _check_form(settings.home.rstrip("/"))
        return None

    def finish(response: Response) -> Response:
        return _finish(response, settings)

    app.before_request(check)
    app.after_request(finish)
    app.register_error_handler(Notice, lambda notice: _notice(notice.status, notice.words))
    app.register_error_handler(HTTPException, _refused)
    app.register_error_handler(sqlite3.OperationalError, lambda _error: _notice(503, "busy"))
    app.jinja_env.globals["form_field"] = form_field
    app.jinja_env.filters |= {"money": money, "account": account, "moment": moment}


def browser() -> str:
    """Return the name of this browser, made now if it has none: 256 random bits that nobody else knows."""
    if "browser" not in g:
        held = request.cookies.get(_cookie(), "")
        g.browser = held if _VALUE.fullmatch(held) else secrets.token_urlsafe(32)
    name: str = g.browser
    return name


def _cookie() -> str:
    # Over https the prefix binds the cookie to this very host.
    return f"__Host-{COOKIE}" if current_app.config["HTTPS"] else COOKIE


def form_field() -> Markup:
    """Return the hidden field by which the shop knows its own forms."""
    return Markup('<input type="hidden" name="{}" value="{}">').format(FIELD, _token(browser()))


def money(amount: dict[str, str]) -> str:
    """Return an amount for people: `24.30 EUR`."""
    return f"{amount['amount']}\N{NO-BREAK SPACE}{amount['currency']}"


def account(iban: str) -> str:
    """Return an account number of which only its owner knows the middle."""
    return f"{iban[:4]} •••• {iban[-4:]}"


def moment(seconds: float) -> str:
    """Return a time for people, in UTC."""
    when = datetime.fromtimestamp(seconds, UTC)
    return f"{when.day} {when:%B %Y, %H:%M} UTC"


def _token(name: str) -> str:
    return hashlib.sha256(f"form of {name}".encode()).hexdigest()


def _check_form(origin: str) -> None:
    # Lax keeps the cookie from forms of other sites; the token keeps out those of other ports of this host.
    if request.headers.get("Origin", origin) != origin:
        raise Notice(403, "foreign_form")
    if not hmac.compare_digest(request.form.get(FIELD, "").encode(), _token(browser()).encode()):
        raise Notice(403, "foreign_form")


def _finish(response: Response, settings: ShopSettings) -> Response:
    # Chromium holds form-action against every redirect after a POST as well.
    targets = " ".join(["'self'", settings.issuer, *settings.receipt_origin])
    response.headers["Content-Security-Policy"] = (
        "default-src 'self'; base-uri 'none'; frame-ancestors 'none'; object-src 'none'; "
        f"form-action {targets}"
    )
    response.headers["X-Content-Type-Options"] = "nosniff"
    # The callback's address holds a code.
    response.headers["Referrer-Policy"] = "same-origin"
    response.headers["Cross-Origin-Opener-Policy"] = "same-origin"
    if request.endpoint != "static":
        response.headers["Cache-Control"] = "no-store"
        if "browser" in g and request.cookies.get(_cookie()) != g.browser:
            secure = bool(current_app.config["HTTPS"])
            response.set_cookie(_cookie(), g.browser, httponly=True, samesite="Lax", secure=secure, path="/")
    return response


def _notice(status: int, words: str) -> Response:
    title, text = NOTICES[words]
    return make_response(render_template("notice.html", title=title, text=text), status)


def _refused(error: HTTPException) -> Response:
    return _notice(error.code or 500, "not_found" if error.code == 404 else "other")
