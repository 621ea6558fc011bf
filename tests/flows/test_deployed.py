"""The deployment of deploy/: nginx with TLS, PostgreSQL and its two roles, Redis, two production workers."""

from __future__ import annotations

import os
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from urllib.parse import urlencode

import httpx
import psycopg
import pytest
from browser import chromium
from deployed import AFTER, CALLBACK, HERE, Deployed, Surfer, request
from fleet import until
from handshakes import nothing_in_the_clear, only_the_newest
from joserfc import jwt
from joserfc.jwk import KeySet
from nginx import DEPLOY, NginxServer, nginx_missing
from plugins.app import ACCOUNTS, basic
from plugins.people import PASSWORD, add_user
from services import PostgresCluster, free_port, redis_missing

from authserver.audit.chain import CHECKPOINT_TYP
from authserver.audit.verify import verify
from authserver.edge import FORWARDING
from deploy.rehearsal import SERVING, Redis, Rehearsal

FORM = "Content-Type: application/x-www-form-urlencoded"
PLAIN = ("Host: localhost", "Connection: close")
FORGED = "203.0.113.7"


@pytest.fixture(scope="module")
def deployed(
    postgres_cluster: PostgresCluster, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Deployed]:
    if reason := nginx_missing() or redis_missing():
        pytest.skip(reason)
    directory = tmp_path_factory.mktemp("deployed")
    with Redis() as redis, Rehearsal(postgres_cluster, redis.url, directory) as rehearsal:
        found = Deployed(rehearsal)
        rehearsal.serve()
        yield found
        found.world.services.database.engine.dispose()


def test_a_person_signs_in_agrees_and_signs_out_through_all_of_it(deployed: Deployed) -> None:
    with deployed.client() as http:
        alice = Surfer(http)
        given, verifier = alice.code()
        assert "code" in given, (given, deployed.world.events()[-3:])
        shop = {"Authorization": basic("shop", deployed.world.secrets["shop"])}
        asked = {"grant_type": "authorization_code", "code": given["code"], "redirect_uri": CALLBACK}
        tokens = http.post("/token", data=asked | {"code_verifier": verifier}, headers=shop).json()
        keys = KeySet.import_key_set(http.get("/jwks").json())
        claims = jwt.decode(tokens["id_token"], keys, algorithms=["ES256"]).claims
        assert (claims["iss"], claims["aud"], claims["nonce"]) == (given["iss"], "shop", "n1")
        bearer = {"Authorization": f"Bearer {tokens['access_token']}"}
        assert http.get("/userinfo", headers=bearer).json()["sub"] == claims["sub"]
        api = {"Authorization": basic("rs_accounts", deployed.world.secrets["rs_accounts"])}
        told = http.post("/introspect", data={"token": tokens["access_token"]}, headers=api).json()
        assert (told["active"], told["aud"]) == (True, [ACCOUNTS, given["iss"]])
        asked = {"grant_type": "refresh_token", "refresh_token": tokens["refresh_token"]}
        fresh = http.post("/token", data=asked, headers=shop)
        assert fresh.status_code == 200, fresh.text
        left = http.get(
            "/end_session",
            params={"id_token_hint": tokens["id_token"], "post_logout_redirect_uri": AFTER, "state": "s2"},
        )
        while left.headers.get("Location", AFTER).startswith("/"):
            left = http.get(left.headers["Location"])
        assert left.headers["Location"] == f"{AFTER}?state=s2"
        # signed out: the next request asks who is there
        assert 'action="/login"' in alice.get("/authorize", **_request_of(alice)).text
        cookies = [c for seen in alice.seen for c in seen.headers.get_list("Set-Cookie")]
        mine = next(c for c in cookies if c.startswith("__Host-sid="))
        assert {"Secure", "HttpOnly", "Path=/", "SameSite=Lax"} <= set(mine.split("; ")[1:])
        assert all(c.startswith("__Host-") and "; Secure" in c for c in cookies)
        for seen in (*alice.seen, fresh, left):
            assert seen.headers.get_list("Strict-Transport-Security") == ["max-age=63072000"]
        assert deployed.event_of(fresh)["client_ip"] == HERE


def _request_of(alice: Surfer) -> dict[str, str]:
    first = next(seen for seen in alice.seen if seen.url.path == "/authorize")
    return dict(first.url.params)


def test_payments_stay_closed_in_production_until_it_is_known_who_has_which_account(
    deployed: Deployed,
) -> None:
    details = '[{"type":"payment_initiation","instructedAmount":{"amount":"1.00","currency":"EUR"},'
    details += '"creditorName":"Shop","creditorAccount":{"iban":"DE02100100109307118603"}}]'
    with deployed.client() as http:
        known = http.get("/.well-known/oauth-authorization-server").json()
        given, _ = Surfer(http).code(scope="openid", authorization_details=details)
    assert given["error"] == "invalid_authorization_details"
    assert "authorization_details_types_supported" not in known
    assert deployed.world.events("authz.rejected")[-1]["reason"] == "rar_no_accounts"


@pytest.mark.spec("RFC 9325", "3.1.1")
def test_tls_is_new_and_nothing_is_answered_without_it(deployed: Deployed) -> None:
    before = len(deployed.world.events())
    only_the_newest(deployed.rehearsal.port, deployed.rehearsal.ca)
    nothing_in_the_clear(deployed.rehearsal.port, deployed.rehearsal.nginx.plain)
    assert len(deployed.world.events()) == before


def test_what_a_client_says_of_its_address_counts_for_nothing(deployed: Deployed) -> None:
    proxy = (DEPLOY / "proxy.conf").read_text()
    for name in FORWARDING:
        assert f'proxy_set_header {name.removeprefix("HTTP_").replace("_", "-")} "";'.lower() in proxy.lower()
    names = [name.removeprefix("HTTP_") for name in (*FORWARDING, "HTTP_X_AUTHSERVER_PEER")]
    spoofed = {spelling: FORGED for name in names for spelling in (name, name.replace("_", "-"))}
    spoofed["Forwarded"] = f"for={FORGED};host=evil.example"
    world = deployed.world
    with deployed.client() as http, deployed.client("127.0.0.7") as other:
        answer = deployed.token(http, **spoofed)
        assert answer.status_code == 200, answer.text
        assert deployed.event_of(answer)["client_ip"] == HERE
        world.services.clients.set_networks("web2", ["127.0.0.7/32", f"{FORGED}/32"])

        def refused() -> bool:
            answer = deployed.token(http, "web2", **spoofed)
            return answer.status_code == 403 and deployed.event_of(answer)["client_ip"] == HERE

        until(refused, 3, "the allowlist holds")
        assert refused()
        assert deployed.token(other, "web2").status_code == 200


@pytest.mark.parametrize(
    ("target", "lines", "body", "status"),
    [
        ("/token", ["Content-Length: 70000"], b"", 413),
        ("/jwks", [f"X: {'a' * 17_000}"], b"", 431),
        ("/jwks", [f"X: {'a' * 9_000}", f"Y: {'a' * 9_000}"], b"", 431),
        (f"/jwks?{'a' * 17_000}", [], b"", 414),
        (f"/jwks?{'a' * 9_000}", [], b"", 414),
        ("//token", [], b"", 404),
        ("/x/../token", [], b"", 404),
        ("/x/%2e%2e/token", [], b"", 404),
        ("/%74oken", [], b"", 404),
        ("/token/.", [], b"", 404),
        ("/.//token", [], b"", 404),
        ("/token%3f", [], b"", 404),
        ("/x\\..\\token", [], b"", 404),
        ("/metrics", [], b"", 404),
        ("/%6detrics", [], b"", 404),
        ("/readyz", [], b"", 404),
        ("/x/../metrics", [], b"", 404),
    ],
)  # fmt: skip
def test_what_is_too_large_or_oddly_spelled_is_refused_as_the_app_would(
    deployed: Deployed, target: str, lines: list[str], body: bytes, status: int
) -> None:
    [answer] = deployed.raw(request([*PLAIN, *lines], body, "POST", target))
    assert (answer.status, b'"error":"invalid_request"' in answer.body.replace(b" ", b"")) == (status, True)
    assert b"nginx" not in answer.body
    assert "json" in answer.head
    # in what the app cannot see nothing is written about it
    page = deployed.raw(request([*PLAIN, "Accept: text/html"], b"", "GET", "/%61bout"))[0]
    assert (page.status, b"<h1>Nothing is here</h1>" in page.body) == (404, True)


@pytest.mark.parametrize(
    "lines",
    [
        ["Content-Length: 6", "Transfer-Encoding: chunked"],
        ["Transfer-Encoding: chunked", "Content-Length: 6"],
        ["Content-Length: 6", "Content-Length: 0"],
        ["Content-Length: 6", "Content-Length: 6"],
        ["Content-Length: 6, 6"],
        ["Content-Length: +6"],
        ["Content-Length: 0x6"],
        ["Content-Length : 6"],
        ["Transfer-Encoding: xchunked"],
        ["Transfer-Encoding: chunked, identity"],
        ["Transfer-Encoding: chunked", "Transfer-Encoding: identity"],
        ["Transfer-Encoding : chunked", "Content-Length: 6"],
        ["Transfer-Encoding:\x0bchunked", "Content-Length: 6"],
        ["X: a\r\n Transfer-Encoding: chunked", "Content-Length: 6"],
        ["X: a\nTransfer-Encoding: chunked", "Content-Length: 6"],
        ["Host: evil.example"],
    ],
)
def test_no_second_request_hides_in_a_first(deployed: Deployed, lines: list[str]) -> None:
    """RFC 9112 §11.2: whatever the two ends may read differently is refused, or is one request to both."""
    hidden = b"0\r\n\r\nGET /hidden HTTP/1.1\r\nHost: localhost\r\n\r\n"
    [answer] = deployed.raw(request([*PLAIN, FORM, *lines], hidden))
    assert answer.status in (400, 401, 415, 501), answer
    with deployed.client() as http:
        assert [http.get("/jwks").json()["keys"][0]["kty"] for _ in range(8)] == ["EC"] * 8
    assert "/hidden" not in deployed.rehearsal.workers.log.read_text()


def test_when_the_app_is_away_or_silent_programs_and_people_are_told_to_come_again(
    deployed: Deployed,
) -> None:
    with ExitStack() as stack:
        silent = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        for upstream, status in ((free_port(), 502), (silent.getsockname()[1], 504)):
            tls = deployed.rehearsal.directory / "tls"
            nginx = stack.enter_context(NginxServer(upstream, tls, proxy_read_timeout="300ms"))
            http = stack.enter_context(
                httpx.Client(base_url=f"https://localhost:{nginx.port}", verify=deployed.tls)
            )
            for path, accept in (("/token", "*/*"), ("/token", "text/html"), ("/login", "text/html")):
                answer = http.post(path, data={"a": "b"}, headers={"Accept": accept})
                assert (answer.status_code, answer.headers["Retry-After"]) == (status, "2"), path
                assert answer.headers["Cache-Control"] == "no-store"
                assert "nginx" not in answer.text
                if path == "/token":
                    assert answer.json()["error"] == "temporarily_unavailable"
                else:
                    assert "<h1>Not available just now</h1>" in answer.text


def test_slow_senders_hold_nobody_up_and_are_cut_off(deployed: Deployed) -> None:
    unfinished = request(["Host: localhost", FORM, "Content-Length: 90"], b"grant_type=")
    with ExitStack() as stack:
        slow = []
        for data in [b"POST /token HTTP/1.1\r\nHost: loc", unfinished] * 20:
            plain = stack.enter_context(socket.create_connection(("127.0.0.1", deployed.rehearsal.port), 5))
            wire = stack.enter_context(deployed.tls.wrap_socket(plain, server_hostname="localhost"))
            wire.sendall(data)
            slow.append(wire)
        # forty of them: more than the workers have threads
        http = stack.enter_context(deployed.client())
        assert [deployed.token(http).status_code for _ in range(5)] == [200] * 5
    tls, bounds = (
        deployed.rehearsal.directory / "tls",
        {"client_header_timeout": "300ms", "client_body_timeout": "300ms"},
    )
    with NginxServer(free_port(), tls, **bounds) as nginx:
        for data in (b"POST /token HTTP/1.1\r\nHost: loc", unfinished):
            with (
                socket.create_connection(("127.0.0.1", nginx.port), 5) as plain,
                deployed.tls.wrap_socket(plain, server_hostname="localhost") as wire,
            ):
                wire.sendall(data)
                # until the server ends it; a silence of ten seconds would be an error
                wire.settimeout(10)
                assert b"HTTP/1.1 200" not in wire.recv(65536)


def test_what_may_have_spent_something_is_never_sent_twice(deployed: Deployed) -> None:
    heard: list[bytes] = []

    def serve() -> None:
        """Each connection's first request is answered, its second one is heard and never answered."""
        while True:
            try:
                wire, _ = upstream.accept()
            except OSError:
                return
            with wire:
                heard.append(wire.recv(65536).split(b" ", 1)[0])
                wire.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
                heard.append(wire.recv(65536).split(b" ", 1)[0])

    tls = deployed.rehearsal.directory / "tls"
    with socket.create_server(("127.0.0.1", 0)) as upstream:
        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        with (
            NginxServer(upstream.getsockname()[1], tls, processes=1) as nginx,
            httpx.Client(base_url=f"https://localhost:{nginx.port}", verify=deployed.tls) as http,
        ):
            assert http.post("/token").status_code == 200
            lost = http.post("/token")
            assert (lost.status_code, lost.headers["Retry-After"]) == (502, "2")
            assert heard == [b"POST", b"POST"]
            assert http.get("/jwks").status_code == 200
            assert http.get("/jwks").status_code == 200
            # what only reads is asked for once more
            assert heard == [b"POST", b"POST", b"GET", b"GET", b"GET"]
        upstream.shutdown(socket.SHUT_RDWR)
    thread.join(5)


def test_a_killed_worker_loses_nothing_but_what_is_refused(deployed: Deployed) -> None:
    world, told = deployed.world, deployed.rehearsal.workers
    before = len(world.events("token.issued"))
    answers: list[httpx.Response | httpx.HTTPError] = []
    stop = threading.Event()

    def ask() -> None:
        with deployed.client() as http:
            while not stop.is_set():
                try:
                    answers.append(deployed.token(http))
                except httpx.HTTPError as error:
                    answers.append(error)

    threads = [threading.Thread(target=ask) for _ in range(6)]
    for thread in threads:
        thread.start()
    old = set(told.worker_pids())
    until(lambda: len(answers) > 60, 20, "sixty answers")
    killed = old.pop()
    os.kill(killed, signal.SIGKILL)
    until(lambda: len(set(told.worker_pids()) - {killed}) == 2, 20, "a worker in its place")
    known = len(answers)
    until(lambda: len(answers) > known + 60, 20, "sixty answers more")
    stop.set()
    for thread in threads:
        thread.join(30)
    responses = [answer for answer in answers if isinstance(answer, httpx.Response)]
    assert len(responses) == len(answers), "nginx broke a connection"
    granted = [answer for answer in responses if answer.status_code == 200]
    refused = [answer for answer in responses if answer.status_code != 200]
    # 503 is the new worker's own, while it hashes the client's secret for the first time
    assert {r.status_code for r in refused} <= {502, 503, 504}
    assert all(int(r.headers["Retry-After"]) in (1, 2) for r in refused)
    # those in the killed worker's hands at most: one a connection, and what its socket had queued
    lost = [r for r in refused if r.status_code != 503]
    assert len(lost) <= 24
    rows = world.events("token.issued")[before:]
    given = {answer.json()["access_token"] for answer in granted}
    assert len(given) == len(granted)
    # a request whose answer was lost may have been served, once
    assert len(granted) <= len(rows) <= len(granted) + len(lost)
    with deployed.client() as http:
        assert [deployed.token(http).status_code for _ in range(10)] == [200] * 10


def test_the_role_that_serves_can_neither_change_tables_nor_the_audit_log(deployed: Deployed) -> None:
    services = deployed.world.services
    with deployed.client() as http:
        assert deployed.token(http).status_code == 200
    url = deployed.rehearsal.database_url(SERVING).replace("+psycopg", "")
    with psycopg.connect(url, autocommit=True) as connection:
        for statement in (
            "DROP TABLE client", "ALTER TABLE client ADD x int", "CREATE TABLE x (y int)",
            "TRUNCATE audit_event", "DELETE FROM audit_event", "UPDATE audit_event SET reason = ''",
            "UPDATE audit_event SET mac = ''",
            "DELETE FROM audit_checkpoint", "UPDATE audit_checkpoint SET seq = 0", "DELETE FROM audit_head",
            "DROP INDEX ix_audit_event_unsealed", "UPDATE alembic_version SET version_num = '0'",
            "CREATE SCHEMA x", "CREATE TEMP TABLE x (y int)", "COPY client TO PROGRAM 'id'",
        ):  # fmt: skip
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(statement)
    # what it may do is enough: rows are sealed, purged and verified
    # a killed worker may hold the lease of that job for a while yet
    until(lambda: not services.sealer.pending(), 30, "every row is sealed")
    read = lambda jws: services.keys.verify_checkpoint(jws, CHECKPOINT_TYP)  # noqa: E731
    verdict = verify(services.database, services.master, read)
    assert (verdict.first_bad, verdict.fault) == (None, "")
    assert verdict.rows > 50
    deployed.rehearsal.command("db", "purge")
    health = httpx.get(f"{deployed.rehearsal.workers.address}/readyz").json()
    assert {job["last_error"] for job in health["jobs"].values()} == {None}
    assert (deployed.rehearsal.directory / "audit-anchor").read_text().count(".") >= 2


def test_logs_have_no_query_and_no_secret_and_share_the_request_id(deployed: Deployed) -> None:
    with deployed.client() as http:
        answer = http.get("/authorize", params={"client_id": "shop", "login_hint": "a-name-in-the-query"})
    id_ = answer.headers["X-Request-Id"]
    nginx = deployed.rehearsal.nginx.access_log
    until(lambda: id_ in nginx.read_text(), 5, "nginx wrote its line")
    both = nginx.read_text() + deployed.rehearsal.workers.log.read_text()
    [line] = [line for line in nginx.read_text().splitlines() if id_ in line]
    assert '"path":"/authorize"' in line
    assert f'"client_ip":"{HERE}"' in line
    assert id_ in deployed.rehearsal.workers.log.read_text()
    secrets = [secret.encode() for secret in deployed.world.secrets.values()]
    assert not any(secret.decode() in both for secret in secrets)
    assert "a-name-in-the-query" not in both


def test_a_real_browser_keeps_the_cookies_and_ends_at_the_client(deployed: Deployed) -> None:
    if reason := chromium.chromium_missing():
        pytest.skip(reason)
    asked = {
        "response_type": "code",
        "client_id": "shop",
        "redirect_uri": CALLBACK,
        "scope": "openid profile",
    }
    asked |= {"state": "s3", "code_challenge": "c" * 43, "code_challenge_method": "S256", "prompt": "consent"}
    add_user(deployed.world.services, "bob")
    with chromium.chromium() as browser:
        # the authority is thrown away with this test: other tests verify its certificate
        context = chromium.open_context(browser, ignore_https_errors=True)
        context.route(f"{CALLBACK}*", lambda route: route.fulfill(body="back at the shop"))
        page = context.new_page()
        page.goto(f"{deployed.rehearsal.issuer}/authorize?{urlencode(asked)}")
        page.fill("#username", "bob")
        page.fill("#password", PASSWORD)
        page.click("form[action='/login'] button[type=submit]")
        page.click("button[value=approve]")
        page.wait_for_url(f"{CALLBACK}?*")
        assert "state=s3" in page.url
        assert "code=" in page.url
        held = {cookie["name"]: cookie for cookie in context.cookies(deployed.rehearsal.issuer)}
        assert "__Host-sid" in held
        assert all(cookie["secure"] and cookie["path"] == "/" for cookie in held.values())
        context.close()
