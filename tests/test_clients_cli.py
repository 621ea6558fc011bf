"""Registering clients that send people to the authorization endpoint."""

from __future__ import annotations

import json
from pathlib import Path

from click.testing import Result
from joserfc.jwk import ECKey
from receiver import Receiver
from test_cli import Run, made, run  # noqa: F401 - the fixture


def shown(run: Run, client_id: str) -> dict[str, object]:  # noqa: F811
    return dict(json.loads(run("clients", "show", client_id, "--json").output))


def create(run: Run, *more: str) -> Result:  # noqa: F811
    return run("clients", "create", "--name", "x", "--grant", "authorization_code", *more)


def test_a_web_shop_is_registered_with_all_that_it_needs(run: Run) -> None:  # noqa: F811
    uri = "https://shop.example/callback"
    shop = made(
        run, "--name", "Web shop", "--grant", "authorization_code", "--grant", "refresh_token",
        "--scope", "openid", "--redirect-uri", uri, "--redirect-uri", uri,
        "--details-type", "payment_initiation", "--id-token-alg", "PS256",
    )  # fmt: skip
    row = shown(run, shop["client_id"])
    assert row["redirect_uris"] == [uri]
    assert row["grant_types"] == ["authorization_code", "refresh_token"]
    assert row["authorization_details_types"] == ["payment_initiation"]
    assert (row["application_type"], row["require_pkce"], row["id_token_alg"]) == ("web", True, "PS256")
    assert "PS256" in run("keys", "list").output
    other = "https://shop.example/other"
    assert run("clients", "redirect-uris", shop["client_id"], other).exit_code == 0
    assert shown(run, shop["client_id"])["redirect_uris"] == [other]
    refused = run("clients", "redirect-uris", shop["client_id"], "http://shop.example/other")
    assert refused.exit_code != 0
    assert shown(run, shop["client_id"])["redirect_uris"] == [other]


def test_an_app_is_registered_as_native_and_public(run: Run) -> None:  # noqa: F811
    arguments = ("--native", "--auth-method", "none", "--redirect-uri", "com.example.app:/cb")
    assert create(run, *arguments).exit_code == 0
    assert create(run, *arguments[1:]).exit_code != 0
    assert create(run, *arguments, "--without-pkce").exit_code != 0


def test_a_client_without_a_place_for_its_codes_is_refused(run: Run) -> None:  # noqa: F811
    for uris in ((), ("--redirect-uri", "https://x.example/#a"), ("--redirect-uri", "javascript:alert(1)")):
        assert create(run, *uris).exit_code != 0


def test_an_operator_alone_lets_a_client_do_without_pkce(run: Run) -> None:  # noqa: F811
    client = made(
        run, "--name", "Old", "--grant", "authorization_code",
        "--redirect-uri", "https://x.example/cb", "--without-pkce",
    )  # fmt: skip
    assert shown(run, client["client_id"])["require_pkce"] is False


def test_a_client_that_signs_is_registered_with_its_public_keys(run: Run, tmp_path: Path) -> None:  # noqa: F811
    key = ECKey.generate_key("P-256")
    file = tmp_path / "bank.jwks.json"

    def write(*keys: dict[str, object]) -> str:
        file.write_text(json.dumps({"keys": keys}))
        return str(file)

    def register(*more: str) -> Result:
        method = ("--auth-method", "private_key_jwt", "--grant", "client_credentials")
        return run("clients", "create", "--name", "Bank", "--id", "bank", *method, *more)

    public = {**key.as_dict(private=False), "kid": "k1"}
    assert register().exit_code == 2
    leaked = register("--jwks", write({**key.as_dict(private=True), "kid": "k1"}))
    assert leaked.exit_code == 2
    assert "private" in leaked.output
    assert register("--jwks-uri", "https://169.254.169.254/jwks").exit_code == 2
    done = register("--jwks", write(public))
    assert done.exit_code == 0
    assert "secret" not in done.output
    assert shown(run, "bank")["kids"] == ["k1"]
    assert run("clients", "rotate-secret", "bank").exit_code == 1
    assert run("clients", "keys", "bank").exit_code == 2
    assert run("clients", "keys", "bank", "--jwks-uri", "https://bank.example/jwks").exit_code == 0
    row = shown(run, "bank")
    assert (row["kids"], row["jwks_uri"]) == ([], "https://bank.example/jwks")


def test_a_scope_says_which_details_it_needs(run: Run) -> None:  # noqa: F811
    def scope(name: str) -> dict[str, object]:
        rows = json.loads(run("scopes", "list", "--json").output)
        return next(dict(row) for row in rows if row["name"] == name)

    assert scope("payments:initiate")["authorization_details_type"] == "payment_initiation"
    assert scope("payments:read")["authorization_details_type"] is None
    assert "payment_initiation" in run("scopes", "list").output
    change = ("scopes", "set", "payouts", "--description", "Pay out", "--json")
    made_ = json.loads(run(*change, "--details-type", "payment_initiation").output)
    assert made_ == scope("payouts")
    assert made_["authorization_details_type"] == "payment_initiation"
    assert json.loads(run(*change).output) == made_
    assert json.loads(run(*change, "--details-type", "none").output)["authorization_details_type"] is None
    assert run(*change, "--details-type", "nosuch").exit_code != 0


def test_where_people_go_and_what_a_client_hears_when_they_sign_out(run: Run) -> None:  # noqa: F811
    after, hears = "https://x.example/bye", "https://x.example/backchannel"
    client = made(
        run, "--name", "Shop", "--grant", "authorization_code", "--redirect-uri", "https://x.example/cb",
        "--post-logout-redirect-uri", after, "--post-logout-redirect-uri", after,
        "--backchannel-logout-uri", hears,
    )["client_id"]  # fmt: skip
    names = ("post_logout_redirect_uris", "backchannel_logout_uri", "backchannel_logout_session_required")
    assert [shown(run, client)[name] for name in names] == [[after], hears, False]
    for wrong in (
        ("--after", "https://x.example/#a"), ("--after", "http://x.example/bye"), ("--after", "bye"),
        ("--backchannel", "https://x.example/#a"), ("--backchannel", "http://10.0.0.1/"),
        ("--backchannel", "https://192.168.1.1/"), ("--backchannel", "https://[::ffff:10.0.0.1]/"),
        ("--backchannel", "https://0xa000001/"), ("--backchannel", "ftp://x.example/"),
    ):  # fmt: skip
        assert run("clients", "logout-uris", client, *wrong).exit_code == 2, wrong
    assert [shown(run, client)[name] for name in names] == [[after], hears, False]
    assert run("clients", "logout-uris", "nobody", "--after", after).exit_code == 1
    other = ("--after", "https://x.example/a", "--after", "https://x.example/b", "--session-required")
    result = run("clients", "logout-uris", client, *other)
    assert result.output == (
        f"People of {client} go to https://x.example/a, https://x.example/b; it does not hear of that.\n"
    )
    assert [shown(run, client)[name] for name in names] == [[other[1], other[3]], None, True]
    assert run("clients", "logout-uris", client).exit_code == 0
    assert [shown(run, client)[name] for name in names] == [[], None, False]


def test_an_operator_is_told_of_another_client_of_the_same_name(run: Run) -> None:  # noqa: F811
    place = ("--redirect-uri", "https://x.example/cb")
    first = create(run, *place, "--id", "first")
    assert "Warning" not in first.stderr
    # letters of another width and case are the same name to people
    second = run(
        "clients", "create", "--name", "\uff38", "--grant", "authorization_code", *place, "--id", "second",
        "--pending", "--json",
    )  # fmt: skip
    assert "Warning: first has this name, too." in second.stderr
    assert json.loads(second.stdout)["namesakes"] == ["first"]
    approved = run("clients", "approve", "second", "--json")
    assert json.loads(approved.stdout)["namesakes"] == ["first"]
    assert "Warning: first" in approved.stderr
    suspended = run("clients", "suspend", "second")
    assert "Warning" not in suspended.stderr


def test_a_scope_is_said_in_another_language(run: Run) -> None:  # noqa: F811
    said = run("scopes", "translate", "payments:read", "de", "Ihre Zahlungen sehen", "--json")
    assert json.loads(said.stdout)["translations"] == {"de": "Ihre Zahlungen sehen"}
    changed = run("scopes", "set", "payments:read", "--description", "See your payments")
    assert "Say it anew in de" in changed.output
    (row,) = [
        one for one in json.loads(run("scopes", "list", "--json").stdout) if one["name"] == "payments:read"
    ]
    assert (row["description"], row["translations"]) == ("See your payments", {})
    assert run("scopes", "translate", "payments:read", "de", "Ihre Zahlungen sehen").exit_code == 0
    # the same sentence, once more, is what was translated
    assert "anew" not in run("scopes", "set", "payments:read", "--description", "See your payments").output
    assert (
        json.loads(run("scopes", "translate", "payments:read", "de", "--remove", "--json").stdout)[
            "translations"
        ]
        == {}
    )
    for wrong in (
        ("payments:read", "fr", "Voir vos paiements"), ("payments:read", "de"),
        ("payments:read", "de", "x", "--remove"),
        ("nothing", "de", "Nichts"), ("payments:read", "de", " "), ("payments:read", "de", "x" * 301),
        ("payments:read", "de", "Ihre \u202eBerichte"),
    ):  # fmt: skip
        assert run("scopes", "translate", *wrong).exit_code != 0, wrong


def test_ids_of_people_are_set_when_a_client_is_made_and_changed_only_on_purpose(run: Run) -> None:  # noqa: F811
    at, elsewhere = "https://shop.example/cb", "https://other.example/cb"
    pairwise = ("--subject-type", "pairwise")
    shop = made(run, "--name", "x", "--grant", "authorization_code", "--redirect-uri", at, *pairwise)
    client_id = shop["client_id"]
    row = shown(run, client_id)
    assert (row["subject_type"], row["sector"]) == ("pairwise", "shop.example")
    several = create(run, "--redirect-uri", at, "--redirect-uri", elsewhere, *pairwise)
    assert several.exit_code != 0
    assert "sector_identifier_uri" in several.output
    # its addresses stay within the sector
    assert run("clients", "redirect-uris", client_id, "https://shop.example/other").exit_code == 0
    for uris in ((elsewhere,), (at, elsewhere)):
        assert run("clients", "redirect-uris", client_id, *uris).exit_code != 0
    refused = run("clients", "subjects", client_id, "public")
    assert refused.exit_code != 0
    assert "--yes" in refused.output
    # to say what is true already changes nothing
    assert run("clients", "subjects", client_id, "pairwise").exit_code == 0
    assert run("clients", "subjects", client_id, "public", "--yes").exit_code == 0
    row = shown(run, client_id)
    assert (row["subject_type"], row["sector"]) == ("public", None)
    assert run("clients", "redirect-uris", client_id, elsewhere).exit_code == 0


def test_a_sector_identifier_uri_is_looked_at_from_the_command_line_too(run: Run) -> None:  # noqa: F811
    with Receiver() as sector:
        sector.page_headers = {"Content-Type": "application/json"}
        at = "https://shop.example/cb"
        given = ("--redirect-uri", at, "--subject-type", "pairwise", "--sector-identifier-uri", sector.uri)
        for page in (b"[]", b"nothing"):
            sector.page = page
            assert create(run, *given).exit_code != 0
        sector.page = json.dumps([at]).encode()
        client = made(run, "--name", "x", "--grant", "authorization_code", *given)
        assert shown(run, client["client_id"])["sector"] == "127.0.0.1"
        # at a change of its addresses as well
        moved = ("clients", "redirect-uris", client["client_id"], "https://shop.example/other")
        assert run(*moved).exit_code != 0
        sector.page = json.dumps([at, "https://shop.example/other"]).encode()
        assert run(*moved).exit_code == 0
    inside = ("--redirect-uri", at, "--sector-identifier-uri", "https://10.0.0.5/sector.json")
    assert create(run, *inside).exit_code != 0


def test_an_operator_chooses_what_a_client_gets(run: Run) -> None:  # noqa: F811
    at = ("--redirect-uri", "https://shop.example/cb")
    client = made(
        run, "--name", "x", "--grant", "authorization_code", *at, "--token-format", "opaque",
        "--userinfo-alg", "RS256", "--initiate-login-uri", "https://shop.example/login",
    )  # fmt: skip
    row = shown(run, client["client_id"])
    assert (row["access_token_format"], row["userinfo_alg"]) == ("opaque", "RS256")
    assert row["initiate_login_uri"] == "https://shop.example/login"
    assert "RS256" in run("keys", "list").output
    assert run("clients", "answers", client["client_id"], "--userinfo-alg", "EdDSA").exit_code == 0
    row = shown(run, client["client_id"])
    assert (row["access_token_format"], row["userinfo_alg"]) == ("jwt", "EdDSA")
    assert "EdDSA" in run("keys", "list").output
    for wrong in ("http://shop.example/login", "javascript:alert(1)", "https://shop.example/login?iss=x"):
        assert create(run, *at, "--initiate-login-uri", wrong).exit_code != 0
