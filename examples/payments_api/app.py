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
from dataclasses import replace
from functools import partial
from urllib.parse import urlsplit

from flask import Flask, Response, jsonify, request, url_for
from werkzeug.exceptions import HTTPException, ServiceUnavailable

from authserver.resource_server import (
    AccessToken,
    ApprovalUsed,
    Challenge,
    IntrospectionValidator,
    Issuer,
    JwksSource,
    NotApproved,
    PaymentApproval,
    PaymentApprovals,
    RevocationList,
    TokenValidator,
    Validator,
    approval_of,
)
from authserver.resource_server.flask import current_token, install_error_handler, require_token
from authserver.resource_server.replay.sqlite import SqliteReplayStore

from .ledger import Answer, ApprovalBound, InProgress, KeyReused, Ledger, Request, UnknownPayment
from .payment import InvalidBody, Payment, Refund, as_approved, fingerprint, read_payment, read_refund
from .settings import Settings

SCOPES = ("payments:initiate", "payments:read", "refunds:create")
METADATA = "/.well-known/oauth-protected-resource"
KEY = re.compile(r"[A-Za-z0-9._~-]{1,128}")

# The step that really moves money. It may be tried again under the same id and must then do nothing.
Bank = Callable[[str, Payment], None]


def accept(_payment_id: str, _payment: Payment) -> None:
    """Move nothing: the demo's bank says yes to everything."""


def create_app(settings: Settings | None = None, *, bank: Bank = accept) -> Flask:
    """Return the API, configured by `settings` or by the environment."""
    settings = settings or Settings.from_environ(os.environ)
    app = Flask(__name__, static_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = 16_384
    app.json.sort_keys = False  # type: ignore[attr-defined]
    ledger = Ledger(settings.database)
    online, offline = validators(settings)
    serve_payments(app, ledger, online, settings, bank)
    serve_refunds(app, ledger, online)
    serve_reads(app, ledger, offline)
    serve_public(app, settings)
    install_refusals(app, settings)
    return app


# 1. Whom to trust: one Issuer finds all endpoints, one key source serves tokens and revocation list.


def validators(settings: Settings) -> tuple[TokenValidator, TokenValidator]:
    """Return the validator that asks the issuer each time, and the one that knows its keys."""
    issuer = Issuer(settings.issuer)
    keys = JwksSource(issuer)
    online = IntrospectionValidator(
        issuer=issuer,
        audience=settings.audience,
        client_id=settings.client_id,
        client_secret=settings.client_secret,
        # what the issuer never signed is not worth a question
        screen=Validator(issuer=issuer, audience=settings.audience, keys=keys),
    )
    offline = Validator(
        issuer=issuer, audience=settings.audience, keys=keys, revocations=RevocationList(issuer, keys)
    )
    return online, offline


# 2. What the API does: a view runs only with a valid token that has the scope.


def serve_payments(
    app: Flask, ledger: Ledger, validator: TokenValidator, settings: Settings, bank: Bank
) -> None:
    """Add what moves money: a payment happens once for its Idempotency-Key, and once for its approval."""
    approvals = PaymentApprovals(SqliteReplayStore(settings.database.with_name("approvals.db")))

    @app.post("/payments")
    @require_token(validator, scope="payments:initiate")
    def create_payment() -> Response:
        token = current_token()
        payment = judge(read_payment(_json_body()), token, settings.audience)
        approval = approval_of(token) if _of_person(token) else None
        much = approval is not None and payment.money.minor > settings.step_up_over
        if much and not ledger.knows(_once(payment, approval)):
            # RFC 9470: for so much money the person has signed in a moment ago, and not by a password alone;
            # who asks again what became of the payment moves none
            settings.step_up.check(token)
        turn = ledger.begin(_once(payment, approval))
        if isinstance(turn, Answer):
            return _repeated(_created(turn))
        # Who comes with another approval goes on with the payment for which the bank may have been asked.
        payment = replace(payment, debtor_iban=turn.request.debtor_iban)
        try:
            if approval is not None and not turn.ready:
                approvals.use(approval)
                ledger.ready(turn)
            bank(turn.resource_id, payment)
        except Exception:
            # Nobody knows whether the bank acted: the next attempt asks it again under the same id.
            ledger.give_back(turn)
            raise
        return _created(ledger.record_payment(turn, payment, token.subject))


def serve_refunds(app: Flask, ledger: Ledger, validator: TokenValidator) -> None:
    """Add what gives money back; each refund happens once for its Idempotency-Key."""

    @app.post("/payments/<payment_id>/refunds")
    @require_token(validator, scope="refunds:create")
    def create_refund(payment_id: str) -> Response:
        refund = read_refund(_json_body(), payment_id)
        ledger.payment(payment_id, current_token().client_id, current_token().subject)
        turn = ledger.begin(_once(refund))
        if isinstance(turn, Answer):
            return _repeated(_answered(turn))
        return _answered(ledger.record_refund(turn, refund))


def serve_reads(app: Flask, ledger: Ledger, validator: TokenValidator) -> None:
    """Add what only looks: a client sees its own payments, all others do not exist for it."""

    @app.get("/payments/<payment_id>")
    @require_token(validator, scope="payments:read")
    def read_one(payment_id: str) -> Response:
        return jsonify(ledger.payment(payment_id, current_token().client_id, current_token().subject))


def judge(payment: Payment, token: AccessToken, audience: str) -> Payment:
    """Return the payment as its payer approved it; NotApproved if the token does not cover it.

    A person's token pays what that person approved and nothing else, however wide its scope is. A client's
    own token is held to its scope alone, unless it carries such details too (RFC 9396 §9).
    """
    details = [d for d in token.authorization_details if d["type"] == "payment_initiation"]
    if not _of_person(token) and not details:
        return payment
    approved = as_approved(payment, details, audience)
    if approved is None:
        raise NotApproved("payments:initiate")
    return approved


def _of_person(token: AccessToken) -> bool:
    # RFC 9068 §2.2: without a person the subject is the client itself
    return token.subject != token.client_id


def serve_public(app: Flask, settings: Settings) -> None:
    """Add what needs no token: a home page and the metadata by which clients find the issuer."""

    @app.get(METADATA)
    @app.get(_metadata_path(settings))
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


def _metadata_path(settings: Settings) -> str:
    # RFC 9728 §3.1: the well-known part stands before the resource's own path.
    return METADATA + urlsplit(settings.audience).path.rstrip("/")


# 3. What an order is made of, and how it is answered.


def _json_body() -> bytes:
    if request.mimetype != "application/json":
        raise InvalidBody("the body is sent as application/json")
    return request.get_data()


def _once(order: Payment | Refund, approval: PaymentApproval | None = None) -> Request:
    key = request.headers.get("Idempotency-Key", "")
    if KEY.fullmatch(key) is None:
        raise InvalidBody("Idempotency-Key is 1 to 128 letters, digits or ._~-")
    token = current_token()
    meant = fingerprint(order, token.subject)
    debtor = order.debtor_iban if isinstance(order, Payment) else None
    return Request(token.client_id, key, meant, approval.id if approval else None, debtor)


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


# 4. How refusals look: RFC 6750 challenges for tokens, fixed JSON for everything else.


def install_refusals(app: Flask, settings: Settings) -> None:
    """Make every error a JSON object with a fixed text, and every answer uncacheable."""
    api = urlsplit(settings.audience)
    metadata_url = f"{api.scheme}://{api.netloc}{_metadata_path(settings)}"
    install_error_handler(app, Challenge("payments", metadata_url))

    def finish(response: Response) -> Response:
        response.headers["Cache-Control"] = "no-store"
        response.headers["X-Content-Type-Options"] = "nosniff"
        return response

    app.after_request(finish)
    app.register_error_handler(InvalidBody, lambda error: _refused(400, "invalid_request", str(error)))
    app.register_error_handler(HTTPException, _refused_http)
    app.register_error_handler(
        sqlite3.OperationalError, lambda _error: _refused_http(ServiceUnavailable(retry_after=1))
    )
    for error, (status, code, text) in REFUSALS.items():
        app.register_error_handler(error, partial(_refused_as, status, code, text))


REFUSALS: dict[type[Exception], tuple[int, str, str]] = {
    KeyReused: (422, "idempotency_key_reused", "This Idempotency-Key stands for another request"),
    InProgress: (409, "request_in_progress", "The same request is being worked on"),
    ApprovalBound: (403, "insufficient_scope", ApprovalUsed.description),
    UnknownPayment: (404, "not_found", "There is no such payment"),
}


def _refused(status: int, error: str, description: str) -> Response:
    return _answered(Answer(status, {"error": error, "error_description": description}))


def _refused_as(status: int, error: str, description: str, _cause: Exception) -> Response:
    return _refused(status, error, description)


def _refused_http(error: HTTPException) -> Response:
    response = _refused(error.code or 500, error.name.lower().replace(" ", "_"), error.name)
    for name, value in error.get_headers():
        if name != "Content-Type":
            response.headers[name] = value
    return response
