"""What a payment API holds a person to: an approval counts once, and an authentication must do."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest

from authserver.resource_server import (
    AccessToken,
    ApprovalUsed,
    Authentication,
    Challenge,
    InsufficientAuthentication,
    NotApproved,
    PaymentApprovals,
    approval_of,
)
from authserver.resource_server.replay.sqlite import SqliteReplayStore

DETAIL: dict[str, Any] = {
    "type": "payment_initiation",
    "instructedAmount": {"amount": "12.30", "currency": "EUR"},
    "creditorName": "Corner shop",
    "creditorAccount": {"iban": "DE89370400440532013000"},
    "debtorAccount": {"iban": "GB29NWBK60161331926819"},
    "approval": {"id": "e1", "digest": "d1"},
}
HERE = "https://api.example/payments"
ORDER = {name: DETAIL[name] for name in ("instructedAmount", "creditorName", "creditorAccount")}


def token(*details: dict[str, Any], **values: Any) -> AccessToken:
    given = {"subject": "alice", "client_id": "shop", "scopes": frozenset({"payments:initiate"}), "jti": "j"}
    frozen = tuple(MappingProxyType(detail) for detail in details)
    return AccessToken(
        **(given | {"expires_at": 2, "audience": ("a",)} | values), authorization_details=frozen
    )


def test_an_approval_is_used_once_in_every_process_and_by_every_token(tmp_path: Path) -> None:
    path = tmp_path / "approvals.db"
    first, second = (PaymentApprovals(SqliteReplayStore(path)) for _ in range(2))
    first.use(approval_of(token(DETAIL)))
    for approvals in (first, second):
        with pytest.raises(ApprovalUsed):
            approvals.use(approval_of(token(DETAIL, jti="another")))
    second.use(approval_of(token(DETAIL | {"approval": {"id": "e2", "digest": "d1"}})))


def test_of_many_at_once_one_uses_it(tmp_path: Path) -> None:
    approvals = PaymentApprovals(SqliteReplayStore(tmp_path / "approvals.db"))
    begin = threading.Barrier(8)

    def use(_number: int) -> bool:
        begin.wait(20)
        try:
            approvals.use(approval_of(token(DETAIL)))
        except ApprovalUsed:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        assert sorted(pool.map(use, range(8))) == [False] * 7 + [True]


def test_it_is_remembered_for_as_long_as_the_evidence_of_it(tmp_path: Path) -> None:
    now = [1_795_000_000.0]
    store = SqliteReplayStore(tmp_path / "approvals.db", clock=lambda: now[0])
    approvals = PaymentApprovals(store, clock=lambda: now[0])
    approvals.use(approval_of(token(DETAIL)))
    now[0] += 399 * 86_400
    store.purge()
    with pytest.raises(ApprovalUsed):
        approvals.use(approval_of(token(DETAIL)))


@pytest.mark.parametrize(
    "details",
    [
        [],
        [DETAIL, DETAIL],
        [{"type": "account_information"}],
        [{name: value for name, value in DETAIL.items() if name != "approval"}],
        [DETAIL | {"approval": None}],
        [DETAIL | {"approval": {"id": "e1"}}],
        [DETAIL | {"approval": {"id": 7, "digest": "d"}}],
        [DETAIL | {"approval": {"id": "x" * 200, "digest": "d"}}],
    ],
)
def test_a_token_without_one_named_approval_approves_nothing(details: list[dict[str, Any]]) -> None:
    with pytest.raises(NotApproved) as refused:
        approval_of(token(*details))
    refusal = Challenge("payments").refuse(refused.value)
    assert refusal.status == 403
    assert 'scope="payments:initiate"' in dict(refusal.headers)["WWW-Authenticate"]


def test_it_covers_the_payment_that_was_approved_and_no_other() -> None:
    approval = approval_of(token(DETAIL))
    assert approval.covers(ORDER, location=HERE)
    assert approval.covers(ORDER | {"debtorAccount": DETAIL["debtorAccount"]}, location=HERE)
    for other in (
        ORDER | {"instructedAmount": {"amount": "12.31", "currency": "EUR"}},
        ORDER | {"creditorName": "Thief"},
        ORDER | {"creditorAccount": {"iban": "GB29NWBK60161331926819"}},
        ORDER | {"remittanceInformationUnstructured": "more"},
        ORDER | {"debtorAccount": {"iban": "DE89370400440532013000"}},
        {"creditorName": "Corner shop"},
        {},
    ):
        assert not approval.covers(other, location=HERE), other


@pytest.mark.spec("RFC 9396", "2.2")
@pytest.mark.parametrize(
    ("more", "covered"),
    [
        ({"locations": [HERE, "https://other.example"], "actions": ["status", "initiate"]}, True),
        ({"locations": ["https://other.example"]}, False),
        ({"locations": []}, False),
        ({"locations": HERE}, False),
        ({"actions": ["status"]}, False),
        ({"actions": None}, False),
        # what was approved with it and is not ordered
        ({"remittanceInformationUnstructured": "Order 7"}, False),
        ({"requestedExecutionDate": "2030-01-01"}, False),
    ],
)
def test_it_covers_a_payment_for_the_place_and_action_that_were_approved(
    more: dict[str, Any], covered: bool
) -> None:
    approval = approval_of(token(DETAIL | more))
    assert approval.covers(ORDER, location=HERE) is covered


@pytest.mark.spec("RFC 9470", "3")
def test_an_authentication_that_is_weak_old_or_not_told_is_refused_with_what_would_do() -> None:
    demand = Authentication(("phr", "mfa"), 300, clock=lambda: 1000.0)
    for good in ({"acr": "mfa", "auth_time": 695}, {"acr": "phr", "auth_time": 1000}):
        demand.check(token(**good))
    for bad in (
        {"acr": "pwd", "auth_time": 1000},
        {"acr": None, "auth_time": 1000},
        {"acr": "mfa", "auth_time": 694},
        {"acr": "mfa", "auth_time": None},
    ):
        with pytest.raises(InsufficientAuthentication) as refused:
            demand.check(token(**bad))
    refusal = Challenge("payments").refuse(refused.value)
    assert refusal.status == 401
    told = dict(refusal.headers)["WWW-Authenticate"]
    assert 'error="insufficient_user_authentication"' in told
    assert 'acr_values="phr mfa", max_age="300"' in told


def test_either_half_of_a_demand_may_stand_alone_and_what_is_none_is_refused() -> None:
    Authentication(max_age=0, clock=lambda: 1000.0).check(token(auth_time=996))
    Authentication(("phr",)).check(token(acr="phr"))
    wrong: list[Callable[[], object]] = [
        Authentication,
        lambda: Authentication(max_age=-1),
        lambda: Authentication(('a"',)),
        lambda: Authentication(("a b",)),
        lambda: Authentication(("",)),
    ]
    for make in wrong:
        with pytest.raises(ValueError, match=r"acr_values|max_age"):
            make()
