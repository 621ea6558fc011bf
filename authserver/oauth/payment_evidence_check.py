"""Judging the evidence of a payment again: from what was sealed alone, without the factor or its owner."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlsplit

from .. import crypto
from ..users.trusted_payees import payee_of
from . import canonical_json
from .payment_evidence import Kept

# whether a signature is by a COSE_Key over authenticator data and clientDataJSON (WebAuthn L3 §7.2 step 21)
Signed = Callable[[bytes, bytes, bytes, bytes], bool]

RP_ID_HASH, FLAGS = slice(0, 32), 32  # WebAuthn L3 §6.1
USER_PRESENT, USER_VERIFIED = 0x01, 0x04
OUTSIDE = ("clientDataJSON", "authenticatorData", "signature", "publicKey")


def faults(kept: Kept, logged: str | None, signed: Signed) -> list[str]:
    """Why the evidence does not prove what it says, a sentence each; empty where it does.

    ``logged`` is the digest that the audit log has of it, None if the log has none.
    """
    found = []
    digest = crypto.b64u(kept.evidence.digest)
    if kept.digest != kept.evidence.digest:
        found.append("The table has another digest of it.")
    if logged != digest:
        found.append(
            "The audit log has another digest of it." if logged else "The audit log has no row of it."
        )
    members = kept.evidence.members
    found += _form_faults(members)
    if kept.evidence.kind != members.get("kind"):
        found.append("The table says that it is of another kind.")
    if members.get("kind") == "webauthn":
        try:
            found += _signature_faults(members, signed)
        except (ValueError, KeyError, TypeError, IndexError):
            found.append("The assertion cannot be read.")
    return found


def list_faults(kept: Kept, listed: Kept | None) -> list[str]:
    """Why ``kept``, of a payment to a payee on its payer's list, is not covered by what made that entry."""
    if listed is None:
        return ["There is no evidence of the payer's choice."]
    try:
        paid, chosen = (json.loads(one.evidence.members["canonicalForm"]) for one in (kept, listed))
        recurring = kept.evidence.members["exemption"] == "recurring"
        judged = {
            "Another person made the choice.": listed.user_id == kept.user_id,
            "The choice was made without a factor.": listed.evidence.kind != "exemption",
            "The payer chose otherwise.": chosen.get("nextTime") == ("amount" if recurring else "payee"),
            "The payer chose for another payee.": payee_of(chosen) == payee_of(paid),
            "The payer chose for another amount.": not recurring
            or all(chosen[name] == paid[name] for name in ("amount", "currency")),
        }
    except (ValueError, KeyError):
        return ["The evidence of the payer's choice cannot be read."]
    return [fault for fault, fine in judged.items() if not fine]


def _form_faults(members: Mapping[str, Any]) -> list[str]:
    """What is wrong with the canonical form: its spelling, or that the text beside it says otherwise."""
    try:
        form = json.loads(members["canonicalForm"])
        spelt = canonical_json.encode(form).decode()
    except (ValueError, KeyError):
        return ["The canonical form cannot be read."]
    found = [] if spelt == members["canonicalForm"] else ["The canonical form is not canonical."]
    for name in ("template", "language", "lines"):
        if form.get(name) != members.get(name):
            found.append(f"The canonical form has other {name} than the text.")
    return found


def _signature_faults(members: Mapping[str, Any], signed: Signed) -> list[str]:
    """What is wrong with the assertion, and whether it is for this very payment."""
    client_data, data, signature, key = (crypto.b64u_decode(members[name]) for name in OUTSIDE)
    said = json.loads(client_data)
    challenge = crypto.b64u(crypto.sha256(members["canonicalForm"].encode()))
    origin, rp_id = members["origin"], members["rpId"]
    judged = {
        "The passkey signed for another payment.": said["challenge"] == challenge,
        "The passkey signed for something else than an approval.": said["type"] == "webauthn.get",
        "The passkey signed on a page of another site.": said["origin"] == origin
        and said.get("crossOrigin", False) is False
        and urlsplit(origin).hostname == rp_id,
        "The passkey is of another site.": data[RP_ID_HASH] == crypto.sha256(rp_id.encode()),
        "Nobody was there when it signed.": bool(data[FLAGS] & USER_PRESENT),
        "Nobody was verified when it signed.": bool(data[FLAGS] & USER_VERIFIED),
        "The signature is wrong.": signed(key, data, client_data, signature),
    }
    return [fault for fault, fine in judged.items() if not fine]
