"""Second factors for tests: a person's authenticator app, held outside of the server as in life."""

from __future__ import annotations

from dataclasses import dataclass

from flask import Flask

from authserver import acr, clock
from authserver.app import services_of
from authserver.login import totp


@dataclass
class App:
    """An authenticator app with one secret."""

    secret: str

    def code(self, drift: int = 0) -> str:
        """The code of the present time step, or of one ``drift`` steps away."""
        return totp.code_at(self.secret, totp.step_at(clock.now()) + drift)


@dataclass
class Enrolled:
    """A person with a second factor: their app and their recovery codes."""

    app: App
    codes: list[str]


def give_totp(app: Flask, user_id: str) -> Enrolled:
    """The person has set up an authenticator app, with the code of the step before the present one."""
    services = services_of(app)
    sessions = services.sessions
    cookie = sessions.start(user_id, acr=acr.PASSWORD, amr=("pwd",))
    session = sessions.read(cookie)
    assert session is not None
    begun = services.factor_changes.begin_totp(session, "someone")
    assert begun is not None
    authenticator = App(begun.secret)
    done = services.factor_changes.confirm_totp(session, begun.totp_id, authenticator.code(-1))
    assert done is not None
    sessions.end(session.sid, "logout")
    return Enrolled(authenticator, done.codes)
