"""Events of the audit log in words for the person whom they concern.

What was wrong about a try, and how anything was judged, is told to nobody: whoever reads this may be
somebody else.
"""

from __future__ import annotations

from typing import Any

from ...audit import Event
from ...texts import Text

PASSWORD = "pwd"  # noqa: S105 - an amr of RFC 8176
FACTORS = {
    "totp": Text("Authenticator app"),
    "recovery_code": Text("Recovery codes"),
    "passkey": Text("Passkey"),
    "webauthn": Text("Passkey"),
    "email_otp": Text("A code by mail or text message"),
    "by_operator": Text("All second factors"),
}
FACTOR = Text("A second factor")
SIGN_INS = frozenset({Event.LOGIN_SUCCEEDED.value})
# a sentence that is the same for every row of an event
PLAIN = {
    Event.ACCOUNT_BLOCKED: Text("Account paused for 30 minutes after five wrong tries"),
    Event.ACCOUNT_CHANGE_REJECTED: Text("A change of the account was refused"),
    Event.DEVICE_REVOKED: Text("A device is no longer known"),
    Event.DEVICE_TRUSTED: Text("A device is known from now on"),
    Event.LOGIN_FAILED: Text("A sign-in failed"),
    Event.LOGOUT_DONE: Text("Signed out"),
    Event.MFA_FAILED: Text("A wrong code or passkey"),
    Event.PASSWORD_CHANGED: Text("Password changed"),
    Event.PAYEE_REVOKED: Text("Payments to a payee need a passkey or code again"),
    Event.PAYEE_TRUSTED: Text("Payments to a payee need no passkey or code from now on"),
    Event.RECOVERY_STARTED: Text("You said that a sign-in was not yours, and everything was signed out"),
    Event.SESSION_LIMIT: Text("The oldest session was ended: there were too many"),
    Event.SESSION_REVOKED: Text("A session was ended"),
    Event.USER_CREATED: Text("Account created"),
    Event.USER_DATA_EXPORTED: Text("A copy of your data was made"),
    Event.USER_EMAIL_CHANGED: Text("E-mail address changed"),
    Event.USER_EMAIL_REQUESTED: Text("Another e-mail address was asked for"),
    Event.USER_ERASURE_CANCELLED: Text("The account will not be deleted"),
    Event.USER_ERASURE_REQUESTED: Text("Deletion of the account was asked for"),
    Event.USER_LINK_MADE: Text("A link to set a password was made"),
    Event.USER_PHONE_CHANGED: Text("Telephone number changed"),
    Event.USER_STATE_CHANGED: Text("The account was closed or opened"),
}
OF_CLIENTS = {
    Event.CONSENT_GRANTED: (Text("You allowed %(name)s something", name=""), Text("You approved a payment")),
    Event.CONSENT_DENIED: (Text("You refused %(name)s", name=""),) * 2,
    Event.CONSENT_WITHDRAWN: (
        Text("%(name)s may do nothing for you any more", name=""),
        Text("You withdrew a payment"),
    ),
}
OF_FACTORS = {
    Event.MFA_ENROLLED: Text("Added: %(factor)s", factor=""),
    Event.MFA_REMOVED: Text("Removed: %(factor)s", factor=""),
    Event.MFA_SUCCEEDED: Text("Accepted: %(factor)s", factor=""),
    Event.MFA_SUSPENDED: Text("Not accepted any more after a hundred wrong codes: %(factor)s", factor=""),
}
SHOWN = frozenset(event.value for event in (*PLAIN, *OF_CLIENTS, *OF_FACTORS, Event.LOGIN_SUCCEEDED))


def said(row: dict[str, Any], client: str) -> Text:
    """What happened; ``client`` is the name of the application that it was about."""
    event = Event(row["event"])
    if event is Event.LOGIN_SUCCEEDED:
        by_password = PASSWORD in row["detail"].get("amr", (PASSWORD,))
        return Text("Password accepted") if by_password else Text("Signed in with a passkey")
    if event in OF_FACTORS:
        return Text(OF_FACTORS[event].message, factor=FACTORS.get(row["reason"], FACTOR))
    if event in OF_CLIENTS:
        scopes, payment = OF_CLIENTS[event]
        pays = row["reason"] == "payment" or "payment_initiation" in row["detail"].get("types", ())
        return payment if pays else Text(scopes.message, name=client)
    return PLAIN[event]


def by_whom(row: dict[str, Any]) -> Text | None:
    """Who did it, if it was not somebody in a browser."""
    if row["actor"].startswith("operator:"):
        return Text("By an operator")
    return Text("By this server") if row["actor"] == "system" else None
