"""Registrations: which credentials a person gets, and which authenticators may make them."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cbor2
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from flask import Flask
from plugins.app import World
from plugins.people import add_user
from soft_authenticator import (
    BE,
    BS,
    EDDSA,
    ES256,
    PRESENT,
    RS256,
    UP,
    UV,
    Authenticator,
    Maker,
    attest_itself,
    cose,
    new_key,
)

from authserver import acr
from authserver.app import services_of
from authserver.config import Settings, SettingsRefused
from authserver.crypto import b64u, b64u_decode
from authserver.errors import Invalid
from authserver.login.session_view import SessionView
from authserver.login.webauthn import AttestationPolicy, Ceremony, Credential, Purpose, Refused, public_key
from authserver.login.webauthn.credentials import MOST, name_of

MODEL = bytes(range(16))
AAGUID = "00010203-0405-0607-0809-0a0b0c0d0e0f"


class Desk:
    """alice at a fresh session, who registers devices."""

    def __init__(self, app: Flask) -> None:
        self.app, self.services = app, services_of(app)
        self.user_id = add_user(self.services, "alice")

    def session(self, user_id: str = "") -> SessionView:
        cookie = self.services.sessions.start(
            user_id or self.user_id, acr=acr.PHISHING_RESISTANT, amr=("pop",)
        )
        session = self.services.sessions.read(cookie)
        assert session is not None
        return session

    def register(self, device: Authenticator, change: Any = None, **changes: Any) -> bool:
        session = self.session()
        options = self.services.passkey_changes.options(session)
        assert options is not None
        answer = device.register(options, **changes)
        text = json.dumps(answer if change is None else change(answer))
        return self.services.passkey_changes.add(session, text, "Key") is not None

    @property
    def held(self) -> list[Credential]:
        return self.services.passkeys.credentials.of(self.user_id)

    @property
    def reasons(self) -> list[str]:
        world = World(self.app, self.services)
        return [row["reason"] for row in world.events("webauthn.rejected")]


@pytest.fixture
def desk(app: Flask) -> Desk:
    return Desk(app)


def test_what_is_asked_for_names_the_person_and_what_they_have(desk: Desk) -> None:
    device = Authenticator()
    assert desk.register(device)
    session = desk.session()
    options = desk.services.passkey_changes.options(session)
    assert options is not None
    assert options["rp"]["id"] == "localhost"
    assert b64u_decode(options["user"]["id"]).decode() == desk.user_id
    assert options["authenticatorSelection"] == {
        "residentKey": "required", "requireResidentKey": True, "userVerification": "required",
    }  # fmt: skip
    assert [one["alg"] for one in options["pubKeyCredParams"]] == [ES256, EDDSA, RS256]
    assert [one["id"] for one in options["excludeCredentials"]] == [b64u(device.credentials[0].id)]
    assert (options["attestation"], options["timeout"]) == ("none", 300_000)
    user = desk.services.users.must(desk.user_id)
    ceremony = Ceremony(Purpose.REGISTER, session.sid, desk.user_id)
    key = desk.services.passkeys.registrations.options(ceremony, user, passkey=False)
    assert key["authenticatorSelection"]["residentKey"] == "preferred"


def test_each_algorithm_is_registered_as_it_is(desk: Desk) -> None:
    for alg in (ES256, EDDSA, RS256):
        assert desk.register(Authenticator(alg=alg, flags=PRESENT | BE | BS, count=7)), desk.reasons
    assert {cbor2.loads(one.public_key)[3] for one in desk.held} == {ES256, EDDSA, RS256}
    for one in desk.held:
        assert (one.sign_count, one.backup_eligible, one.backed_up, one.discoverable) == (7, True, True, True)
        assert (one.transports, one.attestation_format, one.attested) == (("internal",), "none", False)


def test_every_claim_about_the_browser_and_the_person_is_checked(desk: Desk) -> None:
    wrong: list[tuple[str, dict[str, Any]]] = [
        ("type", {"type_": "webauthn.get"}), ("type", {"type_": "payment.get"}), ("type", {"type_": None}),
        ("origin", {"origin": "http://evil.localhost:8000"}), ("origin", {"origin": None}),
        ("cross_origin", {"crossOrigin": True}), ("cross_origin", {"topOrigin": "http://localhost:8000"}),
        ("rp_id", {"rp_id": "evil.example"}), ("user_verification", {"flags": UP}),
        ("user_verification", {"flags": UV}), ("backup_flags", {"flags": PRESENT | BS}),
    ]  # fmt: skip
    for reason, changes in wrong:
        assert not desk.register(Authenticator(), **changes)
        assert desk.reasons[-1] == reason, changes
    assert desk.held == []


def test_keys_of_other_kinds_are_refused(desk: Desk) -> None:
    p384 = ec.generate_private_key(ec.SECP384R1()).public_key().public_numbers()
    size = 48
    odd_curve = {1: 2, 3: ES256, -1: 2, -2: p384.x.to_bytes(size, "big"), -3: p384.y.to_bytes(size, "big")}
    es256 = cose(new_key())
    weak, huge = rsa.generate_private_key(65537, 1024), (1 << 4200) + 1
    keys = [
        odd_curve, es256 | {3: -35}, es256 | {3: RS256}, es256 | {-2: bytes(32), -3: bytes(32)}, {},
        {1: 2, 3: ES256}, cose(weak), {1: 3, 3: RS256, -1: huge.to_bytes(526, "big"), -2: b"\x01\x00\x01"},
        cose(new_key(RS256)) | {3: -65535}, cose(new_key(RS256)) | {3: -37}, {1: 7, 3: -48, -1: bytes(1312)},
    ]  # fmt: skip
    for key in keys:
        assert not desk.register(Authenticator(), cose_key=cbor2.dumps(key)), key
        assert desk.reasons[-1] in ("algorithm", "malformed"), key
    # the point as older keys spell it, which is no COSE_Key
    with pytest.raises(Refused, match="algorithm"):
        public_key.check(b"\x04" + es256[-2] + es256[-3])
    public_key.check(cbor2.dumps(es256))
    assert desk.held == []


def test_a_credential_is_of_one_person_and_registered_once(desk: Desk) -> None:
    device = Authenticator()
    session = desk.session()
    answer = device.register(desk.services.passkey_changes.options(session) or {})
    text = json.dumps(answer)
    assert desk.services.passkey_changes.add(session, text, "Key") is not None
    again = desk.session()
    assert desk.services.passkey_changes.add(again, text, "Key") is None
    bob = add_user(desk.services, "bob")
    theirs = desk.session(bob)
    options = desk.services.passkey_changes.options(theirs) or {}
    # bob's ceremony, with the id of alice's credential
    made = Authenticator().register(options)
    attested = cbor2.loads(b64u_decode(made["response"]["attestationObject"]))
    ids = (b64u_decode(made["id"]), b64u_decode(answer["id"]))
    attested["authData"] = attested["authData"].replace(*ids)
    made |= {"id": answer["id"], "rawId": answer["id"]}
    made["response"]["attestationObject"] = b64u(cbor2.dumps(attested))
    assert desk.services.passkey_changes.add(theirs, json.dumps(made), "Key") is None
    assert desk.reasons == ["challenge_reuse", "changed_meanwhile"]
    assert [one.user_id for one in desk.held] == [desk.user_id]
    assert desk.services.passkeys.credentials.of(bob) == []


def test_nobody_has_more_than_twenty(desk: Desk) -> None:
    assert desk.register(Authenticator())
    (one,) = desk.held
    with desk.services.database.writing() as connection:
        for number in range(MOST - 1):
            more = dataclasses.replace(one, credential_id=bytes([number]) * 16)
            assert desk.services.passkeys.credentials.add_in(connection, more)
    assert not desk.register(Authenticator())
    assert desk.reasons == ["too_many"]
    assert len(desk.held) == MOST


def test_what_is_no_attestation_is_refused(desk: Desk) -> None:
    def with_object(data: bytes) -> Callable[[dict[str, Any]], dict[str, Any]]:
        return lambda answer: answer | {"response": answer["response"] | {"attestationObject": b64u(data)}}

    def with_id(answer: dict[str, Any]) -> dict[str, Any]:
        return answer | {"id": "AAAA", "rawId": "AAAA"}

    bare = cbor2.dumps({"fmt": "none", "attStmt": {}, "authData": Authenticator().data()})
    changes = [
        with_id, with_object(b"x"), with_object(b"\x9f" * 5000), with_object(cbor2.dumps([])),
        with_object(bytes(25_000)), with_object(bare),
        with_object(cbor2.dumps({"fmt": "none", "attStmt": {}, "authData": 7})),
        lambda answer: answer | {"response": {}}, lambda answer: [answer],
        lambda answer: answer | {"response": answer["response"] | {"transports": "usb"}},
    ]  # fmt: skip
    for change in changes:
        assert not desk.register(Authenticator(), change=change)
        assert desk.reasons[-1] == "malformed"
    for fmt in ("tpm", "android-safetynet", "apple", "fido-u2f", "android-key", "x", 7, [], None):
        attest = lambda data, key, fmt=fmt: (fmt, {})  # noqa: E731
        assert not desk.register(Authenticator(), attest=attest)
        assert desk.reasons[-1] == "attestation", fmt
    unsigned = {"alg": ES256, "sig": b"x"}
    assert not desk.register(Authenticator(), attest=lambda data, key: ("packed", unsigned))
    assert not desk.register(Authenticator(), attest=lambda data, key: ("none", {"sig": b"x"}))
    assert desk.reasons[-2:] == ["attestation"] * 2
    assert desk.held == []
    # an authenticator that vouches for itself is one like any other
    assert desk.register(Authenticator(), attest=attest_itself)
    assert not desk.held[0].attested


def test_by_policy_a_maker_vouches_for_the_model(make_app: Callable[..., Flask], tmp_path: Path) -> None:
    maker, other, roots = Maker(), Maker(), tmp_path / "roots.pem"
    roots.write_bytes(maker.pem)
    policy = {"attestation": "direct", "attestation_aaguids": (AAGUID,), "attestation_roots": roots}
    desk = Desk(make_app(**policy))
    session = desk.session()
    assert (desk.services.passkey_changes.options(session) or {})["attestation"] == "direct"
    unknown = bytes(15) + b"\x01"
    refused: list[tuple[bytes, Any]] = [
        (MODEL, None),
        (MODEL, attest_itself),
        (MODEL, other.attest(MODEL)),
        (unknown, maker.attest(unknown)),
        # the certificate of one model for another that is allowed
        (MODEL, maker.attest(unknown)),
        (MODEL, maker.attest(None)),
        (MODEL, maker.attest(MODEL, ca=True)),
        (MODEL, maker.attest(MODEL, unit="Something else")),
    ]
    for aaguid, attest in refused:
        assert not desk.register(Authenticator(aaguid=aaguid), attest=attest)
    assert desk.reasons == ["attestation"] * len(refused)
    device = Authenticator(aaguid=MODEL)
    assert desk.register(device, attest=maker.attest(MODEL)), desk.reasons
    (held,) = desk.held
    assert (held.aaguid, held.attested, held.attestation_format) == (AAGUID, True, "packed")
    # a key that is known to rest in hardware is named so (RFC 8176 §2)
    ceremony = Ceremony(Purpose.LOGIN, "a browser")
    options = desk.services.passkeys.assertions.options(ceremony)
    proved = desk.services.passkeys.assertions.verify(json.dumps(device.sign(options)), ceremony)
    assert proved is not None and proved.amr == ("hwk", "user", "mfa")


def test_a_policy_that_lets_in_anybody_by_mistake_is_refused(tmp_path: Path) -> None:
    (tmp_path / "empty.pem").write_text("")
    for roots in (tmp_path / "empty.pem", tmp_path / "missing.pem", None):
        with pytest.raises(Invalid):
            AttestationPolicy.read("direct", [AAGUID], roots)
    aaguids = {"AUTHSERVER_ATTESTATION_AAGUIDS": AAGUID}
    for environment in ({"AUTHSERVER_ATTESTATION": "direct"}, aaguids):
        with pytest.raises(SettingsRefused):
            Settings.load(environment)


def test_a_name_is_one_line() -> None:
    assert name_of("  My \t phone ") == "My phone"
    for text in ("", "   ", "x" * 61, "back\u202ewards", "bell\x07"):
        with pytest.raises(Invalid):
            name_of(text)
