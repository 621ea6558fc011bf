"""Assertions: a person proves by a credential that they are there, for one purpose (WebAuthn L3 §7.2).

Every check has a reason of its own in the audit log, and none in the answer. The signature is judged before
the count: who has no key cannot make a credential look cloned.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection

from ... import acr, clock, crypto
from ...audit import Audit, Entry, Event
from ...db import Database
from ...users import Users
from . import answers, authenticator_data, client_data, public_key
from .answers import AssertionAnswer
from .challenges import CHALLENGE_SECONDS, Ceremony, Challenges, Purpose
from .credentials import Credential, Credentials
from .refusal import Refused
from .relying_party import RelyingParty

# a message to a person, sent with the transaction: (connection, user_id, its template, values)
Tell = Callable[[Connection, str, str, Mapping[str, Any]], object]


@dataclass(frozen=True, slots=True)
class Assertion:
    """What a person has proved, whole: ``public_key.signed`` judges it again without this server.

    ``at`` is in Unix seconds; ``credential`` is as it was before this use.
    """

    purpose: Purpose
    user_id: str
    rp_id: str
    origin: str
    challenge: bytes
    client_data_json: bytes
    authenticator_data: bytes
    signature: bytes
    credential: Credential
    at: int

    @property
    def credential_id(self) -> bytes:
        """The id of the credential that signed."""
        return self.credential.credential_id

    @property
    def public_key(self) -> bytes:
        """The COSE_Key that verifies the signature."""
        return self.credential.public_key

    @property
    def acr(self) -> str:
        """The step of the ladder that it proves."""
        return acr.PHISHING_RESISTANT

    @property
    def amr(self) -> tuple[str, ...]:
        """RFC 8176 §2: a key, held by whoever is there and unlocked it.

        Where the key rests is known only of what is attested and never backed up; ``pop`` leaves it open
        (OpenID Connect Extended Authentication Profile ACR Values §3).
        """
        hardware = self.credential.attested and not self.credential.backup_eligible
        return ("hwk" if hardware else "pop", "user", "mfa")


class Assertions:
    """Asks for assertions and judges them."""

    def __init__(
        self, database: Database, users: Users, audit: Audit, party: RelyingParty, tell: Tell
    ) -> None:
        self._database = database
        self._users = users
        self._audit = audit
        self._party = party
        self._tell = tell
        self._challenges = Challenges(database)
        self._credentials = Credentials(database)

    def options(self, ceremony: Ceremony, challenge: bytes | None = None) -> dict[str, Any]:
        """What ``navigator.credentials.get()`` is called with, as JSON (WebAuthn L3 §5.1.10).

        A payment gives its own 32 bytes as ``challenge``; nobody's credentials are named before a login.
        """
        allowed = self._credentials.of(ceremony.user_id) if ceremony.user_id else []
        return {
            "challenge": crypto.b64u(self._challenges.issue(ceremony, challenge)),
            "timeout": CHALLENGE_SECONDS * 1000,
            "rpId": self._party.rp_id,
            "allowCredentials": [descriptor(one) for one in allowed],
            "userVerification": "required",
        }

    def verify(self, answer: str, ceremony: Ceremony, challenge: bytes | None = None) -> Assertion | None:
        """What the browser's JSON proves, for this ceremony alone; None if nothing, and the log says why.

        With ``challenge`` it must have been signed for exactly that one. The challenge is spent, and the use
        of the credential counts.
        """
        try:
            return self._judged(answers.read_assertion(answer), ceremony, challenge)
        except Refused as refused:
            self.rejected(ceremony, refused)
            return None

    def holds_in(self, connection: Connection, assertion: Assertion) -> bool:
        """Whether the credential is still as it was judged; this transaction holds it then."""
        return self._credentials.held_in(connection, assertion.credential)

    def rejected(self, ceremony: Ceremony, refused: Refused) -> None:
        """A ceremony that failed is on record."""
        self._audit.record(self.rejection(ceremony, refused))

    @staticmethod
    def rejection(ceremony: Ceremony, refused: Refused) -> Entry:
        """The audit entry of a ceremony that failed."""
        return Entry(
            Event.WEBAUTHN_REJECTED,
            "denied",
            refused.reason,
            user_id=refused.user_id or ceremony.user_id,
            actor="" if ceremony.user_id else "anonymous",
            detail={"purpose": ceremony.purpose.value},
        )

    def _judged(self, answer: AssertionAnswer, ceremony: Ceremony, challenge: bytes | None) -> Assertion:
        signed_for = client_data.ClientData.read(answer.client_data_json)
        if challenge is not None and not crypto.equal(signed_for.challenge, challenge):
            raise Refused("challenge")
        self._challenges.spend(ceremony, signed_for.challenge)
        signed_for.check(client_data.GET, self._party.origin)
        credential = self._credential(answer, ceremony)
        self._check_person(credential.user_id)
        data = authenticator_data.read(answer.authenticator_data)
        authenticator_data.check(data, self._party.rp_id)
        if not public_key.signed(
            credential.public_key, answer.authenticator_data, answer.client_data_json, answer.signature
        ):
            raise Refused("signature", credential.user_id)
        if data.flags.be != credential.backup_eligible:
            raise Refused("backup_flags", credential.user_id)
        self._count(credential, data.sign_count, data.flags.bs)
        return Assertion(
            ceremony.purpose,
            credential.user_id,
            self._party.rp_id,
            self._party.origin,
            signed_for.challenge,
            answer.client_data_json,
            answer.authenticator_data,
            answer.signature,
            credential,
            clock.now(),
        )

    def _credential(self, answer: AssertionAnswer, ceremony: Ceremony) -> Credential:
        """The credential that answers: the ceremony's person has it, or whom its user handle names."""
        handle = answer.user_handle
        # before a login the handle is all that says who is there (WebAuthn L3 §7.2 step 6)
        if handle is None and not ceremony.user_id:
            raise Refused("user_handle")
        named = ceremony.user_id.encode() or handle
        credential = self._credentials.find(answer.credential_id)
        if credential is None or credential.user_id.encode() != named:
            raise Refused("credential_unknown")
        if handle is not None and handle != named:
            raise Refused("user_handle", credential.user_id)
        return credential

    def _check_person(self, user_id: str) -> None:
        user = self._users.get(user_id)
        if user is None or not user.active:
            raise Refused("user_disabled", user_id)

    def _count(self, credential: Credential, sign_count: int, backed_up: bool) -> None:
        """The use counts; a count that does not rise is that of a copy (WebAuthn L3 §6.1.1)."""
        if (sign_count or credential.sign_count) and sign_count <= credential.sign_count:
            with self._database.writing() as connection:
                if self._credentials.flag_in(connection, credential.credential_id):
                    told = {"passkey": credential.name}
                    self._tell(connection, credential.user_id, "passkey_cloned", told)
            raise Refused("sign_count", credential.user_id)
        if credential.flagged_at is not None:
            raise Refused("possibly_cloned", credential.user_id)
        with self._database.writing() as connection:
            counted = self._credentials.used_in(connection, credential, sign_count, backed_up)
        if not counted:
            # removed meanwhile, or another use came first: that is no sign of a copy yet
            gone = self._credentials.find(credential.credential_id) is None
            raise Refused("credential_unknown" if gone else "sign_count", credential.user_id)


def descriptor(credential: Credential) -> dict[str, Any]:
    """A credential as options name it (WebAuthn L3 §5.8.3)."""
    named = {"type": "public-key", "id": crypto.b64u(credential.credential_id)}
    return named | ({"transports": list(credential.transports)} if credential.transports else {})
