"""Registrations: a person gets a credential of their own (WebAuthn L3 §7.1)."""

from __future__ import annotations

from typing import Any

from webauthn import verify_registration_response
from webauthn.helpers import aaguid_to_string
from webauthn.helpers.structs import (
    AttestationFormat,
    AuthenticatorAttestationResponse,
    RegistrationCredential,
)

from ... import clock, crypto
from ...audit import Audit
from ...db import Database
from ...users import UserRecord
from . import answers, attestation, authenticator_data, client_data, public_key
from .answers import AttestationAnswer
from .assertions import Assertions, descriptor
from .attestation import AttestationPolicy
from .challenges import CHALLENGE_SECONDS, Ceremony, Challenges, Purpose
from .credentials import MOST, Credential, Credentials
from .refusal import Refused
from .relying_party import RelyingParty


class Registrations:
    """Asks for new credentials and judges them."""

    def __init__(
        self, database: Database, audit: Audit, party: RelyingParty, policy: AttestationPolicy
    ) -> None:
        self._audit = audit
        self._party = party
        self._policy = policy
        self._challenges = Challenges(database)
        self._credentials = Credentials(database)

    def options(self, ceremony: Ceremony, user: UserRecord, *, passkey: bool) -> dict[str, Any]:
        """What ``navigator.credentials.create()`` is called with, as JSON (WebAuthn L3 §5.1.9).

        A ``passkey`` is found without a user name; a security key may be.
        """
        held = self._credentials.of(user.user_id)
        return {
            "rp": {"id": self._party.rp_id, "name": self._party.name},
            "user": {
                "id": crypto.b64u(user.user_id.encode()),
                "name": user.username,
                "displayName": user.name,
            },
            "challenge": crypto.b64u(self._challenges.issue(ceremony)),
            "pubKeyCredParams": [{"type": "public-key", "alg": int(a)} for a in public_key.ALGORITHMS],
            "timeout": CHALLENGE_SECONDS * 1000,
            "excludeCredentials": [descriptor(one) for one in held],
            "authenticatorSelection": {
                "residentKey": "required" if passkey else "preferred",
                "requireResidentKey": passkey,
                "userVerification": "required",
            },
            "attestation": self._policy.conveyance,
            "extensions": {"credProps": True},
        }

    def verify(self, answer: str, ceremony: Ceremony, name: str) -> Credential | None:
        """The credential that the browser's JSON gives the ceremony's person; None if the log says why not.

        The challenge is spent; nothing counts before ``Credentials.add_in``.
        """
        assert ceremony.purpose is Purpose.REGISTER
        try:
            return self._judged(answers.read_attestation(answer), ceremony, name)
        except Refused as refused:
            self.rejected(ceremony, refused.reason)
            return None

    def rejected(self, ceremony: Ceremony, reason: str) -> None:
        """A registration that failed is on record."""
        self._audit.record(Assertions.rejection(ceremony, Refused(reason)))

    def _judged(self, answer: AttestationAnswer, ceremony: Ceremony, name: str) -> Credential:
        signed_for = client_data.ClientData.read(answer.client_data_json)
        self._challenges.spend(ceremony, signed_for.challenge)
        signed_for.check(client_data.CREATE, self._party.origin)
        found, made = attestation.read(answer.attestation_object)
        data = found.auth_data
        authenticator_data.check(data, self._party.rp_id)
        if made.credential_id != answer.credential_id:
            raise Refused("malformed")
        public_key.check(made.credential_public_key)
        self._verify_statement(answer, signed_for.challenge)
        self._policy.check(found, made)
        if len(self._credentials.of(ceremony.user_id)) >= MOST:
            raise Refused("too_many")
        return Credential(
            credential_id=made.credential_id,
            user_id=ceremony.user_id,
            public_key=made.credential_public_key,
            sign_count=data.sign_count,
            backup_eligible=data.flags.be,
            backed_up=data.flags.bs,
            discoverable=answer.discoverable,
            aaguid=aaguid_to_string(made.aaguid),
            transports=answer.transports,
            attestation_format=str(found.fmt),
            attested=self._policy.direct,
            name=name,
            created_at=clock.now(),
        )

    def _verify_statement(self, answer: AttestationAnswer, challenge: bytes) -> None:
        """Refused ``attestation`` unless the attestation statement holds (WebAuthn L3 §7.1, §8)."""
        response = AuthenticatorAttestationResponse(answer.client_data_json, answer.attestation_object)
        identifier = crypto.b64u(answer.credential_id)
        try:
            verify_registration_response(
                credential=RegistrationCredential(identifier, answer.credential_id, response),
                expected_challenge=challenge,
                expected_rp_id=self._party.rp_id,
                expected_origin=self._party.origin,
                require_user_verification=True,
                supported_pub_key_algs=list(public_key.ALGORITHMS),
                pem_root_certs_bytes_by_fmt={AttestationFormat.PACKED: list(self._policy.roots)},
            )
        except Exception as error:  # whatever the library meets in bytes of a stranger
            raise Refused("attestation") from error
