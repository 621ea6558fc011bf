"""The modules of ``oidcc-rp-initiated-logout-certification-test-plan``, each a test of the same name.

Written anew from what each module of the OpenID Foundation's suite says that it expects.
"""

from __future__ import annotations

import json

from joserfc.jwk import OctKey
from journey import claims_of, header_of
from plugins.app import ISSUER, World

from authserver import clock, crypto, jws

from .conftest import AFTER, Suite, back_at_client, endpoints_are_https, metadata_of, stays_here


def test_oidcc_rp_initiated_logout_discovery_endpoint_verification(world: World) -> None:
    document = metadata_of(world, "https://auth.example.com")
    assert document["end_session_endpoint"] == "https://auth.example.com/end_session"
    endpoints_are_https(document)


def test_oidcc_rp_initiated_logout(suite: Suite) -> None:
    back_at_client(suite.end_session(), state=suite.state)
    suite.signed_out()


def test_oidcc_rp_initiated_logout_bad_post_logout_redirect_uri(suite: Suite) -> None:
    bad = "https://suite.example/test/a/authserver/bad_post_logout_redirect"
    stays_here(suite.end_session(post_logout_redirect_uri=bad), 400, "wrong address")
    suite.signed_in()


def test_oidcc_rp_initiated_logout_modified_id_token_hint(suite: Suite) -> None:
    header = crypto.b64u(json.dumps(header_of(suite.id_token) | {"alg": "none"}).encode())
    unsigned = f"{header}.{suite.id_token.split('.')[1]}."
    stays_here(suite.end_session(id_token_hint=unsigned), 400, "You are not signed out")
    suite.signed_in()


def test_oidcc_rp_initiated_logout_no_id_token_hint(suite: Suite) -> None:
    """Must not redirect: an error, or the question whether to log out."""
    stays_here(suite.end_session(id_token_hint=None), 400, "You are not signed out")
    suite.signed_in()


def test_oidcc_rp_initiated_logout_no_params(suite: Suite) -> None:
    nothing = dict.fromkeys(("id_token_hint", "post_logout_redirect_uri", "state"))
    page = stays_here(suite.end_session(**nothing), 200, "Sign out?")
    stays_here(suite.browser.submit(page, "/end_session/confirm"), 200, "You are signed out")
    suite.signed_out()


def test_oidcc_rp_initiated_logout_no_post_logout_redirect_uri(suite: Suite) -> None:
    stays_here(suite.end_session(post_logout_redirect_uri=None), 200, "You are signed out")
    suite.signed_out()


def test_oidcc_rp_initiated_logout_no_state(suite: Suite) -> None:
    back_at_client(suite.end_session(state=None))
    suite.signed_out()


def test_oidcc_rp_initiated_logout_only_state(suite: Suite) -> None:
    page = stays_here(suite.end_session(id_token_hint=None, post_logout_redirect_uri=None), 200, "Sign out?")
    stays_here(suite.browser.submit(page, "/end_session/confirm"), 200, "You are signed out")
    suite.signed_out()


def test_oidcc_rp_initiated_logout_query_added_to_post_logout_redirect_uri(suite: Suite) -> None:
    stays_here(suite.end_session(post_logout_redirect_uri=AFTER + "?foo=bar"), 400, "wrong address")
    suite.signed_in()


def test_oidcc_rp_initiated_logout_bad_id_token_hint(suite: Suite) -> None:
    """Signed by the suite, with the client's secret for want of a key."""
    now = clock.now()
    claims = {"iss": ISSUER, "sub": "x", "aud": "suite", "nonce": "n", "iat": now, "exp": now + 300}
    secret = OctKey.import_key(suite.asking.world.secrets["suite"])
    for forged in (claims, claims_of(suite.id_token)):
        hint = jws.sign({"alg": "HS256"}, forged, secret)
        stays_here(suite.end_session(id_token_hint=hint), 400, "You are not signed out")
    suite.signed_in()
