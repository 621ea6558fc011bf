"""The modules of ``oidcc-backchannel-rp-initiated-logout-certification-test-plan``, each a test of its name.

Written anew from what each module of the OpenID Foundation's suite says that it expects.
"""

from __future__ import annotations

from journey import claims_of
from plugins.app import World
from receiver import verified

from authserver import clock
from authserver.jobs import Jobs

from .conftest import Suite, back_at_client, endpoints_are_https, metadata_of

SKEW = 300
EVENT = "http://schemas.openid.net/event/backchannel-logout"


def test_oidcc_backchannel_logout_discovery_endpoint_verification(world: World) -> None:
    document = metadata_of(world, "https://auth.example.com")
    assert document["end_session_endpoint"] == "https://auth.example.com/end_session"
    assert document["backchannel_logout_supported"] is True
    assert document["backchannel_logout_session_supported"] is True
    endpoints_are_https(document)


def test_oidcc_backchannel_rp_initiated_logout(suite: Suite) -> None:
    id_token = claims_of(suite.id_token)
    back_at_client(suite.end_session(), state=suite.state)
    Jobs(suite.asking.world.services).run_calls()
    (heard,) = suite.receiver.heard
    # ``token`` holds that there is one parameter, ``verified`` that the published key signed it
    claims = verified(suite.asking.world, heard.token)
    assert claims["iss"] == suite.asking.world.services.settings.issuer
    assert claims["aud"] == "suite"
    assert claims["iat"] <= clock.now() + SKEW
    assert claims["jti"]
    assert claims["events"] == {EVENT: {}}
    assert claims["sub"] == id_token["sub"]
    assert claims["sid"] == id_token["sid"]
    assert "nonce" not in claims
    suite.signed_out()
