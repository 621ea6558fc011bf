"""Where a login at a client begins when a person starts here (OpenID Connect Core §4)."""

from __future__ import annotations

from urllib.parse import parse_qsl, urlencode, urlsplit

from ..errors import Invalid
from . import redirect_uris

# what the login is told with, by this server alone
PARAMETERS = ("iss", "login_hint", "target_link_uri")


def validate(uri: str) -> None:
    """People may be sent to ``uri``, and it says nothing that is ours to say; Invalid otherwise."""
    redirect_uris.validate(uri, "web")
    given = {name for name, _ in parse_qsl(urlsplit(uri).query, keep_blank_values=True)}
    if given & set(PARAMETERS):
        raise Invalid(f"An initiate_login_uri has no parameter {', '.join(PARAMETERS)}.")


def begin(uri: str, issuer: str) -> str:
    """The address that begins a login at the client by ``issuer``; where it ends is for the client to say."""
    return f"{uri}{'&' if '?' in uri else '?'}{urlencode({'iss': issuer})}"
