"""What a payment API imports to validate the access tokens of its authorization server.

Stands apart from the server. `flask` and `wsgi` are doors for web applications, `replay` keeps things
single-use; each is imported by name.
"""

from .access_token import AccessToken
from .challenge import Challenge
from .claims import Rules
from .errors import (
    InsufficientAuthentication,
    InsufficientScope,
    InvalidRequest,
    InvalidToken,
    MissingToken,
    Reason,
    TokenError,
    Unavailable,
)
from .http import Bounds, Http
from .introspection import IntrospectionValidator
from .issuer import Issuer
from .jwks import JwksPolicy, JwksSource
from .keys import KeySource, StaticKeys, VerificationKey
from .payment_approval import ApprovalUsed, NotApproved, PaymentApproval, PaymentApprovals, approval_of
from .revocations import RevocationList, RevocationPolicy
from .short_cache import ShortCache
from .step_up import Authentication
from .validator import TokenValidator, Validator

__all__ = [
    "AccessToken",
    "ApprovalUsed",
    "Authentication",
    "Bounds",
    "Challenge",
    "Http",
    "InsufficientAuthentication",
    "InsufficientScope",
    "IntrospectionValidator",
    "InvalidRequest",
    "InvalidToken",
    "Issuer",
    "JwksPolicy",
    "JwksSource",
    "KeySource",
    "MissingToken",
    "NotApproved",
    "PaymentApproval",
    "PaymentApprovals",
    "Reason",
    "RevocationList",
    "RevocationPolicy",
    "Rules",
    "ShortCache",
    "StaticKeys",
    "TokenError",
    "TokenValidator",
    "Unavailable",
    "Validator",
    "VerificationKey",
    "approval_of",
]
