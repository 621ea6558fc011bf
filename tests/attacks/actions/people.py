"""What ends a person's access, as operators and people do it, and what codes look like."""

from __future__ import annotations

import itertools

from .. import flows
from ..browsers import answer
from ..forge import claims_of
from ..runner import Run
from ..stage import cookie_lines
from ..wire import Request
from ._terminal import command


def end_sessions(run: Run, user: str) -> None:
    """An operator signs the person out everywhere."""
    result = command(run, "users", "end-sessions", run.person(user).username)
    assert result.exit_code == 0, result.output
    run.world.services.versions.forget()


def new_password(run: Run, user: str) -> None:
    """The person sets a new password by a link that an operator made."""
    services, person = run.world.services, run.person(user)
    link = services.links.make(person.user_id, "reset")
    run.secrets.add(link)
    assert services.password_reset.set(link, person.password + " again")


def withdraw_consent(run: Run, user: str, client: str) -> None:
    """The person allows the client nothing any more."""
    assert run.world.services.consents.withdraw(run.person(user).user_id, client)


def remove_scope(run: Run, name: str) -> None:
    """The catalogue has lost a scope."""
    run.world.services.scopes.remove(name)
    run.world.services.versions.forget()


def listed_gids(run: Run, ended: str, not_ended: str) -> None:
    """The signed list names the authorization of the one token response and not of the other."""
    reply = run.send({"status": 200}, send="GET /revocations")
    listed = claims_of(reply.text)["gids"]
    assert claims_of(run.saved[ended]["access_token"])["gid"] in listed
    assert claims_of(run.saved[not_ended]["access_token"])["gid"] not in listed


def auth_time(run: Run, token: str, age: int) -> None:
    """The ID token of a token response says that its person logged in ``age`` seconds ago."""
    claims = claims_of(run.saved[token]["id_token"])
    assert claims["iat"] - claims["auth_time"] == age, claims


def quality_of_codes(run: Run, count: int) -> None:
    """``count`` codes: long, of one alphabet, all different, and nothing counts up in them."""
    flows.code(run)
    browser = run.browser("alice")
    asked = run.request({"send": "GET /authorize", "base": "AZ", "browser": "alice"}, [])
    codes = []
    for _ in range(count):
        opened = run.wire.send(asked)
        response = answer(run.wire.send(Request("GET", opened.location, cookie_lines(browser.cookies))))
        assert response is not None
        codes.append(response[1]["code"])
    run.secrets |= set(codes)
    assert len(set(codes)) == count
    assert {len(code) for code in codes} == {43}
    assert all(code.replace("-", "_").replace("_", "a").isalnum() and code.isascii() for code in codes)
    # no letter is the same in all, or tells a counter or a time
    for letters in zip(*codes, strict=True):
        assert len(set(letters)) > 8, letters
    rising = sum(first < second for first, second in itertools.pairwise(codes))
    assert 0.3 < rising / (count - 1) < 0.7
