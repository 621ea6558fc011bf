"""Dynamic client registration (RFC 7591, RFC 7592, OpenID Connect Dynamic Client Registration 1.0)."""

from .endpoint import RegistrationEndpoint

__all__ = ["RegistrationEndpoint"]
