"""Validation by asking the issuer about each token, so that a revoked one ends at once (RFC 7662)."""

import base64
import logging
import re
from typing import Any
from urllib.parse import quote_plus

from .access_token import AccessToken
from .claims import Rules, check_audience, check_issuer, check_times, read_access_token
from .errors import InvalidToken, Reason, Unavailable
from .http import Bounds
from .issuer import Issuer
from .strict_json import read_object
from .validator import TokenValidator

_log = logging.getLogger(__name__)
_BOUNDS = Bounds(seconds=2.0, max_bytes=65_536)
_TOKEN = re.compile(r"[A-Za-z0-9\-._~+/]+=*")


class IntrospectionValidator:
    """Validates access tokens of any form by the issuer's introspection endpoint.

    The API authenticates by client_secret_basic. Nothing is cached: each call is one exchange of at
    most 2 seconds. Wrap it in ShortCache where that costs too much and a delay is bearable.

    Give it a `screen` where tokens are JWTs: a Validator that looks at signature, audience and time
    first. Otherwise each stranger's junk is a question to the issuer, and uses up this API's quota there.
    """

    def __init__(
        self,
        *,
        issuer: str | Issuer,
        audience: str,
        client_id: str,
        client_secret: str,
        screen: TokenValidator | None = None,
        rules: Rules | None = None,
    ) -> None:
        if not (audience and client_id and client_secret):
            raise ValueError("an API has an audience and credentials of its own")
        self._issuer = Issuer.of(issuer)
        self._audience = audience
        self._authorization = _basic(client_id, client_secret)
        self._screen = screen
        self._rules = rules or Rules()

    def validate(self, token: str, *, scope: str | None = None) -> AccessToken:
        """Return the active token that has every name in `scope`, parted by spaces.

        InvalidToken, InsufficientScope, or Unavailable if the issuer gives no clear answer.
        """
        if len(token) > self._rules.max_bytes:
            raise InvalidToken(Reason.SIZE)
        if _TOKEN.fullmatch(token) is None:
            raise InvalidToken(Reason.FORM)
        if self._screen is not None:
            self._screen.validate(token)
        claims = self._ask(token)
        check_issuer(claims, self._issuer.identifier)
        check_audience(claims, self._audience)
        check_times(claims, self._rules, required=("exp",))
        access_token = read_access_token(claims)
        # RFC 6749 §7.1: a token of a type one does not know must not be used.
        if str(claims.get("token_type", "")).lower() != "bearer":
            raise InvalidToken(Reason.BEARER)
        if scope is not None:
            access_token.require(scope)
        return access_token

    def _ask(self, token: str) -> dict[str, Any]:
        headers = {"accept": "application/json", "authorization": self._authorization}
        form = {"token": token, "token_type_hint": "access_token"}
        try:
            url = self._issuer.endpoint("introspection_endpoint")
            answer = self._issuer.http.post(url, _BOUNDS, headers, form)
            if answer.status != 200:
                _log.warning("introspection was answered with status %d", answer.status)
                raise Unavailable
            claims = read_object(answer.body)
        except ValueError:
            raise Unavailable from None
        if claims.get("active") is False:
            raise InvalidToken(Reason.INACTIVE)
        if claims.get("active") is not True:
            raise Unavailable
        return claims


def _basic(client_id: str, client_secret: str) -> str:
    # The form encoding comes before base64 (RFC 6749 §2.3.1).
    pair = f"{quote_plus(client_id)}:{quote_plus(client_secret)}"
    return "Basic " + base64.b64encode(pair.encode("ascii")).decode("ascii")
