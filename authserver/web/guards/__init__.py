"""What every page begins with: the rooms, the session of the browser, strict forms, and one way to refuse."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from flask import Request as FlaskRequest
from flask import Response, current_app, g, make_response, redirect, render_template, request
from flask_babel import refresh
from werkzeug.exceptions import MethodNotAllowed, RequestEntityTooLarge
from werkzeug.routing import Rule as RuleOfWerkzeug
from werkzeug.utils import cached_property

from ... import context
from ...acr import reaches
from ...errors import ProtocolError, RequestRejected
from ...interaction import Next, Step
from ...login import SessionView
from ...oauth.interactions import InteractionRecord, Unusable
from ...oauth.request import FORM, HTTPRequest, parse_form
from ...oauth.response_mode import Reply
from ...texts import Text
from .cookies import BROWSER, DEVICE, SESSION, cookie, cookie_name, services, set_cookie
from .devices import forget_session, keep_session
from .factors import BACK_TO_FACTORS, CODE_FAILED, LAST_FACTOR, NOT_CHANGED, enrolled, recovery_codes_page
from .holder import holder, remember_holder, sent_holder
from .onward import HOMEWARD, Onward, as_request_id, see_other
from .refusals import Refused, fresh, not_fresh
from .steps import analysis_of, step_due
from .wording import as_path, come_back_to, language, translated, way_back

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment
    from werkzeug.datastructures import MultiDict

__all__ = [
    "BACK_TO_FACTORS", "BROWSER", "CODE_FAILED", "DEVICE", "HOMEWARD", "LAST_FACTOR", "NOT_CHANGED",
    "SESSION", "Onward", "Refused", "analysis_of", "as_path", "as_request_id", "come_back_to", "cookie",
    "cookie_name", "enrolled", "forget_session", "fresh", "holder", "keep_session", "language", "not_fresh",
    "recovery_codes_page", "remember_holder", "see_other", "sent_holder", "services", "set_cookie",
    "step_due", "translated", "way_back",
]  # fmt: skip

# Programs speak to these; everything else is a page for people.
PROTOCOL = frozenset({"oauth", "health"})
# Titles of pages that name the request's id, under which the log has the cause.
QUOTED = frozenset({Text("This request cannot be answered"), Text("Something went wrong")})
# where a person proves what is due
PLACES = {
    Step.LOGIN: "/login",
    Step.MFA: "/mfa",
    Step.ENROL: "/second-factor",
    Step.CONFIRM_DEVICE: "/confirm-device",
    Step.CHANGE_PASSWORD: "/account/password",
}
# in environ: the URL was longer than the server reads, and its query is not there
OVERLONG = "authserver.overlong"
# what the core reads of a request's head, besides its type
HEADERS_READ = (("authorization", "HTTP_AUTHORIZATION"), ("origin", "HTTP_ORIGIN"))


class Request(FlaskRequest):
    """A request whose query may be no text: that is refused where it is read, and is no failure of ours."""

    @cached_property
    def args(self) -> MultiDict[str, str]:
        """The parameters of the query; RequestRejected for bytes that are not UTF-8."""
        try:
            return super().args
        except UnicodeDecodeError as error:
            raise RequestRejected(400, "encoding", Text("The address is malformed.")) from error


class Rule(RuleOfWerkzeug):
    """A route. ``head=False`` is for a GET that changes something, which HEAD must not (RFC 9110 §9.2.1)."""

    def __init__(self, string: str, *, head: bool = True, **options: Any) -> None:
        super().__init__(string, **options)
        if not head and self.methods is not None:
            self.methods.discard("HEAD")


def for_people() -> bool:
    """Whether this request is answered with a page; where nothing is, its Accept header says."""
    room = request.blueprint or _room_of_other_methods()
    return room not in PROTOCOL if room else "text/html" in request.headers.get("Accept", "")


def _room_of_other_methods() -> str:
    """The blueprint of this address when it is one, but not for this method; empty otherwise."""
    refused = request.routing_exception
    adapter = current_app.create_url_adapter(request)
    if not isinstance(refused, MethodNotAllowed) or not refused.valid_methods or adapter is None:
        return ""
    endpoint, _ = adapter.match(method=next(iter(refused.valid_methods)))
    return str(endpoint).rpartition(".")[0]


def current_session(*, seen: bool = True) -> SessionView | None:
    """``started_session`` once the person has proved all that it needs."""
    session = started_session(seen=seen)
    return session if session is not None and session.complete else None


def started_session(*, seen: bool = True) -> SessionView | None:
    """The live session of this browser, though a second factor may be due; read once a request.

    It is ``seen`` now unless nobody need be there.

    What a script, a frame or an image asks for is nobody's activity either (PSD2 RTS art. 4(3)(d)).
    """
    if "session_view" not in g:
        seen &= request.method != "HEAD"
        seen &= request.headers.get("Sec-Fetch-Dest", "document") == "document"
        g.session_view = services().sessions.read(cookie(SESSION), seen=seen)
    view: SessionView | None = g.session_view
    return view


def login_redirect(onward: Onward = HOMEWARD) -> Response:
    """To the login page, or to what is due after it, and from there on."""
    return see_other(onward.by("/login" if started_session() is None else "/mfa"))


def claim(id_: str | None, *, late: bool = False) -> InteractionRecord:
    """The interaction that this browser may answer (``Interactions.claim``); pages speak as it asks."""
    try:
        found = services().interactions.claim(id_, cookie(BROWSER), late=late)
    except Unusable as error:
        speak_as_asked(error.interaction)
        raise
    speak_as_asked(found)
    return found


def speak_as_asked(interaction: InteractionRecord | None) -> None:
    """``ui_locales`` of the request counts on this page (OpenID Connect Core §3.1.2.1)."""
    if interaction is None:
        return
    come_back_to(f"/authorize/resume?request={interaction.id}")
    speak(interaction.request.ui_locales, interaction.created_at)


def speak(tags: Iterable[str], since: int = 0) -> None:
    """This page is in the first of ``tags`` that is spoken here, unless the person has chosen ``since``."""
    g.ui_locales = (tuple(tags), since)
    refresh()


def due(onward: Onward, session: SessionView) -> Next:
    """What the person must do before they go on."""
    if onward.request_id:
        return step_due(claim(onward.request_id), session)
    if session.confirm:
        return Next(Step.CONFIRM_DEVICE)
    if session.proved:
        return Next(Step.CHANGE_PASSWORD if session.change_password else Step.DONE)
    proved = reaches(session.acr, services().mfa.factors(session.user_id).highest)
    return Next(Step.ENROL if proved else Step.MFA, acr=session.demand)


def place(step: Next, onward: Onward) -> str:
    """The address of the page for a step."""
    path = PLACES.get(step.step)
    return onward.by(path) if path else onward.path


def asking(request_id: str) -> dict[str, Any] | None:
    """Who waits for the answer to this browser's request, and whom they expect; None if nobody does.

    For pages on the way that offer to go back: ``client``, ``login_hint``, and ``pays`` for a payment.
    """
    try:
        interaction = claim(request_id, late=True)
    except Unusable:
        return None
    client = services().clients.get(interaction.request.client_id)
    pays = interaction.request.payment is not None
    return {"client": client, "login_hint": interaction.request.login_hint, "pays": pays}


def page(status: int, title: str, text: str, link: tuple[str, str] | None = None) -> Response:
    """A notice or an error: what it is, what to do next, and a ``link`` of (path, words); texts of ours."""
    reference = context.current.get().request_id if title in QUOTED else ""
    return show(
        "message.html",
        status,
        title=translated(title),
        text=translated(text),
        link=link and (link[0], translated(link[1])),
        reference=reference,
    )


def show(template: str, status: int = 200, **values: Any) -> Response:
    """A template as an answer."""
    return make_response(render_template(template, **values), status)


def allow_form_redirect() -> None:
    """This page's forms may end at a client: Chromium holds form-action against redirects after a POST."""
    g.form_may_leave = True


def form_may_leave() -> bool:
    """Whether ``allow_form_redirect`` was called for this page."""
    return bool(g.get("form_may_leave"))


def deliver(reply: Reply) -> Response:
    """An authorization response on its way to the client: 303, or a form that the browser posts."""
    if reply.target.response_mode == "form_post":
        allow_form_redirect()
        return show("form_post.html", reply=reply)
    return make_response(redirect(reply.location, 303))


def within_limits(endpoint: str) -> None:
    """Refused with a page when the address asks too often."""
    try:
        services().throttle.before(endpoint, request.environ.get("REMOTE_ADDR", ""))
    except ProtocolError as error:
        text = Text("Wait a minute and reload this page.")
        raise Refused(error.status_code, Text("Too many requests"), text) from error


def too_many_tries() -> Response | None:
    """The page for an address that tried too often to prove who somebody is; None if it may try once more."""
    wait = services().login_limits.take(context.current.get().address)
    if not wait:
        return None
    text = Text("There were too many tries from your network. Wait a few minutes and try again.")
    refused = page(429, Text("Too many tries"), text)
    refused.headers["Retry-After"] = str(wait)
    return refused


def incoming(endpoint: str) -> HTTPRequest:
    """This request as the core reads it."""
    return incoming_from(request.environ, endpoint, None if OVERLONG in request.environ else _body())


def incoming_from(environ: WSGIEnvironment, endpoint: str, body: bytes | None) -> HTTPRequest:
    """The request of ``environ`` for the core: bytes, the few headers that it knows, no cookies."""
    headers = {"content-type": environ.get("CONTENT_TYPE", "")}
    for name, key in HEADERS_READ:
        if (value := environ.get(key)) is not None:
            headers[name] = value
    return HTTPRequest(
        endpoint=endpoint,
        method=environ["REQUEST_METHOD"],
        headers=headers,
        query=environ.get("QUERY_STRING", ""),
        body=body,
        address=environ.get("REMOTE_ADDR", ""),
    )


def form() -> dict[str, str]:
    """The fields of this request's form, each at most once; RequestRejected for any other kind of body."""
    if request.headers.get("Content-Type", "").partition(";")[0].strip().lower() != FORM:
        raise RequestRejected(415, "content_type", Text("This is not what a form sends."))
    body = _body()
    if body is None:
        raise RequestRejected(413, "too_large", Text("The form is too large."))
    try:
        fields, _ = parse_form(body, repeatable=())
    except ProtocolError as error:
        raise RequestRejected(400, error.reason, Text("The form is malformed.")) from error
    return fields


def _body() -> bytes | None:
    """The body as it came, whole (``bodies``); None when it is larger than the limit: its reader refuses."""
    try:
        return request.get_data(cache=False)
    except RequestEntityTooLarge:
        return None
