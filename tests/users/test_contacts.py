"""Another address: the old one is told, and what was sent there counts no more."""

from __future__ import annotations

import pytest
from plugins.app import World
from plugins.people import add_user, on_new_device
from postbox import Mailbox

from authserver.errors import Invalid, NotDone
from authserver.login import Sent
from authserver.users import UserRecord


def alice_of(world: World) -> UserRecord:
    user = world.services.users.find("alice")
    assert user is not None
    return user


def test_the_address_before_is_told_and_the_new_one_is_unproved(posting: World, mailbox: Mailbox) -> None:
    services, alice = posting.services, alice_of(posting)
    session = services.sessions.read(on_new_device(services, alice.user_id))
    assert session is not None
    assert services.email_otp.send(alice, session.sid) is Sent.SENT
    (mail,) = mailbox.deliver(posting)
    assert services.email_otp.confirm_device(alice, session, mail.code, "")
    assert alice_of(posting).email_verified_at is not None
    services.contacts.set_email(alice.user_id, "Alice@Example.org")
    (told,) = mailbox.deliver(posting)
    assert (told.envelope_to, told.subject) == (["alice@example.com"], "Your e-mail address was changed")
    assert "example.org" not in told.text
    assert alice_of(posting).email == "alice@example.org"
    assert alice_of(posting).email_verified_at is None
    assert [row["user_id"] for row in posting.events("user.email.changed")] == [alice.user_id]


def test_codes_and_links_that_went_to_the_old_address_work_no_more(posting: World, mailbox: Mailbox) -> None:
    services, alice = posting.services, alice_of(posting)
    session = services.sessions.read(on_new_device(services, alice.user_id))
    assert session is not None
    assert services.email_otp.send(alice, session.sid) is Sent.SENT
    services.reset_requests.ask("alice")
    mails = mailbox.deliver(posting)
    services.email_otp.send(alice, "two")
    services.contacts.set_email(alice.user_id, "alice@example.org")
    # the code that still waited has gone: only the note leaves
    assert [one.subject for one in mailbox.deliver(posting)] == ["Your e-mail address was changed"]
    code = next(one.code for one in mails if "code" in one.subject)
    link = next(one.link for one in mails if "password" in one.subject)
    assert services.email_otp.confirm_device(alice_of(posting), session, code, "") is None
    # for no other reason: the session is there and may still be confirmed
    assert services.sessions.list(alice.user_id)[0].confirm
    assert services.links.look(link.partition("token=")[2]) is None


def test_an_address_is_one_persons_and_an_address(posting: World, mailbox: Mailbox) -> None:
    add_user(posting.services, "bob")
    contacts, alice = posting.services.contacts, alice_of(posting)
    for address, fault in (("bob@example.com", NotDone), ("nonsense", Invalid), ("a\r\nBcc: x@y", Invalid)):
        with pytest.raises(fault):
            contacts.set_email(alice.user_id, address)
    with pytest.raises(NotDone):
        contacts.set_email("nobody", "nobody@example.com")
    contacts.set_email(alice.user_id, "alice@example.com")
    assert mailbox.deliver(posting) == []


def test_a_telephone_number_is_one_and_can_go(posting: World) -> None:
    contacts, alice = posting.services.contacts, alice_of(posting)
    for number in ("0151 2345678", "+49", "+49 abc", "+0123456789", "+49151234567890123"):
        with pytest.raises(Invalid):
            contacts.set_phone(alice.user_id, number)
    contacts.set_phone(alice.user_id, "+49 (151) 234-5678")
    assert alice_of(posting).phone == "+491512345678"
    contacts.set_phone(alice.user_id, None)
    assert alice_of(posting).phone is None
