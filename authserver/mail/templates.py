"""Every message that this server sends to people, by name.

Each may say ``name``, ``operator``, ``issuer``, ``when`` and ``address`` (from where it was asked for), which
``Mail.queue_in`` knows. What else it says the caller gives: each value of ``needs``, and of ``may`` what it
knows; a paragraph for which there is no value is left out.
"""

from __future__ import annotations

import re
from collections.abc import Set
from dataclasses import dataclass

from ..texts import Text

HOUR, DAY = 3600, 86_400
CODE_SECONDS = 600
# what ``queue_in`` knows by itself
USUAL = frozenset({"name", "operator", "issuer", "when", "address"})
PLACEHOLDER = re.compile(r"%\((\w+)\)s")

WHEN = Text("When: %(when)s.")
FROM = Text("From the network address: %(address)s.")
NOT_YOU = Text(
    "If that was not you, go to %(issuer)s/account, sign out everywhere, change your password and get in "
    "touch with us."
)


@dataclass(frozen=True, slots=True)
class Template:
    """A message: its paragraphs, and for how many seconds it is worth sending."""

    subject: Text
    body: tuple[Text, ...]
    lifetime: int = DAY
    may: frozenset[str] = frozenset()

    @property
    def needs(self) -> frozenset[str]:
        """The names of the values that the caller must give."""
        return frozenset(PLACEHOLDER.findall("".join((self.subject, *self.body)))) - USUAL - self.may

    def paragraphs(self, known: Set[str]) -> list[Text]:
        """What can be said with the values of these names."""
        return [text for text in self.body if known >= set(PLACEHOLDER.findall(text))]


TEMPLATES: dict[str, Template] = {
    # code: a string of digits
    "email_code": Template(
        Text("Your code for %(operator)s"),
        (
            Text("Your code is %(code)s. It works for 10 minutes, where you asked for it."),
            Text("Nobody of ours will ever ask you for it. Pass it on to nobody."),
            Text("If you did not ask for a code, somebody may know your password: change it."),
        ),
        CODE_SECONDS,
    ),
    # the same as a text message, which is its paragraphs alone
    "text_code": Template(
        Text("Your code for %(operator)s"),
        (Text("%(operator)s: your code is %(code)s. It works for 10 minutes. Pass it on to nobody."),),
        CODE_SECONDS,
    ),
    # link: an address of this server
    "reset_link": Template(
        Text("A new password for %(operator)s"),
        (
            Text("Somebody, hopefully you, asked for a new password for your account."),
            Text("Set it here within 30 minutes: %(link)s"),
            Text("If it was not you, do nothing: your password stays as it is."),
        ),
        HOUR // 2,
    ),
    "password_reset": Template(
        Text("Your password was reset"),
        (
            Text("Your password was set anew by a single-use link, and you were signed out everywhere."),
            WHEN,
            FROM,
            NOT_YOU,
        ),
    ),
    "password_changed": Template(
        Text("Your password was changed"),
        (Text("Your password was changed, and you were signed out everywhere else."), WHEN, FROM, NOT_YOU),
    ),
    "account_locked": Template(
        Text("Your account is paused"),
        (
            Text("After five wrong tries in a row nobody can sign in to your account for 30 minutes."),
            WHEN,
            Text("If those were your own tries, wait until that is over, then try again."),
            Text("If they were not, somebody may be guessing your password: choose one used nowhere else."),
        ),
    ),
    # factor: what was added, best a Text
    "factor_added": Template(
        Text("A way to sign in was added"),
        (
            Text("Your account has another way to prove that it is you."),
            Text("Added to your account: %(factor)s."),
            WHEN,
            FROM,
            NOT_YOU,
        ),
        may=frozenset({"factor"}),
    ),
    # factor: what was removed, best a Text
    "factor_removed": Template(
        Text("A way to sign in was removed"),
        (
            Text("A way to prove that it is you no longer works."),
            Text("Removed from your account: %(factor)s."),
            WHEN,
            FROM,
            NOT_YOU,
        ),
        may=frozenset({"factor"}),
    ),
    "app_suspended": Template(
        Text("Your authenticator app no longer works here"),
        (
            Text("After a hundred wrong codes in a row those of your authenticator app are refused."),
            WHEN,
            Text("Whoever tried them knows your password: choose a new one at %(issuer)s/password/forgot."),
            Text("Then sign in with a recovery code, or with a passkey and set the app up anew."),
            Text("If you have neither, get in touch with us."),
        ),
    ),
    # left: how many remain
    "recovery_code_used": Template(
        Text("A recovery code was used"),
        (
            Text("One of your recovery codes was used to sign in."),
            Text("Codes that are left: %(left)s."),
            WHEN,
            FROM,
            NOT_YOU,
        ),
        may=frozenset({"left"}),
    ),
    "recovery_codes_renewed": Template(
        Text("You have new recovery codes"),
        (Text("New recovery codes were made; the old ones no longer work."), WHEN, FROM, NOT_YOU),
    ),
    # passkey: its name
    "passkey_cloned": Template(
        Text("A passkey may have been copied"),
        (
            Text("One of your passkeys was used in a way that suggests that a copy of it exists."),
            Text("Its name: %(passkey)s."),
            Text("It no longer works here. Remove it from your account and add another."),
            WHEN,
            FROM,
            NOT_YOU,
        ),
        may=frozenset({"passkey"}),
    ),
    # device: what is known of the browser, best a Text
    "new_sign_in": Template(
        Text("A new sign-in to your account"),
        (
            Text("Somebody signed in to your account from a device that we have not seen before."),
            Text("The device: %(device)s."),
            WHEN,
            FROM,
            NOT_YOU,
        ),
        may=frozenset({"device"}),
    ),
    "sign_in_refused": Template(
        Text("A sign-in to your account was refused"),
        (
            Text("Somebody entered your password, and was refused: too much about it was unlike you."),
            Text("The device: %(device)s."),
            WHEN,
            FROM,
            Text("If that was you, sign in from a device that you have used before."),
            NOT_YOU,
        ),
        may=frozenset({"device"}),
    ),
    "payee_trusted": Template(
        Text("You trust a payee"),
        (
            Text("Payments to a payee whom you chose need no passkey or code from now on."),
            WHEN,
            FROM,
            Text("Who it is, and how to be asked again, you see at %(issuer)s/account/consents."),
            NOT_YOU,
        ),
    ),
    # to the old address, given in place of the user id
    "email_changed": Template(
        Text("Your e-mail address was changed"),
        (
            Text("Mails about your account go to another address from now on, and no longer to this one."),
            WHEN,
            FROM,
            Text("If that was not you, get in touch with us at once."),
        ),
    ),
    "recovery_started": Template(
        Text("You said that a sign-in was not yours"),
        (
            Text("So your account is signed out everywhere, and applications need you to sign in again."),
            Text("Now sign in at %(issuer)s/account and choose a new password, used nowhere else."),
            Text("Then look through your second factors, and through what you allow and approved."),
            WHEN,
            FROM,
        ),
    ),
    # link: an address of this server; to the new address
    "email_confirm": Template(
        Text("Is this your e-mail address?"),
        (
            Text("Somebody, hopefully you, wants to use this address for an account at %(operator)s."),
            Text("If so, open this link within 30 minutes, in the browser that is signed in: %(link)s"),
            Text("If it was not you, do nothing: nothing changes."),
        ),
        HOUR // 2,
    ),
    # date: when it will happen
    "erasure_requested": Template(
        Text("Your account will be deleted"),
        (
            Text("You asked for your account and your data to be deleted. That will be done on %(date)s."),
            Text("Until then you can change your mind: sign in at %(issuer)s/account and keep the account."),
            WHEN,
            FROM,
            NOT_YOU,
        ),
    ),
    "erasure_cancelled": Template(
        Text("Your account stays"),
        (Text("Your account will not be deleted."), WHEN, FROM, NOT_YOU),
    ),
    # to the address that is gone with the account
    "account_erased": Template(
        Text("Your account was deleted"),
        (
            Text("Your account and your data were deleted. Nobody can sign in with it any more."),
            Text("Records of payments that you approved are kept for as long as the law asks for them."),
        ),
    ),
}
