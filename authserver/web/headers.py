"""Headers of every answer that a browser may show."""

from __future__ import annotations

from flask import Flask, Response

from ..config import Settings
from .guards import form_may_leave, language, services

POLICY = "default-src 'self'; base-uri 'none'; frame-ancestors 'none'; object-src 'none'"
YEAR = 365 * 86_400


def transport_security(settings: Settings) -> list[tuple[str, str]]:
    """HSTS (RFC 6797 §6.1); nothing where the issuer is plain http on this machine."""
    return [] if settings.loopback else [("Strict-Transport-Security", f"max-age={YEAR}")]


def install(app: Flask) -> None:
    """Every answer of ``app`` carries them."""
    app.after_request(add)


def add(response: Response) -> Response:
    """What design §12 asks of pages; HSTS, nosniff and a word on caching everywhere."""
    headers = response.headers
    headers.setdefault("X-Content-Type-Options", "nosniff")
    headers.extend(transport_security(services().settings))
    if response.mimetype == "text/html":
        headers["Content-Security-Policy"] = POLICY + ("" if form_may_leave() else "; form-action 'self'")
        headers["Referrer-Policy"] = "same-origin"
        headers["Cross-Origin-Opener-Policy"] = "same-origin"
        headers["Cache-Control"] = "no-store"
        headers["Content-Language"] = language()
        response.vary.update(("Cookie", "Accept-Language"))
    # nothing is kept by a cache unless it says so itself, a probe of health least of all
    headers.setdefault("Cache-Control", "no-store")
    return response
