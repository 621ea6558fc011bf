"""A payments API in one file that reads from top to bottom: from a token to a payment made once.

    POST /payments                  payments:initiate   introspection   Idempotency-Key
    GET  /payments/<id>             payments:read       offline, with the revocation list
    POST /payments/<id>/refunds     refunds:create      introspection   Idempotency-Key

Money moves only after the issuer has been asked whether the token still holds, so that a revoked token
stops at once. Reads are validated here, without a call per request; revocation reaches them in a second.
"""

import os
import re
import sqlite3
from collections.abc import Callable
from urllib.parse import urlsplit

from flask import Flask, Response, abort, jsonify, request, url_for
from werkzeug.exceptions import HTTPException

from authserver.resource_server import (
    Challenge,
    IntrospectionValidator,
    Issuer,
    JwksSource,
    RevocationList,
    Validator,
)
from authserver.resource_server.flask import current_token, install_error_handler, require_token

from .ledger import Answer, InProgress, KeyReused, Ledger, Request, Turn, UnknownPayment
from .payment import InvalidBody, Payment, Refund, fingerprint, is_open_to, read_payment, read_refund
from .settings import Settings

SCOPES = ("payments:initiate", "payments:read", "refunds:create")
METADATA = "/.well-known/oauth-protected-resource"
KEY = re.compile(r"[A-Za-z0-9._~-]{8,128}")

# The step that really moves money. It may be tried again under the same id and must then do nothing.
Bank = Callable[[str, Payment], None]


def accept(_payment_id: str, _payment: Payment) -> None:
    """Move nothing: the demo's bank says yes to everything."""


def create_app(settings: Settings | None = None, *, bank: Bank = accept) -> Flask:
    """Return the API, configured by `settings` or by the environment."""
    settings = settings or Settings.from_environ(os.environ)
    app = Flask(__name__)
    app.config["MAX_CONTENT_LENGTH"] = 16_384
    ledger = Ledger(settings.database)

    # 1. Whom to trust. One Issuer finds all endpoints; one key source serves tokens and revocation list.
    issuer = Issuer(settings.issuer)
    keys = JwksSource(issuer)
    offline = Validator(
        issuer=issuer,
        audience=settings.audience,
        keys=keys,
        revocations=RevocationList(issuer, keys),
    )
    online = IntrospectionValidator(
        issuer=issuer,
        audience=settings.audience,
        client_id=settings.client_id,
        client_secret=settings.client_secret,
    )

    # 2. How refusals look: RFC 6750 challenges that point to this API's metadata (RFC 9728).
    metadata_path = METADATA + urlsplit(settings.audience).path.rstrip("/")
    origin = "{0.scheme}://{0.netloc}".format(urlsplit(settings.audience))
    install_error_handler(app, Challenge("payments", origin + metadata_path))
    _install_answers(app)

    # 3. What the API does. A view runs only with a valid token that has the scope.
    @app.post("/payments")
    @require_token(online, scope="payments:initiate")
    def create_payment() -> Response:
        payment = read_payment(_json_body())
        if not is_open_to(payment, current_token().authorization_details):
            abort(403)
        turn = ledger.begin(_once(payment))
        if isinstance(turn, Answer):
            return _repeated(_created(turn))
        _move_money(turn, payment)
        return _created(ledger.record_payment(turn, payment))

    @app.get("/payments/<payment_id>")
    @require_token(offline, scope="payments:read")
    def read_one(payment_id: str) -> Response:
        return jsonify(ledger.payment(payment_id, current_token().client_id))

    @app.post("/payments/<payment_id>/refunds")
    @require_token(online, scope="refunds:create")
    def create_refund(payment_id: str) -> Response:
        refund = read_refund(_json_body(), payment_id)
        ledger.payment(payment_id, current_token().client_id)
        turn = ledger.begin(_once(refund))
        if isinstance(turn, Answer):
            return _repeated(_answered(turn))
        return _answered(ledger.record_refund(turn, refund))

    # 4. What happens once. The key is the client's; the turn lets exactly one request work on it.
    def _move_money(turn: Turn, payment: Payment) -> None:
        try:
            bank(turn.resource_id, payment)
        except Exception:
            # Nobody knows whether the bank acted: the next attempt asks it again under the same id.
            ledger.give_back(turn)
            raise

    # 5. What anyone may see.
    @app.get(METADATA)
    @app.get(metadata_path)
    def metadata() -> Response:
        return jsonify(
            resource=settings.audience,
            resource_name="Payments API (example)",
            authorization_servers=[settings.issuer],
            scopes_supported=list(SCOPES),
            bearer_methods_supported=["header"],
        )

    @app.get("/")
    def home() -> Response:
        text = f"Payments API, an example. Get a token from {settings.issuer}, then POST /payments.\n"
        return Response(text, mimetype="text/plain")

    return app


def _json_body() -> bytes:
    if request.mimetype != "application/json":
        raise InvalidBody("the body is sent as application/json")
    return request.get_data()


def _once(order: Payment | Refund) -> Request:
    key = request.headers.get("Idempotency-Key", "")
    if KEY.fullmatch(key) is None:
        raise InvalidBody("Idempotency-Key is 8 to 128 letters, digits or ._~-")
    return Request(current_token().client_id, key, fingerprint(order))


def _created(answer: Answer) -> Response:
    response = _answered(answer)
    response.headers["Location"] = url_for("read_one", payment_id=answer.body["id"])
    return response


def _repeated(response: Response) -> Response:
    response.headers["Idempotent-Replayed"] = "true"
    return response


def _answered(answer: Answer) -> Response:
    response = jsonify(answer.body)
    response.status_code = answer.status
    return response


def _install_answers(app: Flask) -> None:
    """Make every other error a JSON object with a fixed text, and every answer uncacheable."""

    def refuse(status: int, error: str, description: str) -> Response:
        return _answered(Answer(status, {"error": error, "error_description": description}))

    def refuse_http(error: HTTPException) -> Response:
        response = refuse(error.code or 500, error.name.lower().replace(" ", "_"), error.name)
        response.headers.extend(
            (name, value) for name, value in error.get_headers() if name not in ("Content-Type",)
        )
        return response

    def refuse_busy(_error: sqlite3.OperationalError) -> Response:
        response = refuse(503, "temporarily_unavailable", "The ledger is busy")
        response.headers["Retry-After"] = "1"
        return response

    def finish(response: Response) -> Response:
        response.headers["Cache-Control"] = "no-store"
        response.headers["X-Content-Type-Options"] = "nosniff"
        return response

    app.register_error_handler(InvalidBody, lambda error: refuse(400, "invalid_request", str(error)))
    app.register_error_handler(
        KeyReused,
        lambda _e: refuse(422, "idempotency_key_reused", "This Idempotency-Key stands for another request"),
    )
    app.register_error_handler(
        InProgress, lambda _e: refuse(409, "request_in_progress", "The same request is being worked on")
    )
    app.register_error_handler(
        UnknownPayment, lambda _e: refuse(404, "not_found", "There is no such payment")
    )
    app.register_error_handler(sqlite3.OperationalError, refuse_busy)
    app.register_error_handler(HTTPException, refuse_http)
    app.after_request(finish)
