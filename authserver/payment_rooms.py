"""The rooms of payments, put together: where people pay from, what is kept of it, what needs no factor."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from .oauth import account_source
from .oauth.approved_payments import ApprovedPayments
from .oauth.payment_evidence import PaymentEvidences
from .oauth.sca_exemptions import Exemptions
from .users import TrustedPayees

if TYPE_CHECKING:
    from . import crypto
    from .audit import Audit
    from .config import Settings
    from .db import Database
    from .mail import Mail
    from .oauth.authorizations import Authorizations
    from .oauth.payment import Accounts
    from .users import Users


@dataclass(frozen=True)
class PaymentRooms:
    """Accounts, approved payments and their evidence, exemptions and the lists that two of them rest on."""

    accounts: Accounts
    approved_payments: ApprovedPayments
    payment_evidences: PaymentEvidences
    exemptions: Exemptions
    trusted_payees: TrustedPayees


@dataclass(frozen=True)
class Below:
    """The rooms that they rest on."""

    settings: Settings
    master: crypto.MasterKeys
    database: Database
    audit: Audit
    mail: Mail
    users: Users
    authorizations: Authorizations


def build(below: Below) -> PaymentRooms:
    """The rooms of payments."""
    settings, database, audit = below.settings, below.database, below.audit
    payees = TrustedPayees(database, below.master, audit, below.mail)
    return PaymentRooms(
        account_source.of(settings, below.users),
        ApprovedPayments(settings, database, below.authorizations, audit),
        PaymentEvidences(database, below.master, audit),
        Exemptions(settings, database, payees),
        payees,
    )
