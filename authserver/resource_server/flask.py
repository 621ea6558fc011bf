"""Flask's door to the library: a decorator, the token of the request, and the error handler."""

from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

from flask import Flask, Response, g, request

from .access_token import AccessToken
from .bearer import bearer_token, names_token
from .challenge import Challenge
from .errors import InvalidRequest, TokenError
from .step_up import Authentication
from .validator import TokenValidator

_P = ParamSpec("_P")
_R = TypeVar("_R")


def require_token(
    validator: TokenValidator, *, scope: str | None = None, authentication: Authentication | None = None
) -> Callable[[Callable[_P, _R]], Callable[_P, _R]]:
    """Return a decorator: its view runs only with a valid token that has `scope`, kept in `g.access_token`.

    With `authentication` the person must have proved who they are as it demands (RFC 9470).
    A refused request ends in a TokenError, which `install_error_handler` turns into an answer.
    """

    def decorate(view: Callable[_P, _R]) -> Callable[_P, _R]:
        @wraps(view)
        def guarded(*args: _P.args, **kwargs: _P.kwargs) -> _R:
            query = request.query_string.decode("latin-1")
            token = bearer_token(request.headers.get("Authorization"), elsewhere=names_token(query))
            g.access_token = validator.validate(token, scope=scope)
            if authentication is not None:
                authentication.check(g.access_token)
            # only now: to wait for the body of somebody without a valid token would hold a thread
            if _is_in_form():
                raise InvalidRequest
            return view(*args, **kwargs)

        return guarded

    return decorate


def current_token() -> AccessToken:
    """Return the token that `require_token` let in; RuntimeError in a view without it."""
    token = g.get("access_token")
    if not isinstance(token, AccessToken):
        raise RuntimeError("this view does not require a token")
    return token


def install_error_handler(app: Flask, challenge: Challenge) -> None:
    """Make every TokenError of `app` an answer of RFC 6750 §3."""

    def refuse(error: TokenError) -> Response:
        refusal = challenge.refuse(error)
        return Response(refusal.body, refusal.status, dict(refusal.headers))

    app.register_error_handler(TokenError, refuse)


def _is_in_form() -> bool:
    return request.mimetype == "application/x-www-form-urlencoded" and "access_token" in request.form
