"""The end-session endpoint (OpenID Connect RP-Initiated Logout 1.0): who asks, about which session, and where
people go then.

What was asked is judged once, without a cookie; between requests it travels in the browser under a MAC, and
the ID token that was its hint does not.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass

from .. import clock, crypto, jws
from ..audit import Audit, Entry, Event
from ..clients import Clients
from ..config import Settings
from ..errors import ProtocolError
from ..keys import KeyStore
from ..texts import Text
from ..throttle import Throttle
from . import id_token_hint, request
from .id_token_hint import Hint
from .request import HTTPRequest
from .response_mode import Reply, Target
from .subjects import Subjects

ENDPOINT = "end_session"
MAC_PURPOSE = "end_session"
# of what travels in a URL
MAX_CARRIED = 4096
CARRIED_SECONDS = 900
MAX_LOCALES = 8
WRONG_HINT = Text("The application did not show that it is one of yours.")
WRONG_CLIENT = Text("The application that sent you here is unknown.")
WRONG_ADDRESS = Text("The application that sent you here gave a wrong address to return to.")


@dataclass(frozen=True, slots=True)
class LogoutRequest:
    """A judged request: ``redirect_uri`` is registered, ``session`` stands for the one its hint names."""

    client_id: str = ""
    redirect_uri: str | None = None
    state: str | None = None
    session: str = ""
    # the languages that its pages should be in, the best first
    ui_locales: tuple[str, ...] = ()

    @property
    def hinted(self) -> bool:
        """Whether an ID token of this server came with it."""
        return bool(self.session)

    @property
    def location(self) -> str | None:
        """Where the browser goes when it is done, ``state`` as it came; None for a page of our own."""
        if self.redirect_uri is None or self.state is None:
            return self.redirect_uri
        return Reply(Target(self.redirect_uri), (("state", self.state),)).location


class EndSession:
    """Judges what arrives at the end-session endpoint, and keeps it on its way through the browser."""

    def __init__(  # noqa: PLR0913, PLR0917 - the rooms that meet here
        self,
        settings: Settings,
        master: crypto.MasterKeys,
        clients: Clients,
        subjects: Subjects,
        keys: KeyStore,
        throttle: Throttle,
        audit: Audit,
    ) -> None:
        self._issuer = settings.issuer
        self._master = master
        self._clients = clients
        self._subjects = subjects
        self._keys = keys
        self._throttle = throttle
        self._audit = audit

    def open(self, incoming: HTTPRequest) -> LogoutRequest:
        """The request in ``incoming``; ProtocolError, with its audit rows written, when it does not hold."""
        self._throttle.before(ENDPOINT, incoming.address)
        try:
            asked = self._judge(_parse(incoming))
            if len(json.dumps(asdict(asked))) > MAX_CARRIED:
                raise _rejected("malformed", Text("The request is too large."))
            return asked
        except ProtocolError as error:
            self._audit.record(Entry(Event.LOGOUT_REJECTED, "denied", error.reason, error.client_id))
            self._throttle.failed(ENDPOINT, incoming.address)
            raise

    def names(self, asked: LogoutRequest, sid: str, user_id: str) -> bool:
        """Whether the hint of ``asked`` was issued in this very session of this person."""
        client = self._clients.get(asked.client_id)
        if client is None or not asked.hinted:
            return False
        subject = self._subjects.subject_of(client, user_id)
        return asked.session == _digest(self._subjects.session_of(client, sid), subject)

    def carry(self, asked: LogoutRequest) -> str:
        """``asked`` as a parameter that this server knows again for ``CARRIED_SECONDS``."""
        content = json.dumps(asdict(asked) | {"at": clock.now()}, separators=(",", ":"))
        payload = crypto.b64u(content.encode())
        return f"{payload}.{self._mac(payload, self._master.active)}"

    def carried(self, text: str) -> LogoutRequest | None:
        """What ``carry`` was given; None when it is too old, or not ours."""
        payload, _, mac = text.partition(".")
        given = mac.encode("utf-8", "surrogatepass")
        fits = [crypto.equal(self._mac(payload, kid).encode(), given) for kid in self._master.keys]
        if not any(fits):
            return None
        content = json.loads(crypto.b64u_decode(payload))
        if not 0 <= clock.now() - content.pop("at") <= CARRIED_SECONDS:
            return None
        return LogoutRequest(**content)

    def _mac(self, payload: str, kid: str) -> str:
        key = self._master.derive(MAC_PURPOSE, kid)
        return crypto.b64u(crypto.mac(key, payload.encode("utf-8", "surrogatepass")))

    def _judge(self, form: dict[str, str]) -> LogoutRequest:
        text, named = form.get("id_token_hint"), form.get("client_id", "")
        hint = None if text is None else self._hint(text)
        client_id = named if hint is None else hint.client_id
        if named not in ("", client_id):
            # RP-Initiated Logout §2: the client is the one that the ID token was issued to
            raise _rejected("client_mismatch", WRONG_HINT, client_id)
        client = self._clients.get(client_id) if client_id else None
        if client_id and (client is None or not client.active):
            reason = "client_unknown" if client is None else "client_disabled"
            raise _rejected(reason, WRONG_CLIENT, client_id)
        uri = form.get("post_logout_redirect_uri")
        # §3: to one that is registered, exactly; without a client none is
        if uri is not None and (client is None or uri not in client.post_logout_redirect_uris):
            raise _rejected("post_logout_redirect_uri", WRONG_ADDRESS, client_id)
        return LogoutRequest(
            client_id=client_id,
            redirect_uri=uri,
            state=form.get("state") if uri is not None else None,
            session="" if hint is None else _digest(hint.sid, hint.subject),
            ui_locales=tuple(form.get("ui_locales", "").split()[:MAX_LOCALES]),
        )

    def _hint(self, text: str) -> Hint:
        """What an ID token of ours says, expired or not; ProtocolError otherwise."""
        try:
            return id_token_hint.read(self._keys, self._issuer, text)
        except jws.Rejected as error:
            self._audit.record(Entry(Event.JWT_REJECTED, "denied", error.reason))
            raise _rejected("hint_invalid", WRONG_HINT) from error


def _digest(sid: str, subject: str) -> str:
    """What stands for a session and its person where a proxy may log it."""
    return crypto.b64u(crypto.digest(f"{sid} {subject}"))


def _rejected(reason: str, description: str, client_id: str = "") -> ProtocolError:
    return ProtocolError(
        "invalid_request", description, event=Event.LOGOUT_REJECTED, reason=reason, client_id=client_id
    )


def _parse(incoming: HTTPRequest) -> dict[str, str]:
    """The parameters of GET's query or POST's body, each at most once; ProtocolError for any other form."""
    try:
        if incoming.body is None:
            raise request.rejected("too_large", "The request is too large.")
        if incoming.method != "POST":
            raw = incoming.query.encode("utf-8", "surrogatepass")
        else:
            if incoming.query:
                raise request.rejected("method_or_parameter", "Parameters belong in the request body.")
            request.check_content_type(incoming.headers.get("content-type", ""))
            raw = incoming.body
        return request.parse_form(raw, repeatable=())[0]
    except ProtocolError as error:
        raise _rejected("malformed", Text("The request to sign you out is malformed.")) from error
