"""Attacks on pages: forms of others, hosts, caches, errors, debug surfaces, what is loaded from where."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any
from unittest import mock
from urllib.parse import urlencode

from asking import CALLBACK, answer, decide, follow
from plugins.factors import SECURITY, begin, code_for, give_totp
from plugins.passkeys import give_passkey, log_in
from plugins.people import PASSWORD, Browser, hidden_fields, on_new_device
from registering import call, manage
from sqlalchemy import exc, select
from werkzeug.test import TestResponse

from authserver import crypto
from authserver.db import Database, table_of
from authserver.models.outbox import Outbox

from .. import cast
from ..runner import Run
from ._pages import (
    FORGED,
    Markup,
    Route,
    alike,
    browser,
    check_bare,
    check_json_error,
    check_page,
    copy_of,
    forms,
    keep_cookies_secret,
    nothing_changes,
    own_fields,
    pages,
    person,
    reasons_of,
    routes,
    send,
)
from ._walk import HTML, NEW_PASSWORD, Walk, asked, payment, register

outbox = table_of(Outbox)

# --- forms of others --------------------------------------------------------------------------------


class _Scene:
    """Alice signed in, a request that waits for her, another session, a link: all that forms change."""

    def __init__(self, run: Run) -> None:
        self.run = run
        services = run.world.services
        alice = person(run)
        person(run, "mallory")
        register(run, "shop")
        given = give_totp(run.world.app, alice)
        run.secrets |= {given.app.secret, *given.codes}
        device = give_passkey(run.world.app, alice)
        self.held, self.elsewhere, half = browser(run), browser(run), browser(run, "alice")
        for held in (self.held, self.elsewhere):
            assert log_in(held, device).status_code == 303
            keep_cookies_secret(run, held)
        allowed = follow(self.held, self.held.get(f"/authorize?{urlencode(asked('shop'))}"))
        assert "code" in answer(decide(self.held, allowed))
        paid = follow(self.held, self.held.get(f"/authorize?{urlencode(asked('shop', **payment()))}"))
        assert "code" in answer(decide(self.held, paid))
        # nothing but a visit is missing to its code
        self.waiting = self.held.get(f"/authorize?{urlencode(asked('shop'))}").location.partition("=")[2]
        page = follow(self.held, self.held.get(f"/authorize?{urlencode(asked('shop', **payment()))}"))
        assert "Approve this payment?" in page.text
        token = services.links.make(alice, "reset")
        run.secrets.add(token)
        login = self.held.get(f"/authorize?{urlencode(asked('shop', prompt='login'))}")
        paths = (
            "/account",
            "/account/sessions",
            "/account/consents",
            "/account/data/delete",
            SECURITY,
            "/account/password",
            "/logout",
            "/end_session",
            "/password/forgot",
            f"/enrol?token={token}",
        )
        shown = [page, follow(self.held, login), *map(self.held.get, paths), half.get("/mfa")]
        shown.append(begin(self.held)[0])
        shown += _of_a_new_device(run, alice)
        shown += _of_the_data(run, self.held)
        self.fields = {a: f for page in shown for a, f in own_fields(page).items()}
        # sent by the script of the same form
        self.fields["/consent/payment-challenge"] = self.fields["/consent"]
        # shown where payees may be trusted, which stands off here; to end one works everywhere
        self.fields["/account/payees/end"] = self.fields["/account/consents/withdraw"]
        for path in ("/login/passkey", "/account/passkeys"):
            self.fields[f"{path}/options"] = self.fields[path]
        self.fields["/mfa/passkey/options"] = self.fields["/mfa"]
        other = next(
            s
            for s in services.sessions.list(alice)
            if s.digest != crypto.digest(self.held.cookie("sid") or "")
        )
        accounts = re.findall(r'name="account" value="([^"]+)"', page.text)
        self.values = {
            "sid": other.sid, "token": token, "password": NEW_PASSWORD, "username": "alice",
            "password_again": NEW_PASSWORD, "decision": "approve", "account": accounts[0],
            "new_password": NEW_PASSWORD,
            "new_password_again": NEW_PASSWORD, "_method": "POST",
        }  # fmt: skip
        covered = {route.path for route in forms(run)}
        assert set(self.fields) <= covered
        self.without_scene = sorted(covered - set(self.fields))

    def form(self, path: str) -> dict[str, str]:
        """What the form at ``path`` would send; of one that no page here shows, as far as known."""
        mine = {"password": PASSWORD} if path in ("/account/password", "/login") else {}
        return self.values | mine | self.fields.get(path, next(iter(self.fields.values())))

    def alive(self) -> None:
        """Nothing has happened to anything of it, and everything still works."""
        assert self.held.get("/account").status_code == 200
        assert self.elsewhere.get("/account").status_code == 200
        assert self.held.get(f"/enrol?token={self.values['token']}").status_code == 200
        code = code_for(self.run.world.services, self.held.cookie("sid"))
        done = self.held.post("/consent", self.form("/consent") | {"code": code})
        assert "code" in answer(done)
        assert "code" in answer(self.held.get(f"/authorize/resume?request={self.waiting}"))


def _of_the_data(run: Run, held: Browser) -> list[TestResponse]:
    """The forms by which a person changes or ends what they are here, each where it has something to do."""
    services = run.world.services
    asking_for_another = held.get("/account/email")
    done = held.submit(asking_for_another, "/account/email", email="another@example.net")
    assert done.status_code == 303
    query = select(outbox).where(outbox.c.template == "email_confirm")
    with services.database.reading() as connection:
        mail = connection.execute(query).one()
    content = json.loads(services.master.open(mail.sealed, f"outbox.sealed.{mail.id}"))
    link = content["values"]["link"].removeprefix(services.settings.issuer)
    run.secrets.add(link.partition("=")[2])
    session = services.sessions.read(held.cookie("sid"))
    assert session is not None
    assert services.erasure.request(session)
    entry = re.search(r'href="(/account/activity/sign-in[^"]+)"', held.get("/account/activity").text)
    assert entry is not None
    return [asking_for_another, *map(held.get, (link, "/account/data", entry[1]))]


def _of_a_new_device(run: Run, user_id: str) -> list[TestResponse]:
    """What a browser shows whose person has the password right, and must show that the device is theirs."""
    services = run.world.services
    cookie = on_new_device(services, user_id, "192.0.2.20")
    run.secrets.add(cookie)
    held = browser(run)
    held.set_cookie("sid", cookie)
    page = held.get("/confirm-device")
    sent = held.submit(page, "/confirm-device/send")
    return [page, held.get(sent.headers["Location"])]


def get_and_head(run: Run, headers: list[dict[str, str]]) -> None:
    """Whatever a form does, its address does nothing by any method but POST, with all its fields."""
    scene = _Scene(run)
    assert not scene.without_scene, f"no page of the scene shows a form for {scene.without_scene}"
    with nothing_changes(run):
        for route in routes(run):
            for method in ("GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS", "QUERY"):
                if method == "OPTIONS" and "OPTIONS" in route.methods:
                    continue
                for more in headers if method == "GET" else headers[:1]:
                    waiting = {} if method == "GET" else {"request": scene.waiting}
                    query = urlencode(scene.form(route.path) | waiting)
                    done = send(scene.held, method, f"{route.path}?{query}", **more)
                    _looked_at(run, route, method, done)
    scene.alive()


def _looked_at(run: Run, route: Route, method: str, done: TestResponse) -> None:
    fine = {200, 303, 400, 401, 403, 404, 405, 410}
    assert done.status_code in fine, (method, route.path, done.status_code)
    assert not (done.headers.get("Location") or "/").startswith("http"), (method, route.path)
    if method not in route.methods:
        assert done.status_code == 405, (method, route.path)
        # an address without a page has no row of its own where the flood of them would be a flood of rows
        assert reasons_of(run, done) == ["http.rejected/method"], (method, route.path)


def forms_of_others(run: Run) -> None:
    """Every form, new ones too, takes the token that this browser got for this very form, from this site."""
    scene = _Scene(run)
    stranger = browser(run, "mallory")
    theirs = hidden_fields(stranger.get("/logout").text, "/logout")["csrf"]
    before_login = hidden_fields(browser(run).get("/login").text, "/login")["csrf"]
    # each is for one purpose: what ends a session, say, allows no payment
    apart = (
        "/login", "/consent", "/logout", "/enrol", "/account/password", "/account/sessions/end",
        "/end_session/confirm",
    )  # fmt: skip
    assert len({scene.fields[path]["csrf"] for path in (*apart, "/authorize/cancel")}) == len(apart) + 1
    with nothing_changes(run):
        for route in forms(run):
            form = scene.form(route.path)
            mine = form["csrf"]
            others = {f["csrf"] for path, f in scene.fields.items() if path != route.path} - {mine}
            tokens = ["", theirs, before_login, mine[:-1], mine.swapcase(), mine + "x", "x" * 43, *others]
            for token in tokens:
                _foreign(run, scene.held.post(route.path, form | {"csrf": token}), route)
            bare = {k: v for k, v in form.items() if k != "csrf"}
            _foreign(run, scene.held.post(route.path, bare), route)
            _foreign(run, scene.held.post(f"{route.path}?csrf={mine}", bare), route)
            _foreign(run, scene.held.post(route.path, bare, X_CSRF_Token=mine, X_CSRFToken=mine), route)
            for origin in (
                "https://evil.example",
                "null",
                "http://localhost:8000.evil.example",
                "http://localhost",
            ):
                _foreign(run, scene.held.post(route.path, form, Origin=origin), route)
            for site in ("cross-site", "same-site"):
                _foreign(run, scene.held.post(route.path, form, Sec_Fetch_Site=site), route)
            # a token and its cookie from another browser, beside the session of this one
            tossed = copy_of(scene.held)
            tossed.set_cookie("csrf", stranger.cookie("csrf") or "")
            _foreign(run, tossed.post(route.path, form | {"csrf": theirs}), route)
            for kind in ("text/plain", "multipart/form-data; boundary=x", "application/json", ""):
                done = scene.held.post(route.path, urlencode(form).encode(), **{"Content-Type": kind})
                assert done.status_code == 415, (route.path, kind, done.status_code)
                check_page(done)
    scene.alive()


def _foreign(run: Run, done: TestResponse, route: Route) -> None:
    assert done.status_code == 403, (route.path, done.status_code)
    check_page(done)
    assert [text.partition("/")[0] for text in reasons_of(run, done)] == ["csrf.rejected"], route.path


# --- hosts ------------------------------------------------------------------------------------------


def other_hosts(run: Run, hosts: list[str]) -> None:
    """No address answers under another host's name, and none names another host because a header does."""
    held = browser(run)
    for route in routes(run):
        method = "GET" if "GET" in route.methods else "POST"
        for host in hosts:
            done = held.client.open(route.path, method=method, base_url=held.issuer, headers={"Host": host})
            if route.room == "health":
                check_bare(done)
                assert "evil" not in done.text
                continue
            assert done.status_code == 400, (route.path, host)
            check_json_error(done)
            assert reasons_of(run, done) == ["http.rejected/host"], (route.path, host)
            assert "evil" not in done.text + str(done.headers)


def forged_places(run: Run) -> None:
    """Headers that name another host, scheme, path or method change nothing of any answer."""
    person(run)
    held = browser(run, "alice")
    held.get("/authorize/resume")
    for route in routes(run):
        method = "GET" if "GET" in route.methods else "POST"
        plain = send(held, method, route.path)
        for header, value in FORGED.items():
            if header == "Origin" and method == "POST":
                continue
            forged = send(held, method, route.path, **{header: value})
            assert "evil" not in forged.text + str(forged.headers), (route.path, header)
            if route.room != "health" and (route.room, header) != ("oauth", "Origin"):
                assert alike(forged) == alike(plain), (route.path, header)
    for method, path in (("GET", "/authorize?client_id=x"), ("POST", "/login")):
        for value in ("DELETE", "TRACE", "PUT"):
            done = send(
                held, method, path, X_HTTP_Method_Override=value, X_HTTP_Method=value, X_Method_Override=value
            )
            assert done.status_code in (400, 403, 415), (method, value)


# --- caches -----------------------------------------------------------------------------------------

SHARED = ("/jwks", "/.well-known/oauth-authorization-server", "/.well-known/openid-configuration")


def nothing_stored(run: Run) -> None:
    """A cache between the server and many keeps keys, metadata and static files, and nothing else at all."""
    walk = Walk(run)
    seen = [done for done in walk.all() if done.mimetype == "text/html"]
    assert len(seen) > 40
    for done in seen:
        assert done.headers["Cache-Control"] == "no-store", done.request.path
        assert "Cookie" in done.headers["Vary"], done.request.path
    for route in routes(run):
        for method in ("GET", "HEAD", "POST"):
            for accept in (HTML, "application/json"):
                done = send(browser(run), method, route.path, Accept=accept)
                kept = _storable(done)
                if route.path in SHARED and method != "POST":
                    assert re.fullmatch(r"public, max-age=(\d{1,4})", done.headers["Cache-Control"])
                    assert "Cookie" not in done.headers.get("Vary", "")
                    assert "Set-Cookie" not in done.headers
                elif route.room == "static" and method != "POST":
                    assert done.headers["Cache-Control"] == "no-cache"
                else:
                    assert not kept, (method, route.path, done.headers)


def _storable(done: TestResponse) -> bool:
    """Whether a shared cache may keep and reuse it without asking (RFC 9111 §3)."""
    said = {part.strip().partition("=")[0] for part in done.headers.get("Cache-Control", "").split(",")}
    return not said & {"no-store", "private", "no-cache"}


def token_answers(run: Run) -> None:
    """Answers with tokens, and about tokens, say so in both ways (RFC 6749 §5.1)."""
    world = run.world
    token = world.access_token()
    run.secrets.add(token)
    answers = [
        world.token(), world.token(scope="admin"), world.post("/token"),
        world.post("/introspect", as_="rs_payments", form={"token": token}),
        world.post("/introspect", form={"token": token}), world.send("GET", "/userinfo"),
        world.send("GET", "/userinfo", headers={"Authorization": f"Bearer {token}"}),
        world.post("/revoke", as_="svc1", form={"token": token}), world.post("/revoke"),
    ]  # fmt: skip
    for done in answers:
        assert done.headers["Cache-Control"] == "no-store"
        assert done.headers["Pragma"] == "no-cache"
        assert "ETag" not in done.headers


def registration_answers(run: Run) -> None:
    """So do answers with registrations, whose tokens they repeat."""
    document = {"redirect_uris": ["https://rp.example/cb"]}
    _, invitation = run.world.services.partners.invite(cast.POLICY, 1, 1)
    run.secrets.add(invitation)
    done = call(run.world, "POST", "/register", invitation, document)
    told = done.json
    run.secrets |= {told["client_secret"], told["registration_access_token"]}
    answers = [done, call(run.world, "POST", "/register", invitation, document)]
    answers += [
        manage(run.world, method, told, document | {"client_id": told["client_id"]})
        for method in ("GET", "PUT", "DELETE", "GET")
    ]
    assert [done.status_code for done in answers] == [201, 401, 200, 200, 204, 401]
    for done in answers:
        assert done.headers["Cache-Control"] == "no-store"
        assert "ETag" not in done.headers


# --- errors -----------------------------------------------------------------------------------------

SECRET = "SELECT secret FROM vault WHERE key='hunter2hunter2'"
ACCEPTS = (HTML, "application/json", "*/*", "", "text/plain;q=0.9, text/html;q=0.1", "x/y", "text/html\u00ff")


def errors_tell_nothing(run: Run) -> None:
    """Every status that can be forced at every address, for every Accept: our own words, in its form."""
    person(run)
    held = browser(run, "alice")
    counted: dict[int, int] = {}
    for route in routes(run):
        for name, force in _FORCES.items():
            for accept in ACCEPTS:
                done = force(run, held, route, accept)
                if done is None:
                    continue
                assert done.status_code >= 400, (name, route.path)
                counted[done.status_code] = counted.get(done.status_code, 0) + 1
                # nobody's room: whoever asks for a static file in a browser sees a page
                shown = route.for_people or (route.room == "static" and "text/html" in accept)
                if route.path == "/readyz" and done.status_code == 503:
                    assert done.json == {"status": "unavailable", "dependency": "database"}
                    check_bare(done)
                    continue
                (check_page if shown else check_json_error)(done)
                assert "hunter2" not in done.text + str(done.headers)
                if done.status_code >= 500:
                    _told_inside(run, done)
    assert set(counted) >= {400, 401, 403, 405, 413, 415, 429, 500, 503}, counted
    _unknown_addresses(run, held)


def _told_inside(run: Run, done: TestResponse) -> None:
    """What went wrong is on record under the request's id, without the text of the exception."""
    told = run.world.events(request_id=done.headers["X-Request-Id"])
    if done.status_code == 500:
        assert [(row["event"], row["outcome"]) for row in told] == [("error.unhandled", "failed")]
    assert "hunter2" not in repr(told)


def _unknown_addresses(run: Run, held: Browser) -> None:
    for path in (
        "/nothing",
        "/token/",
        "/TOKEN",
        "/login/",
        "/Login",
        "/.env",
        "/authorize/../token",
        "/account/x",
    ):
        for accept in ACCEPTS:
            done = send(held, "GET", path, Accept=accept)
            assert done.status_code == 404, path
            (check_page if "text/html" in accept else check_json_error)(done)


Force = Callable[[Run, Browser, Route, str], TestResponse | None]


def _wrong_method(_run: Run, held: Browser, route: Route, accept: str) -> TestResponse | None:
    method = next(m for m in ("DELETE", "PATCH", "PUT", "TRACE") if m not in route.methods)
    return send(held, method, route.path, Accept=accept)


def _wrong_form(_run: Run, held: Browser, route: Route, accept: str) -> TestResponse | None:
    if "POST" not in route.methods:
        return None
    return held.post(route.path, b"a=%ff&a=b", Accept=accept)


def _wrong_type(_run: Run, held: Browser, route: Route, accept: str) -> TestResponse | None:
    if "POST" not in route.methods or route.path == "/userinfo":
        return None
    return held.post(route.path, b"{", Accept=accept, **{"Content-Type": "application/json"})


def _too_large(_run: Run, held: Browser, route: Route, accept: str) -> TestResponse | None:
    if "POST" not in route.methods or route.path == "/userinfo":
        return None
    return held.post(route.path, b"a" * 70_000, Accept=accept)


def _unauthorized(_run: Run, held: Browser, route: Route, accept: str) -> TestResponse | None:
    if route.room != "oauth" or "POST" not in route.methods:
        return None
    return held.post(route.path, {"grant_type": "client_credentials", "token": "x"}, Accept=accept)


def _foreign_form(_run: Run, held: Browser, route: Route, accept: str) -> TestResponse | None:
    if not route.for_people or "POST" not in route.methods:
        return None
    return held.post(
        route.path, {"csrf": "x", "client_id": "x"}, Accept=accept, Origin="https://evil.example"
    )


def _too_often(run: Run, held: Browser, route: Route, accept: str) -> TestResponse | None:
    if route.room != "oauth" or "POST" not in route.methods:
        return None
    throttle = run.world.services.throttle
    with mock.patch.object(throttle._leased, "take", return_value=False):
        return held.post(route.path, {}, Accept=accept)


def _broken(run: Run, held: Browser, route: Route, accept: str) -> TestResponse | None:
    if route.room == "documents":
        return None
    return _view_raises(run, held, route, accept, LookupError(SECRET))


def _database_error(run: Run, held: Browser, route: Route, accept: str) -> TestResponse | None:
    if route.room == "documents":
        return None
    return _view_raises(
        run, held, route, accept, exc.ProgrammingError(SECRET, {"x": SECRET}, Exception(SECRET))
    )


def _database_gone(_run: Run, held: Browser, route: Route, accept: str) -> TestResponse | None:
    if route.path not in ("/readyz", "/revocations", "/account", "/login", "/token", "/consent"):
        return None
    gone = exc.OperationalError(SECRET, {"x": SECRET}, Exception(SECRET))
    lost = _unavailable(gone)
    with mock.patch.multiple(
        Database, reading=mock.Mock(side_effect=lost), writing=mock.Mock(side_effect=lost)
    ):
        done = _any(held, route, accept)
    return done if done.status_code >= 400 else None


def _unavailable(error: Exception) -> Exception:
    from authserver.errors import Unavailable

    lost = Unavailable("database")
    lost.__cause__ = error
    return lost


def _view_raises(run: Run, held: Browser, route: Route, accept: str, error: Exception) -> TestResponse:
    app = run.world.app
    names = {
        rule.endpoint
        for rule in app.url_map.iter_rules()
        if re.sub(r"<[^>]+>", "x", rule.rule) in (route.path, "/static/x")
    }

    def broken(**_: Any) -> None:
        raise error

    with mock.patch.dict(app.view_functions, dict.fromkeys(names & set(app.view_functions), broken)):
        return _any(held, route, accept)


def _any(held: Browser, route: Route, accept: str) -> TestResponse:
    if "GET" in route.methods:
        return send(held, "GET", route.path, Accept=accept)
    return held.post(route.path, {}, Accept=accept)


_FORCES: dict[str, Force] = {
    function.__name__: function
    for function in (
        _wrong_method, _wrong_form, _wrong_type, _too_large, _unauthorized, _foreign_form, _too_often,
        _broken, _database_error, _database_gone,
    )
}  # fmt: skip


# --- debug surfaces ---------------------------------------------------------------------------------


def debug_surfaces(run: Run, paths: list[str]) -> None:
    """No console, no debugger, no metrics, no sources, no settings, by any method and in any spelling."""
    held = browser(run)
    for path in paths:
        # of static files anybody may ask which methods there are
        methods = ["GET", "HEAD", "POST"] + ([] if path.startswith("/static") else ["OPTIONS"])
        for method in methods:
            for accept in (HTML, "application/json"):
                done = send(held, method, path, Accept=accept)
                assert done.status_code in (403, 404, 405), (method, path, done.status_code)
                assert [text.partition("/")[0] for text in reasons_of(run, done)] == ["http.rejected"], path
                check_bare(done)
    for method in ("TRACE", "TRACK", "CONNECT", "DEBUG", "PROPFIND", "trace", "get"):
        for path in ("/", "/token", "/login", "/nothing"):
            done = send(held, method, path, Cookie="sid=secret-cookie-value")
            assert done.status_code in (404, 405), (method, path)
            assert "secret-cookie-value" not in done.text


# --- what pages load and where they lead ------------------------------------------------------------


def nothing_from_elsewhere(run: Run) -> None:
    """No page of a whole walk loads or names a foreign address but the client's, and none tells its own."""
    issuer = run.world.services.settings.issuer
    seen = [
        done for done in Walk(run).all() if done.mimetype == "text/html" and "Location" not in done.headers
    ]
    assert {done.status_code for done in seen} >= {200, 400, 401, 403, 404, 409, 410, 429, 500, 503}
    for done in seen:
        check_page(done)
        links = Markup(done.text)
        assert links.loads, done.request.path
        for address in links.loads:
            assert re.match(r"/(?![/\\])", address), (done.request.path, address)
        for address in links.leads:
            own = re.match(r"/(?![/\\])", address) or address.startswith(f"{issuer}/")
            assert own or address == CALLBACK, (done.request.path, address)
    assert any(CALLBACK in Markup(done.text).leads for done in seen)
    for route in pages(run):
        if "GET" in route.methods:
            done = send(browser(run), "GET", route.path, Accept=HTML)
            assert done.headers["Referrer-Policy"] == "same-origin", route.path
            assert not re.search(
                r"[?&](?:code|access_token|id_token|sid|csrf|password)=", done.headers.get("Location", "")
            )


def no_cross_origin_reader(run: Run) -> None:
    """No answer but keys and metadata is for scripts of an origin that no client has registered."""
    held = browser(run)
    for route in routes(run):
        for origin in ("https://evil.example", "null", held.issuer):
            for method in ("GET", "POST", "OPTIONS"):
                done = send(held, method, route.path, Origin=origin, Access_Control_Request_Method="POST")
                allowed = done.headers.get("Access-Control-Allow-Origin")
                assert allowed == ("*" if route.path in SHARED and method == "GET" else None), (
                    route.path,
                    origin,
                )
                assert "Access-Control-Allow-Credentials" not in done.headers
