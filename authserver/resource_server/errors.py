"""The ways a payment API refuses a token, each with a fixed text (RFC 6750 §3.1)."""

from enum import Enum
from typing import ClassVar


class Reason(Enum):
    """Why a token is invalid: the name goes to logs and test vectors, the value to the caller."""

    SIZE = "The access token is too large"
    FORM = "The access token is not a signed JWT in compact form"
    HEADER = "The header of the access token is malformed"
    TYPE = "The token is not an access token"
    ALGORITHM = "The access token is signed with a refused algorithm"
    CRITICAL = "The access token has critical extensions"
    FOREIGN_KEY = "The access token brings a key of its own"
    KEY = "The access token is signed with an unknown key"
    SIGNATURE = "The signature of the access token is wrong"
    CLAIMS = "The claims of the access token are malformed"
    ISSUER = "The access token comes from another issuer"
    AUDIENCE = "The access token is meant for another API"
    TIME = "The times of the access token are malformed"
    EXPIRED = "The access token has expired"
    NOT_YET = "The access token is not valid yet"
    IDENTITY = "The access token names no subject, client or identifier"
    SCOPE = "The scope of the access token is malformed"
    SENDER_CONSTRAINED = "The access token is bound to a key and was sent as a plain bearer token"
    REVOKED = "The access token was revoked"
    INACTIVE = "The access token is not active"
    BEARER = "The access token is not a bearer token"


class TokenError(Exception):
    """A request was refused before it reached the API: `status`, `error` and `description` say how.

    `error` is a code of RFC 6750 §3.1, or None where the challenge must carry none.
    """

    status: ClassVar[int] = 401
    error: ClassVar[str | None] = None
    description: str = "Send an access token in the Authorization header"

    def __init__(self) -> None:
        super().__init__(self.description)


class MissingToken(TokenError):
    """The request carries no bearer token: 401 whose challenge has no error code (RFC 6750 §3.1)."""


class InvalidRequest(TokenError):
    """The token was sent twice, in the wrong place or in the wrong form: 400 `invalid_request`."""

    status = 400
    error = "invalid_request"
    description = "Send exactly one access token, in the Authorization header alone"


class InvalidToken(TokenError):
    """The token is refused for one `reason`: 401 `invalid_token`."""

    status = 401
    error = "invalid_token"

    def __init__(self, reason: Reason) -> None:
        self.reason = reason
        self.description = reason.value
        super().__init__()


class InsufficientScope(TokenError):
    """The token is valid and lacks `scope`: 403 `insufficient_scope`."""

    status = 403
    error = "insufficient_scope"
    description = "The access token lacks a scope that this request needs"

    def __init__(self, scope: str) -> None:
        self.scope = scope
        super().__init__()


class InsufficientAuthentication(TokenError):
    """The person must prove anew, or better, who they are: 401 `insufficient_user_authentication`.

    RFC 9470 §3. `acr_values` are those that would do, the best one first; `max_age` is in seconds, or None.
    """

    status = 401
    error = "insufficient_user_authentication"
    description = "A stronger or more recent authentication of the person is needed"

    def __init__(self, acr_values: tuple[str, ...], max_age: int | None) -> None:
        self.acr_values, self.max_age = acr_values, max_age
        super().__init__()


class Unavailable(TokenError):
    """Nobody can say now whether the token holds: 503, to be tried again after `retry_after` seconds."""

    status = 503
    error = "temporarily_unavailable"
    description = "Tokens cannot be checked at the moment"
    retry_after: ClassVar[int] = 2
