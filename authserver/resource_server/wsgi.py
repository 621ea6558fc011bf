"""A plain WSGI layer that lets requests with a valid token through (PEP 3333)."""

import io
from collections.abc import Iterable
from http import HTTPStatus
from typing import TYPE_CHECKING

from .bearer import bearer_token, names_token
from .challenge import Challenge
from .errors import InvalidRequest, TokenError
from .validator import TokenValidator

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

ACCESS_TOKEN = "authserver.access_token"  # noqa: S105 (the name of a key, not a secret)
_LONGEST_FORM = 65_536


class RequireToken:
    """A WSGI application around `app`, which finds the AccessToken in `environ[ACCESS_TOKEN]`.

    `scope` is what every request needs; where it differs by path, leave it out and let `app` call
    `AccessToken.require`: a TokenError raised before its answer starts is answered here too.
    """

    def __init__(
        self,
        app: "WSGIApplication",
        validator: TokenValidator,
        challenge: Challenge,
        *,
        scope: str | None = None,
    ) -> None:
        self._app, self._validator, self._challenge, self._scope = app, validator, challenge, scope

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        """Answer one request."""
        try:
            query = names_token(environ.get("QUERY_STRING", ""))
            token = bearer_token(environ.get("HTTP_AUTHORIZATION"), elsewhere=query)
            environ[ACCESS_TOKEN] = self._validator.validate(token, scope=self._scope)
            # only now: to wait for the body of somebody without a valid token would hold a thread
            if names_token(_form(environ)):
                raise InvalidRequest
            return self._app(environ, start_response)
        except TokenError as error:
            refusal = self._challenge.refuse(error)
            status = f"{refusal.status} {HTTPStatus(refusal.status).phrase}"
            start_response(status, list(refusal.headers))
            return [refusal.body]


def _form(environ: "WSGIEnvironment") -> str:
    """Return a form body of moderate size and put it back for the application; else an empty text."""
    kind = environ.get("CONTENT_TYPE", "").partition(";")[0].strip().lower()
    length = environ.get("CONTENT_LENGTH", "")
    if kind != "application/x-www-form-urlencoded" or not (length.isascii() and length.isdigit()):
        return ""
    if int(length) > _LONGEST_FORM:
        return ""
    body: bytes = environ["wsgi.input"].read(int(length))
    environ["wsgi.input"] = io.BytesIO(body)
    return body.decode("latin-1")
