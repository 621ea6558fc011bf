"""Assertions: what proves something, and every way in which it does not."""

from __future__ import annotations

import json
from typing import Any

import pytest
from plugins.app import Moving, World
from plugins.factors import told
from plugins.people import add_user
from soft_authenticator import BE, BS, EDDSA, ES256, PRESENT, RS256, UP, UV, Authenticator, new_key
from sqlalchemy import select

from authserver import acr
from authserver.crypto import b64u, b64u_decode, sha256
from authserver.login.session_view import SessionView
from authserver.login.webauthn import Assertion, Ceremony, Purpose, public_key
from authserver.login.webauthn.challenges import CHALLENGE_SECONDS

DEVICE = "192.0.2.7"


def session_of(world: World, user_id: str) -> SessionView:
    cookie = world.services.sessions.start(user_id, acr=acr.PHISHING_RESISTANT, amr=("pop",))
    session = world.services.sessions.read(cookie)
    assert session is not None
    return session


def registered(world: World, user_id: str, device: Authenticator, **changes: Any) -> SessionView:
    """A session of the person, who has a new credential on ``device``."""
    session, services = session_of(world, user_id), world.services
    options = services.passkey_changes.options(session)
    assert options is not None
    answer = json.dumps(device.register(options, **changes))
    assert services.passkey_changes.add(session, answer, "Telephone") is not None, reasons(world)
    return session


class Scene:
    """alice, her session, and a device with her passkey at count 10."""

    def __init__(self, world: World, user_id: str, device: Authenticator) -> None:
        self.world, self.user_id, self.device = world, user_id, device
        self.session = registered(world, user_id, device)
        if device.count is not None:
            device.count = 9
            assert self.prove() is not None

    @property
    def ceremony(self) -> Ceremony:
        return Ceremony(Purpose.MFA, self.session.sid, self.user_id)

    def options(self, ceremony: Ceremony | None = None, challenge: bytes | None = None) -> dict[str, Any]:
        return self.world.services.passkeys.assertions.options(ceremony or self.ceremony, challenge)

    def prove(self, ceremony: Ceremony | None = None, **changes: Any) -> Assertion | None:
        ceremony = ceremony or self.ceremony
        return self.judge(self.device.sign(self.options(ceremony), **changes), ceremony)

    def judge(
        self, answer: Any, ceremony: Ceremony | None = None, challenge: bytes | None = None
    ) -> Assertion | None:
        text = answer if isinstance(answer, str) else json.dumps(answer)
        return self.world.services.passkeys.assertions.verify(text, ceremony or self.ceremony, challenge)


def reasons(world: World) -> list[str]:
    return [row["reason"] for row in world.events("webauthn.rejected")]


@pytest.fixture
def scene(world: World) -> Scene:
    return Scene(world, add_user(world.services, "alice"), Authenticator())


def flagged(scene: Scene) -> bool:
    return scene.world.services.passkeys.credentials.of(scene.user_id)[0].flagged_at is not None


@pytest.mark.parametrize("alg", [ES256, EDDSA, RS256])
def test_each_algorithm_proves_who_somebody_is(world: World, alg: int) -> None:
    scene = Scene(world, add_user(world.services, "alice"), Authenticator(alg=alg, count=None))
    proved = scene.prove()
    assert proved is not None
    assert (proved.user_id, proved.acr, proved.amr) == (scene.user_id, "phr", ("pop", "user", "mfa"))
    assert (proved.rp_id, proved.origin) == ("localhost", "http://localhost:8000")
    # what is kept of it proves the same to anybody
    whole = (proved.public_key, proved.authenticator_data, proved.client_data_json, proved.signature)
    assert public_key.signed(*whole)
    assert not public_key.signed(*whole[:2], proved.client_data_json + b" ", proved.signature)
    # a counter that is always zero is none
    assert scene.prove() is not None


def test_every_claim_about_the_browser_is_checked(scene: Scene) -> None:
    host = "http://localhost:8000"
    origins = [
        "http://evil.localhost:8000", "http://localhost", "http://localhost:8001", "https://localhost:8000",
        f"{host}/", host.upper(), "null", "", "android:apk-key-hash:x", None, 7, [host],
    ]  # fmt: skip
    wrong: list[tuple[str, dict[str, Any]]] = [("origin", {"origin": origin}) for origin in origins]
    wrong += [("type", {"type_": type_}) for type_ in ("webauthn.create", "payment.get", "", None, ["x"])]
    wrong += [("cross_origin", {"crossOrigin": said}) for said in (True, "false", 1, "")]
    wrong += [("cross_origin", {"topOrigin": said}) for said in ("https://evil.example", host)]
    wrong += [("rp_id", {"rp_id": said}) for said in ("evil.example", "LOCALHOST", "")]
    wrong += [("user_verification", {"flags": flags}) for flags in (UP, UV, 0)]
    wrong += [("backup_flags", {"flags": PRESENT | flags}) for flags in (BS, BE, BE | BS)]
    wrong += [("user_handle", {"handle": b"mallory"})]
    for reason, changes in wrong:
        assert scene.prove(**changes) is None, changes
        assert reasons(scene.world)[-1] == reason, changes
    assert not flagged(scene)
    # an absent crossOrigin says the same as false (WebAuthn L3 §5.8.1)
    assert scene.prove(crossOrigin=None) is not None


def test_a_challenge_is_presented_once_in_time_and_where_it_belongs(
    moving_clock: Moving, world: World
) -> None:
    scene = Scene(world, add_user(world.services, "alice"), Authenticator())
    answer = scene.device.sign(scene.options())
    other = Ceremony(Purpose.MFA, session_of(world, scene.user_id).sid, scene.user_id)
    payment = Ceremony(Purpose.PAYMENT, scene.session.sid, scene.user_id)
    somebody = Ceremony(Purpose.MFA, scene.session.sid, add_user(world.services, "bob"))
    login = Ceremony(Purpose.LOGIN, scene.session.sid)
    for elsewhere in (other, payment, somebody, login):
        assert scene.judge(answer, elsewhere) is None
    assert scene.judge(answer) is not None
    assert scene.judge(answer) is None
    # also one that proved nothing is spent
    unsigned = scene.device.sign(options := scene.options(), key=new_key())
    assert scene.judge(unsigned) is None
    assert scene.judge(scene.device.sign(options)) is None
    late = scene.device.sign(scene.options())
    moving_clock.walk(CHALLENGE_SECONDS)
    assert scene.judge(late) is None
    made_up = scene.device.sign({"challenge": b64u(bytes(32))})
    assert scene.judge(made_up) is None
    expected = ["challenge"] * 4
    expected += ["challenge_reuse", "signature", "challenge_reuse", "challenge_expired", "challenge"]
    assert reasons(world) == expected


def test_a_count_that_does_not_rise_flags_the_credential_and_tells_its_owner(scene: Scene) -> None:
    for count in (10, 9, 0):
        assert scene.prove(count=count) is None
    assert reasons(scene.world) == ["sign_count"] * 3
    assert flagged(scene)
    # the copy that is ahead of its original is worth nothing either
    assert scene.prove(count=4000) is None
    assert reasons(scene.world)[-1] == "possibly_cloned"
    assert told(scene.world.app, scene.user_id).count("passkey_cloned") == 1


def test_who_has_no_key_cannot_make_a_credential_look_cloned(scene: Scene) -> None:
    assert scene.prove(count=1, key=new_key()) is None
    assert reasons(scene.world) == ["signature"]
    assert not flagged(scene)


def test_a_signature_has_one_form_and_one_key(scene: Scene) -> None:
    def twisted(change: Any) -> dict[str, Any]:
        answer = scene.device.sign(scene.options())
        signature = b64u_decode(answer["response"]["signature"])
        answer["response"]["signature"] = b64u(change(signature))
        return answer

    changes = [
        lambda signature: b"",
        lambda signature: signature + b"\x00",
        lambda signature: signature[:-1],
        lambda signature: signature[:-1] + bytes([signature[-1] ^ 1]),
        lambda signature: bytes([signature[0] ^ 1]) + signature[1:],
        lambda signature: bytes(64),
        lambda signature: b"\x30\x06\x02\x01\x00\x02\x01\x00",
    ]
    for change in changes:
        assert scene.judge(twisted(change)) is None
    assert scene.prove(key=new_key()) is None
    assert reasons(scene.world) == ["signature"] * (len(changes) + 1)
    assert scene.prove() is not None


def test_anothers_credential_proves_nothing(scene: Scene) -> None:
    world, bobs = scene.world, Authenticator()
    bob = add_user(world.services, "bob")
    registered(world, bob, bobs)
    credential = bobs.credentials[0]
    for handle in (credential.user_handle, scene.user_id.encode(), None):
        assert scene.prove(credential=credential, handle=handle) is None
    login = Ceremony(Purpose.LOGIN, "a cookie")
    # bob's key, named as alice's
    assert scene.prove(login, credential=credential, handle=scene.user_id.encode()) is None
    assert scene.prove(login, handle=None) is None
    assert scene.prove(login, handle=b"nobody") is None
    expected = ["credential_unknown"] * 4 + ["user_handle", "credential_unknown"]
    assert reasons(world) == expected
    proved = scene.prove(login)
    assert proved is not None and proved.user_id == scene.user_id


def test_a_credential_that_is_gone_ends_ceremonies_that_began_before(scene: Scene) -> None:
    options, services = scene.options(), scene.world.services
    with services.database.writing() as connection:
        services.passkeys.credentials.forget_in(connection, scene.user_id)
    assert scene.judge(scene.device.sign(options)) is None
    services.users.disable(scene.user_id)
    assert scene.prove() is None
    assert reasons(scene.world) == ["credential_unknown"] * 2


def test_a_disabled_person_proves_nothing(scene: Scene) -> None:
    options = scene.options()
    scene.world.services.users.disable(scene.user_id)
    assert scene.judge(scene.device.sign(options)) is None
    assert reasons(scene.world) == ["user_disabled"]


def test_a_payment_is_signed_by_its_own_challenge(scene: Scene) -> None:
    ceremony = Ceremony(Purpose.PAYMENT, scene.session.sid, scene.user_id)
    one, another = sha256(b"10 EUR to a shop, nonce"), sha256(b"1000 EUR to a shop, nonce")
    for challenge in (one, another):
        assert b64u_decode(scene.options(ceremony, challenge)["challenge"]) == challenge
    signed = scene.device.sign({"challenge": b64u(one)})
    assert scene.judge(signed, ceremony, another) is None
    assert reasons(scene.world) == ["challenge"]
    proved = scene.judge(signed, ceremony, one)
    assert proved is not None and proved.challenge == one
    assert proved.credential_id == scene.device.credentials[0].id
    with pytest.raises(ValueError, match="once"):
        scene.options(ceremony, one)
    with pytest.raises(ValueError, match="32 bytes"):
        scene.options(ceremony, b"short")


def test_what_is_no_answer_is_refused_before_it_is_judged(scene: Scene) -> None:
    good = scene.device.sign(scene.options())

    def with_response(**members: Any) -> dict[str, Any]:
        return good | {"response": good["response"] | members}

    def with_client_data(text: str) -> dict[str, Any]:
        return with_response(clientDataJSON=b64u(text.encode()))

    malformed: list[Any] = [
        "", "x", "[]", "null", "{}", "[" * 5000, json.dumps(good) + " " * 20_000, good | {"rawId": "AAAA"},
        good | {"id": None, "rawId": None}, good | {"type": "password"}, good | {"response": []},
        json.dumps(good).replace('"type": "public-key"', '"type": "public-key", "type": "public-key"'),
        good | {"id": b64u(bytes(1024)), "rawId": b64u(bytes(1024))},
        with_response(signature=None), with_response(signature="not base64url!"),
        with_response(signature=b64u(bytes(1025))), with_response(clientDataJSON=b64u(bytes(5000))),
        with_response(userHandle=b64u(bytes(65))), with_response(userHandle=""),
        with_client_data("[]"), with_client_data("{}"), with_client_data('{"challenge": 7}'),
        with_client_data('{"challenge": "AB="}'), with_client_data("\ufeff{}"),
    ]  # fmt: skip
    for answer in malformed:
        assert scene.judge(answer) is None
    assert reasons(scene.world) == ["malformed"] * len(malformed)
    assert scene.judge(good) is not None
    # bytes that are missing or left over in what was signed
    for cut in (b64u(bytes(36)), b64u(b64u_decode(good["response"]["authenticatorData"]) + b"\x00")):
        answer = scene.device.sign(scene.options())
        answer["response"]["authenticatorData"] = cut
        assert scene.judge(answer) is None
        assert reasons(scene.world)[-1] == "malformed"


def test_a_ceremony_is_of_one_browser_and_of_one_person_unless_it_is_a_login() -> None:
    for purpose, holder, user_id in [
        (Purpose.MFA, "sid", ""), (Purpose.PAYMENT, "sid", ""), (Purpose.LOGIN, "cookie", "u"),
        (Purpose.MFA, "", "u"), (Purpose.LOGIN, "", ""),
    ]:  # fmt: skip
        with pytest.raises(ValueError, match="ceremony"):
            Ceremony(purpose, holder, user_id)


def test_challenges_rest_as_digests_and_leave_in_time(moving_clock: Moving, world: World) -> None:
    from authserver.login.webauthn.challenges import challenges
    from authserver.purge import purge

    scene = Scene(world, add_user(world.services, "alice"), Authenticator())
    challenge = b64u_decode(scene.options()["challenge"])
    with world.services.database.reading() as connection:
        rows = connection.execute(select(challenges)).mappings().all()
    assert sha256(challenge) in [row["digest"] for row in rows]
    assert not any(challenge in row.values() for row in rows)
    moving_clock.walk(CHALLENGE_SECONDS)
    assert purge(world.services.database)["webauthn_challenge"] == len(rows)
