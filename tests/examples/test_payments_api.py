"""The example API: from a token to a payment that is made once."""

import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import httpx
import pytest
from resource_server.fake_issuer import FakeIssuer, Reply, Seen
from resource_server.signing import claims
from werkzeug.test import Client, TestResponse

from authserver.resource_server import ApprovalUsed, PaymentApproval, PaymentApprovals, Unavailable
from authserver.resource_server.replay.sqlite import SqliteReplayStore
from examples.payments_api.app import create_app
from examples.payments_api.payments_client import step_up_of
from examples.payments_api.settings import DEFAULT_AUDIENCE, Settings, SettingsError

ROOT = Path(__file__).parents[2]
SCOPES = "payments:initiate payments:read refunds:create"
ORDER = {
    "creditorName": "Muster GmbH",
    "creditorAccount": {"iban": "DE89370400440532013000"},
    "instructedAmount": {"amount": "12.30", "currency": "EUR"},
}


class Issuer(FakeIssuer):
    """Signs tokens, introspects them by the claims it knows, and publishes what was revoked."""

    def __init__(self) -> None:
        super().__init__()
        self.revoked: dict[str, int] = {}
        self.replies["/introspect"] = self.introspect
        self.replies["/revocations"] = self.revocations
        self.known: dict[str, dict[str, Any]] = {}

    def token(self, **changes: Any) -> str:
        now = int(time.time())
        of_itself = {"sub": changes.get("client_id", "client-1"), "gid": ...}
        fixed = {"aud": DEFAULT_AUDIENCE, "scope": SCOPES, "jti": f"jti-{len(self.known)}"}
        members = {**of_itself, **fixed, **changes}
        granted = claims(self.identifier, now, **members)
        text = self.key.jwt(granted)
        self.known[text] = granted
        return text

    def introspect(self, seen: Seen) -> Reply:
        text = parse_qs(seen.body.decode())["token"][0]
        granted = self.known.get(text)
        if granted is None or granted["jti"] in self.revoked:
            return Reply(body=b'{"active":false}')
        return Reply(body=json.dumps({"active": True, "token_type": "Bearer", **granted}).encode())

    def revocations(self, _seen: Seen) -> Reply:
        now = int(time.time())
        members = {"iss": self.identifier, "iat": now, "exp": now + 300, "jtis": self.revoked, "gids": {}}
        text = self.key.jwt(members, {"typ": "revocations+jwt"})
        return Reply(body=text.encode(), headers={"Content-Type": "application/jwt"})

    def revoke(self, text: str) -> None:
        self.revoked[self.known[text]["jti"]] = self.known[text]["exp"]


@pytest.fixture
def issuer() -> Iterator[Issuer]:
    server = Issuer()
    yield server
    server.stop()


@pytest.fixture
def settings(issuer: Issuer, tmp_path: Path) -> Settings:
    return Settings(issuer.identifier, "payments-api", "s3cret", database=tmp_path / "payments.db")


@pytest.fixture
def client(settings: Settings) -> Client:
    return Client(create_app(settings))


def post(
    client: Client,
    token: str,
    body: Any = ORDER,
    *,
    key: str | None = "key-00000001",
    path: str = "/payments",
) -> TestResponse:
    headers = {"Authorization": f"Bearer {token}"}
    if key is not None:
        headers["Idempotency-Key"] = key
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return client.post(path, headers=headers, data=raw, content_type="application/json")


def get(client: Client, token: str, path: str) -> TestResponse:
    return client.get(path, headers={"Authorization": f"Bearer {token}"})


def count(settings: Settings, table: str) -> int:
    connection = sqlite3.connect(settings.database)
    try:
        return int(connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0])
    finally:
        connection.close()


def order(amount: Any = "12.30", currency: Any = "EUR", **changes: Any) -> dict[str, Any]:
    return {**ORDER, "instructedAmount": {"amount": amount, "currency": currency}, **changes}


def test_a_token_makes_a_payment_that_can_be_read(client: Client, issuer: Issuer) -> None:
    token = issuer.token()
    made = post(client, token)
    assert (made.status_code, made.json["status"]) == (201, "accepted")
    assert made.json["instructedAmount"] == {"amount": "12.30", "currency": "EUR"}
    found = get(client, token, made.headers["Location"])
    assert found.status_code == 200
    assert found.json == {**made.json, "refundedAmount": {"amount": "0.00", "currency": "EUR"}}
    assert found.headers["Cache-Control"] == "no-store"


def test_the_same_request_again_gets_the_first_answer(
    client: Client, issuer: Issuer, settings: Settings
) -> None:
    first = post(client, issuer.token())
    spaced = json.dumps(ORDER, indent=3).encode()
    for again in (post(client, issuer.token()), post(client, issuer.token(), spaced)):
        assert (again.status_code, again.json) == (201, first.json)
        assert again.headers["Location"] == first.headers["Location"]
        assert again.headers["Idempotent-Replayed"] == "true"
    assert "Idempotent-Replayed" not in first.headers
    assert count(settings, "payment") == 1


def test_a_key_cannot_stand_for_another_request(client: Client, issuer: Issuer, settings: Settings) -> None:
    assert post(client, issuer.token()).status_code == 201
    for other in (order("12.31"), order(currency="GBP"), order(creditorName="Other")):
        refused = post(client, issuer.token(), other)
        assert (refused.status_code, refused.json["error"]) == (422, "idempotency_key_reused")
    assert count(settings, "payment") == 1


def test_keys_of_two_clients_do_not_meet(client: Client, issuer: Issuer, settings: Settings) -> None:
    first = post(client, issuer.token())
    second = post(client, issuer.token(client_id="client-2"), order("99.00"))
    assert first.status_code == second.status_code == 201
    assert first.json["id"] != second.json["id"]
    assert count(settings, "payment") == 2


@pytest.mark.parametrize("key", [None, "", "x" * 129, "a b c d e f", "key-0000000\u00e9", '"key-00000001"'])
def test_a_payment_without_a_proper_key_is_refused(
    client: Client, issuer: Issuer, settings: Settings, key: str | None
) -> None:
    refused = post(client, issuer.token(), key=key)
    assert (refused.status_code, refused.json["error"]) == (400, "invalid_request")
    assert count(settings, "request") == 0


def test_while_a_payment_is_being_made_the_same_request_is_409(settings: Settings, issuer: Issuer) -> None:
    entered, leave = threading.Event(), threading.Event()

    def slow_bank(_payment_id: str, _payment: Any) -> None:
        entered.set()
        assert leave.wait(10)

    client = Client(create_app(settings, bank=slow_bank))
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(post, client, issuer.token())
        assert entered.wait(10)
        second = post(client, issuer.token())
        assert (second.status_code, second.json["error"]) == (409, "request_in_progress")
        assert post(client, issuer.token(), order("1.00")).status_code == 422
        leave.set()
        assert first.result().status_code == 201
    assert post(client, issuer.token()).headers["Idempotent-Replayed"] == "true"
    assert count(settings, "payment") == 1


def test_a_bank_that_fails_is_asked_again_under_the_same_id(settings: Settings, issuer: Issuer) -> None:
    asked: list[str] = []

    def shaky_bank(payment_id: str, _payment: Any) -> None:
        asked.append(payment_id)
        if len(asked) == 1:
            raise OSError("the line is cut")

    client = Client(create_app(settings, bank=shaky_bank))
    assert post(client, issuer.token()).status_code == 500
    assert count(settings, "payment") == 0
    made = post(client, issuer.token())
    assert made.status_code == 201
    assert asked == [made.json["id"]] * 2


def test_a_worker_that_died_gives_way_after_a_minute_and_cannot_come_back(
    settings: Settings, issuer: Issuer
) -> None:
    def age(seconds: int) -> None:
        connection = sqlite3.connect(settings.database)
        connection.execute("UPDATE request SET since = since - ?", (seconds,))
        connection.commit()
        connection.close()

    overtaken: list[TestResponse] = []

    def stuck_bank(_payment_id: str, _payment: Any) -> None:
        if not overtaken:
            overtaken.append(post(client, issuer.token()))
            age(61)
            overtaken.append(post(client, issuer.token()))

    client = Client(create_app(settings, bank=stuck_bank))
    late = post(client, issuer.token())
    assert [answer.status_code for answer in overtaken] == [409, 201]
    assert late.status_code == 409
    assert count(settings, "payment") == 1


BAD_BODIES: dict[str, Any] = {
    "not json": b"x",
    "a list": [ORDER],
    "empty": b"",
    "repeated member": b'{"creditorName":"a",' + json.dumps(ORDER).encode()[1:],
    "NaN": json.dumps(ORDER).encode().replace(b'"12.30"', b"NaN"),
    "deep": b"[" * 16_000,
    "utf-16": json.dumps(ORDER).encode("utf-16"),
    "unknown member": {**ORDER, "debtor": "x"},
    "missing member": {"creditorName": "x", "instructedAmount": ORDER["instructedAmount"]},
    "float amount": order(12.3),
    "integer amount": order(12),
    "negative amount": order("-1.00"),
    "nothing": order("0.00"),
    "three decimals": order("1.001"),
    "no digits": order("."),
    "leading zero": order("01.00"),
    "plus": order("+1.00"),
    "exponent": order("1e3"),
    "comma": order("1,00"),
    "space": order(" 1.00"),
    "newline": order("1.00\n"),
    "other digits": order("１.00"),
    "too much": order("12345678901.00"),
    "NaN text": order("NaN"),
    "decimals of a currency without": order("1.0", "JPY"),
    "unknown currency": order("1.00", "XXX"),
    "lower case currency": order("1.00", "eur"),
    "currency is a list": order("1.00", ["EUR"]),
    "amount is an object": order(instructedAmount={"amount": {}, "currency": "EUR"}),
    "instructedAmount is a text": order(instructedAmount="12.30"),
    "wrong check digits": order(creditorAccount={"iban": "DE88370400440532013000"}),
    "check digits out of range": order(creditorAccount={"iban": "DE00370400440532013000"}),
    "spaces in the IBAN": order(creditorAccount={"iban": "DE89 3704 0044 0532 0130 00"}),
    "lower case IBAN": order(creditorAccount={"iban": "de89370400440532013000"}),
    "short IBAN": order(creditorAccount={"iban": "DE89"}),
    "IBAN is a number": order(creditorAccount={"iban": 1}),
    "account is a text": order(creditorAccount="DE89370400440532013000"),
    "blank name": order(creditorName="  "),
    "long name": order(creditorName="x" * 71),
    "name with a line break": order(creditorName="a\nb"),
    "name with a lone surrogate": order(creditorName="\ud800"),
    "name that nobody sees": order(creditorName="\u3164"),
    "name of a mark alone": order(creditorName="\ufe0f"),
    "name with letters that show nothing": order(creditorName="Muster\u115f"),
    "name under a stack of marks": order(creditorName="Muster" + "\u20e0" * 5),
    "reference that nobody sees": order(remittanceInformationUnstructured="\u2800"),
    "name is null": order(creditorName=None),
    "empty reference": order(remittanceInformationUnstructured=""),
    "long reference": order(remittanceInformationUnstructured="x" * 141),
    "reference with a line break": order(remittanceInformationUnstructured="a\nb"),
    "reference is a number": order(remittanceInformationUnstructured=1),
    "short BIC": order(creditorAccount={"iban": "DE89370400440532013000", "bic": "COBADE"}),
    "lower case BIC": order(creditorAccount={"iban": "DE89370400440532013000", "bic": "cobadeffxxx"}),
}


@pytest.mark.parametrize("name", BAD_BODIES)
def test_a_body_that_is_not_a_plain_order_is_refused(
    client: Client, issuer: Issuer, settings: Settings, name: str
) -> None:
    refused = post(client, issuer.token(), BAD_BODIES[name])
    assert (refused.status_code, refused.json["error"]) == (400, "invalid_request")
    assert count(settings, "payment") == count(settings, "request") == 0


@pytest.mark.parametrize(
    ("amount", "currency", "shown"),
    [
        ("1", "EUR", "1.00"),
        ("1.5", "EUR", "1.50"),
        ("0.01", "EUR", "0.01"),
        ("9999999999.99", "USD", "9999999999.99"),
        ("500", "JPY", "500"),
    ],
)
def test_amounts_are_exact(client: Client, issuer: Issuer, amount: str, currency: str, shown: str) -> None:
    made = post(client, issuer.token(), order(amount, currency))
    assert made.json["instructedAmount"] == {"amount": shown, "currency": currency}


def test_a_body_of_another_kind_or_size_is_refused(client: Client, issuer: Issuer) -> None:
    headers = {"Authorization": f"Bearer {issuer.token()}", "Idempotency-Key": "key-00000001"}
    assert client.post("/payments", headers=headers, data="x", content_type="text/plain").status_code == 400
    assert client.post("/payments", headers=headers, data={"a": "b"}).status_code == 400
    assert post(client, issuer.token(), b"x" * 20_000).status_code == 413


def test_a_wrong_scope_is_403_with_insufficient_scope(
    client: Client, issuer: Issuer, settings: Settings
) -> None:
    refused = post(client, issuer.token(scope="payments:read accounts:read"))
    assert refused.status_code == 403
    challenge = refused.headers["WWW-Authenticate"]
    assert 'error="insufficient_scope"' in challenge
    assert 'scope="payments:initiate"' in challenge
    assert get(client, issuer.token(scope="payments:initiate"), "/payments/x").status_code == 403
    refund = post(client, issuer.token(scope="payments:initiate"), path="/payments/x/refunds")
    assert refund.status_code == 403
    assert count(settings, "request") == 0


@pytest.mark.parametrize("path", ["/payments", "/payments/x/refunds"])
def test_without_a_token_or_with_a_wrong_one_nothing_happens(
    client: Client, issuer: Issuer, settings: Settings, path: str
) -> None:
    assert client.post(path, json=ORDER).status_code == 401
    for wrong in (
        issuer.token(aud="http://127.0.0.1:8001/accounts"),
        issuer.token(exp=int(time.time()) - 10),
        issuer.token(cnf={"jkt": "x"}),
        "unknown",
    ):
        refused = post(client, wrong, path=path)
        assert (refused.status_code, refused.json["error"]) == (401, "invalid_token")
    assert client.post(f"{path}?access_token={issuer.token()}", json=ORDER).status_code == 400
    assert count(settings, "request") == 0


def test_a_revoked_token_pays_no_more_at_once_and_reads_no_more_within_a_second(
    client: Client, issuer: Issuer
) -> None:
    token = issuer.token()
    path = post(client, token).headers["Location"]
    assert get(client, token, path).status_code == 200
    issuer.revoke(token)
    revoked_at = time.perf_counter()
    assert post(client, token, key="key-00000002").status_code == 401
    while get(client, token, path).status_code == 200:
        time.sleep(0.01)
    assert time.perf_counter() - revoked_at < 1.0


def test_an_issuer_that_is_silent_stops_payments_with_503(
    client: Client, issuer: Issuer, settings: Settings
) -> None:
    issuer.replies["/introspect"] = Reply(503)
    refused = post(client, issuer.token())
    assert (refused.status_code, refused.headers["Retry-After"]) == (503, "2")
    assert count(settings, "request") == 0


def test_payments_of_other_clients_do_not_exist(client: Client, issuer: Issuer) -> None:
    path = post(client, issuer.token()).headers["Location"]
    stranger = issuer.token(client_id="client-2")
    assert get(client, stranger, path).status_code == 404
    refund = {"instructedAmount": {"amount": "1.00", "currency": "EUR"}}
    refused = post(client, stranger, refund, path=f"{path}/refunds")
    assert (refused.status_code, refused.json) == (404, get(client, stranger, "/payments/unknown").json)


def test_refunds_add_up_to_the_payment_at_most(client: Client, issuer: Issuer) -> None:
    token = issuer.token()
    path = post(client, token).headers["Location"]

    def refund(amount: str, key: str, currency: str = "EUR") -> TestResponse:
        body = {"instructedAmount": {"amount": amount, "currency": currency}}
        return post(client, token, body, key=key, path=f"{path}/refunds")

    assert refund("10.00", "refund-01").status_code == 201
    again = refund("10.00", "refund-01")
    assert (again.status_code, again.headers["Idempotent-Replayed"]) == (201, "true")
    refused = refund("2.31", "refund-02")
    assert (refused.status_code, refused.json["error"]) == (422, "refund_refused")
    assert refund("2.31", "refund-02").json == refused.json
    assert refund("1.00", "refund-03", "GBP").status_code == 422
    assert refund("2.30", "refund-04").status_code == 201
    assert refund("0.01", "refund-05").status_code == 422
    assert get(client, token, path).json["refundedAmount"]["amount"] == "12.30"


def test_refunds_that_race_never_exceed_the_payment(
    client: Client, issuer: Issuer, settings: Settings
) -> None:
    token = issuer.token()
    path = post(client, token).headers["Location"]
    body = {"instructedAmount": {"amount": "2.00", "currency": "EUR"}}
    with ThreadPoolExecutor(16) as pool:
        answers = pool.map(
            lambda n: post(client, token, body, key=f"refund-{n:02}", path=f"{path}/refunds"), range(32)
        )
        statuses = sorted(answer.status_code for answer in answers)
    assert statuses == [201] * 6 + [422] * 26
    assert count(settings, "refund") == 6
    assert get(client, token, path).json["refundedAmount"]["amount"] == "12.00"


# Tokens of people: what they approved, once.

DEBTOR = "GB29NWBK60161331926819"
ORDERED_IBAN = "DE89370400440532013000"


def approved(**changes: Any) -> dict[str, Any]:
    """ORDER as a person approved it."""
    approval = {"id": "evidence-1", "digest": "digest-1"}
    usual = {**ORDER, "debtorAccount": {"iban": DEBTOR}, "approval": approval}
    return {"type": "payment_initiation", **usual, **changes}


def persons_token(issuer: Issuer, number: int = 1, sub: str = "alice", **changes: Any) -> str:
    """A token of the person's approval of this number."""
    details = [approved(approval={"id": f"evidence-{number}", "digest": f"digest-{number}"})]
    return issuer.token(**{"sub": sub, "gid": f"gid-{number}", "authorization_details": details, **changes})


def test_a_person_pays_what_they_approved_from_the_account_that_they_chose(
    client: Client, issuer: Issuer
) -> None:
    more = {"remittanceInformationUnstructured": "Order 7"}
    more["creditorAccount"] = {"iban": "DE89370400440532013000", "bic": "COBADEFFXXX"}
    here = {"locations": [DEFAULT_AUDIENCE], "actions": ["initiate", "status"]}
    token = persons_token(issuer, authorization_details=[approved(**more, **here)])
    made = post(client, token, {**ORDER, **more})
    assert made.status_code == 201
    assert made.json == {
        "id": made.json["id"], "status": "accepted", **ORDER, **more, "debtorAccount": {"iban": DEBTOR},
    }  # fmt: skip
    found = get(client, token, made.headers["Location"])
    assert found.json == {**made.json, "refundedAmount": {"amount": "0.00", "currency": "EUR"}}


NOT_APPROVED: dict[str, list[dict[str, Any]]] = {
    "nothing": [],
    "another type": [{"type": "account_information"}],
    "another amount": [approved(instructedAmount={"amount": "12.31", "currency": "EUR"})],
    "another currency": [approved(instructedAmount={"amount": "12.30", "currency": "USD"})],
    "another name": [approved(creditorName="Thief")],
    "another account": [approved(creditorAccount={"iban": DEBTOR})],
    "a bic that is not ordered": [approved(creditorAccount={"iban": ORDERED_IBAN, "bic": "COBADEFFXXX"})],
    "a text that is not ordered": [approved(remittanceInformationUnstructured="x")],
    "another place": [approved(locations=["https://other.example"])],
    "another action": [approved(actions=["status"])],
    "an unknown member": [approved(requestedExecutionDate="2030-01-01")],
    "a broken account": [approved(debtorAccount={"iban": "x"})],
    "several payments": [approved(), approved(approval={"id": "evidence-2", "digest": "x"})],
    "an approval without a name": [approved(approval={"digest": "x"})],
    "an approval that is no object": [approved(approval="evidence-1")],
    "an approval with a name of no length": [approved(approval={"id": "", "digest": "x"})],
    "locations that are no list": [approved(locations=7)],
    "a location that is no list": [approved(locations=DEFAULT_AUDIENCE)],
}


UNNAMED = {name: value for name, value in approved().items() if name != "approval"}


@pytest.mark.parametrize("name", [*NOT_APPROVED, "no details at all", "no approval at all"])
def test_a_persons_token_pays_nothing_that_was_not_approved(
    client: Client, issuer: Issuer, settings: Settings, name: str
) -> None:
    others: dict[str, Any] = {"no details at all": ..., "no approval at all": [UNNAMED]}
    changes = {"authorization_details": others[name] if name in others else NOT_APPROVED[name]}
    refused = post(client, persons_token(issuer, **changes))
    assert (refused.status_code, refused.json["error"]) == (403, "insufficient_scope")
    assert refused.json["error_description"] == (
        "The payment is not the one that was approved with this access token"
    )
    assert 'scope="payments:initiate"' in refused.headers["WWW-Authenticate"]
    assert count(settings, "payment") == count(settings, "request") == count(settings, "approval") == 0


@pytest.mark.parametrize("extra", [{"debtorAccount": {"iban": DEBTOR}}, {"locations": [DEFAULT_AUDIENCE]}])
def test_the_payers_part_of_an_approval_is_not_ordered(
    client: Client, issuer: Issuer, extra: dict[str, Any]
) -> None:
    assert post(client, persons_token(issuer), {**ORDER, **extra}).status_code == 400


def test_an_approval_pays_once_under_whatever_key(client: Client, issuer: Issuer, settings: Settings) -> None:
    first = post(client, persons_token(issuer), key="key-1")
    assert first.status_code == 201
    # another token of the same approval, as a refresh gives it, asks what became of it
    again = post(client, persons_token(issuer), key="key-1")
    assert (again.status_code, again.json) == (201, first.json)
    assert again.headers["Idempotent-Replayed"] == "true"
    # under another key it were another payment
    for key in ("key-2", "key-3"):
        refused = post(client, persons_token(issuer), key=key)
        assert (refused.status_code, refused.json["error"]) == (403, "insufficient_scope")
        assert refused.json["error_description"] == "The approval of this payment was used before"
    # another approval is another payment
    assert post(client, persons_token(issuer, 2), key="key-4").json["id"] != first.json["id"]
    assert count(settings, "payment") == 2


def test_an_approval_pays_once_however_many_keys_race(
    client: Client, issuer: Issuer, settings: Settings
) -> None:
    asked: list[str] = []
    racing = Client(create_app(settings, bank=lambda payment_id, _payment: asked.append(payment_id)))
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda n: post(racing, persons_token(issuer), key=f"key-{n}"), range(32)))
    assert {answer.status_code for answer in answers} <= {201, 403, 409}
    assert len({answer.json["id"] for answer in answers if answer.status_code == 201}) == 1
    assert len(asked) == count(settings, "payment") == 1


def test_an_approval_pays_once_after_a_bank_that_failed_and_with_another_key(
    settings: Settings, issuer: Issuer
) -> None:
    asked: list[str] = []

    def failing_bank(payment_id: str, _payment: Any) -> None:
        asked.append(payment_id)
        if len(asked) == 1:
            raise RuntimeError("the bank is silent")

    client = Client(create_app(settings, bank=failing_bank))
    assert post(client, persons_token(issuer), key="key-1").status_code == 500
    assert post(client, persons_token(issuer), key="key-2").status_code == 403
    assert post(client, persons_token(issuer), key="key-1").status_code == 201
    # the bank was asked twice for one and the same payment
    assert len(asked) == 2
    assert len(set(asked)) == 1


def test_an_approval_is_remembered_longer_than_keys(
    client: Client, issuer: Issuer, settings: Settings
) -> None:
    first = post(client, persons_token(issuer), key="key-1")
    assert post(client, issuer.token(), order("5.00"), key="key-2").status_code == 201
    connection = sqlite3.connect(settings.database)
    connection.execute("UPDATE request SET since = since - 400 * 86400")
    connection.commit()
    connection.close()
    assert post(client, persons_token(issuer), key="key-1").json == first.json
    assert post(client, persons_token(issuer), key="key-3").status_code == 403
    # a client's own key is free again after a day
    assert post(client, issuer.token(), order("6.00"), key="key-2").status_code == 201
    assert count(settings, "payment") == 3


def test_a_second_approval_under_the_same_key_pays_no_second_time(
    client: Client, issuer: Issuer, settings: Settings
) -> None:
    first = post(client, persons_token(issuer), key="order-7")
    named = {"id": "evidence-2", "digest": "digest-2"}
    elsewhere = [approved(debtorAccount={"iban": "DE89370400440532013000"}, approval=named)]
    second = persons_token(issuer, 2, authorization_details=elsewhere)
    again = post(client, second, key="order-7")
    assert (again.status_code, again.json) == (201, first.json)
    # and the approval that was shown for it is used up with it
    assert post(client, second, key="order-8").status_code == 403
    assert count(settings, "payment") == 1


def test_a_key_of_one_person_is_not_answered_to_another(
    client: Client, issuer: Issuer, settings: Settings
) -> None:
    post(client, persons_token(issuer), key="order-7")
    for other in (persons_token(issuer, 2, "bob"), issuer.token()):
        refused = post(client, other, key="order-7")
        assert (refused.status_code, refused.json["error"]) == (422, "idempotency_key_reused")
    # the approval is not used up by that
    assert post(client, persons_token(issuer, 2, "bob"), key="order-8").status_code == 201
    assert count(settings, "payment") == 2


def test_a_person_sees_and_refunds_their_own_payments_and_the_client_all(
    client: Client, issuer: Issuer
) -> None:
    alice, bob, shop = persons_token(issuer), persons_token(issuer, 2, "bob"), issuer.token()
    of_alice = post(client, alice, key="key-1").headers["Location"]
    of_shop = post(client, shop, order("1.00"), key="key-2").headers["Location"]
    seen = {
        (who, path): get(client, token, path).status_code
        for who, token in (("alice", alice), ("bob", bob), ("shop", shop))
        for path in (of_alice, of_shop)
    }
    assert [pair for pair, status in seen.items() if status == 200] == [
        ("alice", of_alice), ("shop", of_alice), ("shop", of_shop),
    ]  # fmt: skip
    refund = {"instructedAmount": {"amount": "1.00", "currency": "EUR"}}
    for token, path in ((bob, of_alice), (alice, of_shop), (bob, of_shop)):
        assert post(client, token, refund, path=f"{path}/refunds").status_code == 404
    assert post(client, alice, refund, path=f"{of_alice}/refunds").status_code == 201
    assert post(client, shop, refund, key="key-3", path=f"{of_alice}/refunds").status_code == 201


def test_a_ledger_of_an_earlier_version_is_read_on(settings: Settings, issuer: Issuer) -> None:
    connection = sqlite3.connect(settings.database)
    connection.execute(
        "CREATE TABLE payment (id TEXT PRIMARY KEY, client_id TEXT NOT NULL, creditor_name TEXT NOT NULL,"
        " iban TEXT NOT NULL, minor INTEGER NOT NULL, currency TEXT NOT NULL, refunded INTEGER NOT NULL)"
    )
    row = ("old", "client-1", "Muster GmbH", "DE89370400440532013000", 1230, "EUR", 0)
    connection.execute("INSERT INTO payment VALUES (?, ?, ?, ?, ?, ?, ?)", row)
    connection.commit()
    connection.close()
    client = Client(create_app(settings))
    assert get(client, issuer.token(), "/payments/old").json["creditorName"] == "Muster GmbH"
    assert get(client, persons_token(issuer), "/payments/old").status_code == 404
    assert post(client, persons_token(issuer)).status_code == 201


def test_an_approval_that_was_used_elsewhere_pays_nothing_here_and_never_will(
    client: Client, issuer: Issuer, settings: Settings
) -> None:
    # another API of the bank shares the store, and not this ledger
    store = SqliteReplayStore(settings.database.with_name("approvals.db"))
    PaymentApprovals(store).use(PaymentApproval("evidence-1", "digest-1", {}))
    store.close()
    for _ in range(2):
        refused = post(client, persons_token(issuer))
        assert (refused.status_code, refused.json["error"]) == (403, "insufficient_scope")
    assert count(settings, "payment") == 0
    # another approval of the same order pays it
    assert post(client, persons_token(issuer, 2)).status_code == 201


def test_an_attempt_that_ended_before_its_approval_was_used_up_leaves_that_to_the_next(
    client: Client, issuer: Issuer, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(SqliteReplayStore, "claim", lambda *_: (_ for _ in ()).throw(Unavailable()))
        assert post(client, persons_token(issuer)).status_code == 503
    # at once, and not after the lease
    assert post(client, persons_token(issuer)).status_code == 201
    store = SqliteReplayStore(settings.database.with_name("approvals.db"))
    with pytest.raises(ApprovalUsed):
        PaymentApprovals(store).use(PaymentApproval("evidence-1", "digest-1", {}))
    store.close()


@pytest.mark.parametrize("bank_asked", [True, False])
def test_a_second_approval_never_asks_the_bank_for_another_account_under_the_same_id(
    settings: Settings, issuer: Issuer, monkeypatch: pytest.MonkeyPatch, bank_asked: bool
) -> None:
    asked: list[tuple[str, str]] = []

    def shaky_bank(payment_id: str, payment: Any) -> None:
        asked.append((payment_id, payment.debtor_iban))
        if bank_asked and len(asked) == 1:
            raise OSError("the line is cut")

    client = Client(create_app(settings, bank=shaky_bank))
    named = {"id": "evidence-2", "digest": "digest-2"}
    elsewhere = [approved(debtorAccount={"iban": ORDERED_IBAN}, approval=named)]
    with monkeypatch.context() as patch:
        if not bank_asked:
            patch.setattr(SqliteReplayStore, "claim", lambda *_: (_ for _ in ()).throw(Unavailable()))
        assert post(client, persons_token(issuer)).status_code == (500 if bank_asked else 503)
    made = post(client, persons_token(issuer, 2, authorization_details=elsewhere))
    account = DEBTOR if bank_asked else ORDERED_IBAN
    assert (made.status_code, made.json["debtorAccount"]) == (201, {"iban": account})
    assert set(asked) == {(made.json["id"], account)}


def test_much_money_takes_a_person_who_has_just_proved_who_they_are(
    settings: Settings, issuer: Issuer
) -> None:
    client = Client(create_app(replace(settings, step_up_over=1000)))
    strong, now = "urn:authserver:acr:mfa", int(time.time())
    for acr, auth_time in (
        (strong, now - 400),
        ("urn:authserver:acr:password", now),
        (..., now),
        (strong, ...),
    ):
        refused = post(client, persons_token(issuer, acr=acr, auth_time=auth_time))
        challenge = refused.headers["WWW-Authenticate"]
        assert (refused.status_code, refused.json["error"]) == (401, "insufficient_user_authentication")
        assert f'acr_values="phr {strong}", max_age="300"' in challenge
        assert step_up_of(challenge) == {"acr_values": f"phr {strong}", "max_age": "300"}
    assert count(settings, "approval") == 0
    # the same approval pays once the person has done so, and little money always
    made = post(client, persons_token(issuer, acr=strong, auth_time=now))
    assert made.status_code == 201
    # who asks later what became of it is told; under another key it were another payment
    later = persons_token(issuer, acr=strong, auth_time=now - 400)
    again = post(client, later)
    assert (again.status_code, again.json) == (201, made.json)
    assert post(client, later, key="key-of-another").status_code == 401
    small = {"instructedAmount": {"amount": "10.00", "currency": "EUR"}}
    named = approved(**small, approval={"id": "evidence-2", "digest": "x"})
    token = persons_token(issuer, 2, authorization_details=[named])
    assert post(client, token, {**ORDER, **small}, key="key-2").status_code == 201
    # a client for itself is nobody who could sign in
    assert post(client, issuer.token(), key="key-3").status_code == 201


def test_much_money_that_no_bank_was_asked_for_takes_a_person_who_has_just_proved_who_they_are(
    settings: Settings, issuer: Issuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = Client(create_app(replace(settings, step_up_over=1000)))
    strong, now = "urn:authserver:acr:mfa", int(time.time())
    with monkeypatch.context() as patch:
        patch.setattr(SqliteReplayStore, "claim", lambda *_: (_ for _ in ()).throw(Unavailable()))
        assert post(client, persons_token(issuer, acr=strong, auth_time=now)).status_code == 503
    assert post(client, persons_token(issuer, acr=strong, auth_time=now - 400)).status_code == 401
    assert post(client, persons_token(issuer, acr=strong, auth_time=now)).status_code == 201


def test_a_token_for_approved_payments_makes_no_other(client: Client, issuer: Issuer) -> None:
    approved = {"type": "payment_initiation", **ORDER, "debtorAccount": {"iban": "GB29NWBK60161331926819"}}
    token = issuer.token(authorization_details=[{"type": "account_information"}, approved])
    for other in (order("12.31"), order(creditorName="Thief"), order(currency="USD")):
        assert post(client, token, other).status_code == 403
    assert post(client, token).status_code == 201
    broken = issuer.token(authorization_details=[{"type": "payment_initiation"}])
    assert post(client, broken, key="key-00000002").status_code == 403


def test_the_metadata_names_the_issuer_and_the_challenge_points_to_it(client: Client, issuer: Issuer) -> None:
    for path in ("", "/payments"):
        answer = client.get(f"/.well-known/oauth-protected-resource{path}")
        assert answer.json == {
            "resource": DEFAULT_AUDIENCE,
            "resource_name": "Payments API (example)",
            "authorization_servers": [issuer.identifier],
            "scopes_supported": SCOPES.split(),
            "bearer_methods_supported": ["header"],
        }
    url = "http://127.0.0.1:8001/.well-known/oauth-protected-resource/payments"
    assert f'resource_metadata="{url}"' in client.post("/payments").headers["WWW-Authenticate"]


def test_every_other_answer_is_json_and_uncacheable(client: Client) -> None:
    for answer in (client.get("/nowhere"), client.delete("/payments"), client.get("/payments")):
        assert answer.status_code in (404, 405)
        assert answer.json["error"] in ("not_found", "method_not_allowed")
        assert answer.headers["Cache-Control"] == "no-store"
    assert client.delete("/payments").headers["Allow"]
    assert "Payments API" in client.get("/").text


def test_a_ledger_that_is_locked_is_503(client: Client, issuer: Issuer, settings: Settings) -> None:
    holder = sqlite3.connect(settings.database, isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    try:
        refused = post(client, issuer.token())
    finally:
        holder.close()
    assert (refused.status_code, refused.json["error"]) == (503, "service_unavailable")
    assert refused.headers["Retry-After"] == "1"
    assert post(client, issuer.token()).status_code == 201


def test_settings_come_from_the_environment_or_from_the_demo(tmp_path: Path) -> None:
    told = {"PAYMENTS_ISSUER": "https://as.example", "PAYMENTS_CLIENT_ID": "a", "PAYMENTS_CLIENT_SECRET": "b"}
    settings = Settings.from_environ(told)
    assert (settings.issuer, settings.audience) == ("https://as.example", DEFAULT_AUDIENCE)
    assert "'b'" not in repr(settings)
    with pytest.raises(SettingsError, match="PAYMENTS_CLIENT_SECRET"):
        Settings.from_environ({**told, "PAYMENTS_CLIENT_SECRET": ""})
    path = tmp_path / "demo.json"
    with pytest.raises(SettingsError, match="does not exist"):
        Settings.from_environ({"PAYMENTS_DEMO": str(path)})
    for broken in ("", "[]", "{}", '{"issuer":"x","resource_servers":[{"name":"accounts"}]}'):
        path.write_text(broken)
        with pytest.raises(SettingsError, match="named payments"):
            Settings.from_environ({"PAYMENTS_DEMO": str(path)})
    path.write_text(json.dumps(demo("https://as.example")))
    assert Settings.from_environ({"PAYMENTS_DEMO": str(path)}).client_id == "payments-api"


def demo(issuer: str) -> dict[str, Any]:
    accounts = {"name": "accounts", "client_id": "a", "client_secret": "b", "audience": "c"}
    payments = {
        "name": "payments",
        "client_id": "payments-api",
        "client_secret": "s",
        "audience": DEFAULT_AUDIENCE,
    }
    return {"issuer": issuer, "resource_servers": [accounts, payments]}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def served(issuer: Issuer, tmp_path: Path) -> Iterator[str]:
    (tmp_path / "demo.json").write_text(json.dumps(demo(issuer.identifier)))
    port = free_port()
    command = [sys.executable, "-m", "examples.payments_api"]
    command += ["--demo", str(tmp_path / "demo.json"), "--port", str(port), "--workers", "2"]
    environ = {**os.environ, "PAYMENTS_DATABASE": str(tmp_path / "payments.db")}
    server = subprocess.Popen(command, cwd=ROOT, env=environ)
    url = f"http://127.0.0.1:{port}"
    try:
        ends_at = time.monotonic() + 30
        while time.monotonic() < ends_at and server.poll() is None:
            try:
                httpx.get(url)
                break
            except httpx.ConnectError:
                time.sleep(0.05)
        yield url
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait(20)


def test_two_workers_under_granian_make_a_payment_once(served: str, issuer: Issuer) -> None:
    token = issuer.token()
    headers = {"Authorization": f"Bearer {token}"}

    def pay(key: str) -> httpx.Response:
        return httpx.post(f"{served}/payments", headers={**headers, "Idempotency-Key": key}, json=ORDER)

    with ThreadPoolExecutor(8) as pool:
        for number in range(10):
            answers = list(pool.map(pay, [f"race-{number:04}"] * 8))
            assert {answer.status_code for answer in answers} <= {201, 409}
            assert len({answer.json()["id"] for answer in answers if answer.status_code == 201}) == 1
            fresh = [a for a in answers if a.status_code == 201 and "Idempotent-Replayed" not in a.headers]
            assert len(fresh) == 1
    twice = httpx.get(f"{served}/payments/x", headers=[("Authorization", f"Bearer {token}")] * 2)
    assert (twice.status_code, twice.json()["error"]) == (400, "invalid_request")


def test_the_command_says_what_is_missing(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "examples.payments_api", "--demo", str(tmp_path / "none.json")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 2
    assert "does not exist" in done.stderr
    assert "Traceback" not in done.stderr
