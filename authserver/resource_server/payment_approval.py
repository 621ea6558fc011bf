"""Payments that a person approved, each used once (PSD2 RTS art. 5, RFC 9396 §9).

The issuer's token has the payment as it was approved in `authorization_details`; its member `approval` names
the evidence of that. Whoever moves money holds the order to the details, and then uses the approval up.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from time import time
from typing import Any

from .access_token import AccessToken
from .errors import InsufficientScope
from .replay import ReplayStore

TYPE = "payment_initiation"
SCOPE = "payments:initiate"
# As long as the issuer keeps the evidence: an approval pays once, and not once for each of its tokens.
KEPT_SECONDS = 400 * 86_400
_LONGEST = 128
DEBTOR = "debtorAccount"
_REQUIRED = frozenset({"instructedAmount", "creditorName", "creditorAccount"})
# what is no part of an order
_ABOUT = frozenset({"type", "approval", "locations", "actions"})


class NotApproved(InsufficientScope):
    """The token is valid and nobody approved this payment with it: 403 `insufficient_scope`."""

    description = "The payment is not the one that was approved with this access token"


class ApprovalUsed(InsufficientScope):
    """The payment was approved, and paid before: 403 `insufficient_scope`."""

    description = "The approval of this payment was used before"


@dataclass(frozen=True)
class PaymentApproval:
    """An approved payment: `detail` is what was approved, `id` and `digest` name the issuer's evidence."""

    id: str
    digest: str
    detail: Mapping[str, Any]

    def covers(self, payment: Mapping[str, Any], *, location: str, action: str = "initiate") -> bool:
        """Tell whether `payment`, amount and payee among its members, is just what was approved.

        And whether that was for this `location`, the API's own resource identifier, and for `action`; details
        that name none of these hold for all (RFC 9396 §2.2). The payer's account may be left out.
        """
        approved = {name: value for name, value in self.detail.items() if name not in _ABOUT}
        ordered = {DEBTOR: self.detail[DEBTOR]} | dict(payment) if DEBTOR in self.detail else dict(payment)
        fitting = _named(self.detail, "locations", location) and _named(self.detail, "actions", action)
        return fitting and payment.keys() >= _REQUIRED and ordered == approved


def approval_of(token: AccessToken) -> PaymentApproval:
    """Return the one payment that was approved with this token; NotApproved if there is none, or several."""
    details = [detail for detail in token.authorization_details if detail["type"] == TYPE]
    named = details[0].get("approval") if len(details) == 1 else None
    if not isinstance(named, Mapping) or not all(_is_name(named.get(name)) for name in ("id", "digest")):
        raise NotApproved(SCOPE)
    return PaymentApproval(named["id"], named["digest"], details[0])


class PaymentApprovals:
    """Uses approvals up; `store` is shared by every process of the API."""

    def __init__(self, store: ReplayStore, *, clock: Callable[[], float] = time) -> None:
        self._store, self._clock = store, clock

    def use(self, approval: PaymentApproval) -> None:
        """Return once and no more for each approval, whichever token brings it; ApprovalUsed after that.

        Unavailable if the store cannot tell. What fails after this call is not paid: the payer approves anew.
        """
        if not self._store.claim(f"payment:{approval.id}", int(self._clock()) + KEPT_SECONDS):
            raise ApprovalUsed(SCOPE)


def _named(detail: Mapping[str, Any], member: str, wanted: str) -> bool:
    named = detail.get(member, [wanted])
    return isinstance(named, list | tuple) and wanted in named


def _is_name(value: object) -> bool:
    return isinstance(value, str) and 0 < len(value) <= _LONGEST and value.isprintable()
