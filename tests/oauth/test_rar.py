"""Authorization details: every doubtful payment is refused, and a good one has one spelling."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from asking import CALLBACK, CLIENTS, IBAN, PAYMENT, Asking, answer, ask, payment
from hypothesis import given
from hypothesis import strategies as st
from plugins.app import ACCOUNTS, PAYMENTS

from authserver.oauth import payment as payments
from authserver.oauth import rar
from authserver.oauth.iso4217 import DECIMALS
from authserver.oauth.iso13616 import LENGTHS


class Client:
    """What ``rar.read`` asks of a client."""

    authorization_details_types = frozenset({"payment_initiation"})


def reason(text: str, client: Any = Client) -> str:
    with pytest.raises(rar.Refused) as refused:
        rar.read(text, client)
    return refused.value.reason


def changed(path: str, value: Any = None, *, absent: bool = False) -> str:
    """One payment with the member at ``path`` changed."""
    element = copy.deepcopy(PAYMENT)
    *above, name = path.split(".")
    place = element
    for step in above:
        place = place[step]
    if absent:
        del place[name]
    else:
        place[name] = value
    return json.dumps([element])


@pytest.mark.spec("RFC 9396", "5")
def test_unknown_and_foreign_types_are_refused() -> None:
    assert reason('[{"type":"root"}]') == "rar_type"
    assert reason('[{"type":"Payment_Initiation"}]') == "rar_type"

    class Other:
        authorization_details_types = frozenset({"account_information"})

    assert reason(payment(), Other) == "rar_type_not_allowed"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "null",
        '"x"',
        "5",
        '{"type":"payment_initiation"}',
        "[]",
        "[{}]",
        '[{"type":1}]',
        '[{"type":null}]',
        '[{"type":["payment_initiation"]}]',
        "[null]",
        "[[]]",
        "[NaN]",
        "[1e999]",
        "[" + "9" * 5000 + "]",
        "[" * 5000 + "]" * 5000,
        # JSON's own parser reads these
        "[" * 600 + "]" * 600,
        '{"a":[' * 300 + "]}" * 300,
        "[" * 6 + "]" * 6,
        '{"a":' * 3000,
        '[{"type":"payment_initiation","type":"payment_initiation"}]',
        payment() + "x",
        payment()[:-1] + "," + payment()[1:-1] + "," * 2 + "]",
        json.dumps([{"type": "x"}] * 6),
        "\ufffd",
        "\x00",
    ],
)
def test_what_is_not_an_array_of_typed_objects_is_refused(text: str) -> None:
    assert reason(text) == "rar_format"


@pytest.mark.spec("RFC 9396", "6")
def test_a_token_is_for_exactly_the_details_that_were_approved() -> None:
    paid = PAYMENT | {"debtorAccount": {"iban": IBAN}}
    other = PAYMENT | {"creditorName": "Merchant B"}
    for text in ([PAYMENT], [paid], [dict(reversed(PAYMENT.items()))]):
        assert rar.fits(json.dumps(text), [paid]) == ""
    for wanted in (
        [other],
        [PAYMENT, PAYMENT],
        [PAYMENT, other],
        [paid | {"debtorAccount": {}}],
        [{}],
        [None],
    ):
        assert rar.fits(json.dumps(wanted), [paid]) == "rar_exceeds_grant"
    for granted in (None, [], [paid, other]):
        assert rar.fits(json.dumps([PAYMENT]), granted) == "rar_exceeds_grant"
    deep = "[" * 600 + "]" * 600
    for malformed in ("[]", "{", "null", json.dumps(PAYMENT), "[NaN]", "[" * 3000, deep):
        assert rar.fits(malformed, [paid]) == "rar_format"


def test_details_are_as_deep_as_five_and_no_deeper() -> None:
    assert reason('[{"type":"root","a":[[[]]]}]') == "rar_type"
    assert reason('[{"type":"root","a":[[[[]]]]}]') == "rar_format"


def test_two_payments_are_not_approved_with_one_click() -> None:
    assert reason(json.dumps([PAYMENT, PAYMENT])) == "rar_several_payments"


@pytest.mark.spec("RFC 9396", "5")
@pytest.mark.parametrize(
    "path",
    [
        "skipConsent",
        "debtorAccount",
        "debtorName",
        "creditorAccount.name",
        "instructedAmount.value",
        "Type",
        "instructedamount",
        "",
    ],
)
def test_unknown_members_are_refused(path: str) -> None:
    assert reason(changed(path, {"iban": IBAN})) == "rar_unknown_field"


AMOUNTS = [
    "-1.00", "0", "0.00", "1e3", "+5.00", " 5.00", "5.00 ", "5,00", "5.000", "5", "5.0", "5.", ".50", "05.00",
    "NaN", "Infinity", "0x10", "١.00", "5.٠٠", "1_0.00", "99999999999999999.99", "12345678901.00", "",
    "5.00\u0000", "5.00\n", 5.0, 5, None, True, ["5.00"], {},
]  # fmt: skip


@pytest.mark.parametrize("amount", AMOUNTS)
def test_an_amount_is_a_positive_decimal_string_with_all_its_digits(amount: Any) -> None:
    assert reason(changed("instructedAmount.amount", amount)) == "rar_amount"


@pytest.mark.parametrize(
    "whole",
    [{"currency": "JPY", "amount": "1.5"}, {"currency": "KWD", "amount": "1.50"}, "5.00 EUR", None, [], {}],
)
def test_an_amount_fits_its_currency(whole: Any) -> None:
    assert reason(changed("instructedAmount", whole)) in ("rar_amount", "rar_currency")


def test_amounts_of_other_currencies_have_their_own_digits() -> None:
    for currency, amount in (("JPY", "100"), ("KWD", "1.500"), ("EUR", "0.01"), ("USD", "9999999999.99")):
        element = rar.read(changed("instructedAmount", {"amount": amount, "currency": currency}), Client)[0]  # type: ignore[arg-type]
        assert element["instructedAmount"] == {"amount": amount, "currency": currency}
    assert all(len(code) == 3 and code.isalpha() and code.isupper() for code in DECIMALS)
    assert len(DECIMALS) > 150


@pytest.mark.parametrize("currency", ["eur", "EURO", "ZZZ", "E\u0421R", "", "EUR ", None, 978, ["EUR"]])
def test_a_currency_is_a_code_of_iso_4217(currency: Any) -> None:
    assert reason(changed("instructedAmount.currency", currency)) == "rar_currency"
    assert reason(changed("instructedAmount.currency", absent=True)) == "rar_currency"


@pytest.mark.parametrize(
    "iban",
    [
        "DE89370400440532013001",
        "DE88370400440532013000",
        "de89370400440532013000",
        "DE89 3704 0044 0532 0130 00",
        "DE8937040044053201300",
        "DE89370400440532013000\n",
        "\u0391E89370400440532013000",
        "DE\u0668\u0669370400440532013000",
        "X",
        "",
        None,
        1,
        [IBAN],
        "DE00370400440532013097",
        # right check digits: too short, too long, of a country that has no IBAN
        payments._with_check_digits("DE", "0" * 17),
        payments._with_check_digits("DE", "0" * 19),
        payments._with_check_digits("US", "0" * 18),
        "A" * 5000,
    ],
)
def test_an_iban_has_the_electronic_form_and_right_check_digits(iban: Any) -> None:
    assert reason(changed("creditorAccount.iban", iban)) == "rar_iban"
    assert reason(changed("creditorAccount", iban)) == "rar_iban"


@pytest.mark.parametrize(
    "name", ["Café Ω", "李小龙", "राम", "สมชาย", "דוד", "3M", "Nguyễn & Söhne (Köln)", "Ḍ̇a"]
)
def test_names_of_people_everywhere_are_taken(name: str) -> None:
    element = rar.read(changed("creditorName", name), Client)[0]  # type: ignore[arg-type]
    assert element["creditorName"] == name


def test_an_iban_of_each_country_has_that_countrys_length() -> None:
    for country, length in LENGTHS.items():
        assert payments.valid_iban(payments._with_check_digits(country, "0" * (length - 4)))
        assert not payments.valid_iban(payments._with_check_digits(country, "0" * (length - 3)))


@given(st.integers(0, 10**18 - 1), st.integers(0, 17), st.integers(1, 9))
def test_one_wrong_digit_of_an_iban_is_always_found(number: int, place: int, by: int) -> None:
    iban = payments._with_check_digits("DE", f"{number:018}")
    assert payments.valid_iban(iban)
    digit = str((int(iban[4 + place]) + by) % 10)
    assert not payments.valid_iban(iban[: 4 + place] + digit + iban[5 + place :])


@pytest.mark.parametrize("bic", ["COBADEFF", "COBADEFFXXX"])
def test_a_bic_may_be_named(bic: str) -> None:
    element = rar.read(changed("creditorAccount", {"iban": IBAN, "bic": bic}), Client)[0]  # type: ignore[arg-type]
    assert element["creditorAccount"] == {"iban": IBAN, "bic": bic}


@pytest.mark.parametrize("bic", ["cobadeff", "COBADEF", "COBADEFFX", "", None, 1])
def test_a_wrong_bic_is_refused(bic: Any) -> None:
    assert reason(changed("creditorAccount", {"iban": IBAN, "bic": bic})) == "rar_bic"


LINES = [
    "", " ", " A", "A ", "A\nB", "A\tB", "A\u202eB", "A\u200bB", "A\u2028B", "A\x00", "\ud800", "A\u0301",
    "A\u0316\u0317\u0318", "\u0301A", "A  B", "A \u0336", "-", "\u2026", "\U0001f600",
    "\ufe0f", "\u034f\u034f",
    "\u17b4", "\u3164", "\uffa0", "\u2800", "\u115f\u1160", "A\u3164B", "A\u2800", "A\ufe0f", "\ufffc",
    "Stadtwerke Bonn" + "\ufe0f" * 55, "A" + "\u20e0" * 40, "A\u20e0\u20e0", "\u0f40" + "\u0f77" * 60,
    "A" * 141, None, 5, ["A"], {"a": "b"},
]  # fmt: skip


@pytest.mark.parametrize("text", LINES)
def test_lines_that_would_show_as_something_else_are_refused(text: Any) -> None:
    assert reason(changed("creditorName", text)) == "rar_format"
    assert reason(changed("remittanceInformationUnstructured", text)) == "rar_format"
    assert reason(changed("creditorName", absent=True)) == "rar_format"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("actions", []), ("actions", ["steal"]), ("actions", ["initiate", "initiate"]),
        ("actions", "initiate"),
        ("actions", [1]), ("actions", [["initiate"]]), ("locations", []), ("locations", ["payments"]),
        ("locations", ["javascript:alert(1)"]), ("locations", ["https://a", "https://a"]),
        ("locations", [None]),
        ("locations", ["https://a.example/" + "a" * 300]), ("locations", ["https://\u00e9.example"]),
    ],
)  # fmt: skip
def test_actions_and_locations_are_lists_of_known_things(name: str, value: Any) -> None:
    assert reason(changed(name, value)) == "rar_format"


def test_a_payment_comes_out_in_one_order_whatever_order_it_came_in() -> None:
    full = {
        "remittanceInformationUnstructured": "Order 7 – thé",
        "creditorAccount": {"bic": "COBADEFF", "iban": IBAN},
        "creditorName": "Café Ω",
        "instructedAmount": {"currency": "EUR", "amount": "1234.50"},
        "locations": [PAYMENTS],
        "actions": ["initiate", "status"],
        "type": "payment_initiation",
    }
    spellings = {
        json.dumps(rar.read(json.dumps([dict(members)], indent=indent), Client))  # type: ignore[arg-type]
        for members in (full.items(), list(full.items())[::-1])
        for indent in (None, 2)
    }
    assert len(spellings) == 1
    assert json.loads(spellings.pop()) == [full]


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    )
)
def test_any_json_is_read_or_refused(value: Any) -> None:
    with pytest.raises(rar.Refused):
        rar.read(json.dumps(value), Client)  # type: ignore[arg-type]


@given(st.sampled_from([*PAYMENT, "actions", "locations"]), st.text() | st.integers() | st.lists(st.text()))
def test_any_member_is_read_or_refused(name: str, value: Any) -> None:
    try:
        (element,) = rar.read(json.dumps([PAYMENT | {name: value}]), Client)  # type: ignore[arg-type]
    except rar.Refused:
        return
    assert element[name] == value


def test_the_client_is_told_of_wrong_details_by_its_redirect_uri(asking: Asking) -> None:
    browser = asking.browser(logged_in=True)
    cases = [
        ("pay1", '[{"type":"root"}]', "rar_type"),
        ("pay1", "[{}]", "rar_format"),
        ("pay1", "[" * 600 + "]" * 600, "rar_format"),
        ("pay1", payment(skipConsent=True), "rar_unknown_field"),
        ("pay1", changed("instructedAmount.amount", "0.00"), "rar_amount"),
        ("pay1", changed("instructedAmount.currency", "ZZZ"), "rar_currency"),
        ("pay1", changed("creditorAccount.iban", "X"), "rar_iban"),
        ("acct1", payment(), "rar_type_not_allowed"),
        ("shop", payment(), "rar_type_not_allowed"),
    ]
    for client_id, details, _ in cases:
        found = answer(ask(browser, client_id, authorization_details=details))
        assert (found["error"], found["state"]) == ("invalid_authorization_details", "S1")
    assert asking.reasons() == [expected for _, _, expected in cases]
    assert asking.rows()["interactions"] == 0
    assert "account_information" in CLIENTS["acct1"]["authorization_details_types"]


@pytest.mark.spec("RFC 9396", "2.2")
def test_a_location_is_the_api_that_the_token_is_for(asking: Asking) -> None:
    browser = asking.browser(logged_in=True)
    fits = ask(browser, "pay1", scope=None, authorization_details=payment(locations=[PAYMENTS]))
    assert fits.headers["Location"].startswith("/authorize/resume")
    for scope, resource, locations in (
        ("openid accounts:read", None, [PAYMENTS]),
        (None, ACCOUNTS, [PAYMENTS]),
        (None, None, ["https://evil.example/payments"]),
        (None, None, [PAYMENTS, ACCOUNTS]),
        (None, None, None),
    ):
        details = payment(locations=locations)
        response = ask(browser, "pay1", scope=scope, resource=resource, authorization_details=details)
        assert answer(response)["error"] == "invalid_target", (scope, resource, locations)


@pytest.mark.spec("RFC 9396", "3")
def test_a_person_is_asked_to_start_payments_only_by_saying_which(asking: Asking) -> None:
    browser = asking.browser(logged_in=True)
    found = answer(ask(browser, "pay1", scope="openid payments:initiate"))
    assert (found["error"], found["state"]) == ("invalid_scope", "S1")
    assert asking.reasons() == ["rar_missing"]
    assert asking.rows()["interactions"] == 0
    with_details = ask(browser, "pay1", scope="openid payments:initiate", authorization_details=payment())
    assert with_details.headers["Location"].startswith("/authorize/resume")
    # a client that acts for itself is asked for no details: there is no person to show them to
    assert asking.world.token(scope="payments:initiate").status_code == 200


@pytest.mark.spec("RFC 6749", "3.3")
def test_nobody_stays_connected_by_a_payment(asking: Asking) -> None:
    browser = asking.browser(logged_in=True)
    scope = "openid payments:initiate offline_access"
    found = answer(ask(browser, "pay1", scope=scope, authorization_details=payment()))
    assert (found["error"], found["state"]) == ("invalid_scope", "S1")
    assert asking.reasons() == ["rar_offline"]
    assert asking.rows()["interactions"] == 0
    assert ask(browser, "pay1", scope="openid accounts:read offline_access").location.startswith(
        "/authorize/resume"
    )


def test_operators_say_which_scopes_need_details(asking: Asking) -> None:
    browser, scopes = asking.browser(logged_in=True), asking.world.services.scopes
    scopes.describe("accounts:read", "See accounts", details_type="account_information")
    scopes.describe("payments:initiate", "Start payments", details_type="")
    # what is not said stays as it was
    scopes.describe("accounts:read", "See your accounts")
    asking.world.services.versions.forget()
    assert answer(ask(browser, scope="accounts:read"))["error"] == "invalid_scope"
    # details of another type are no details of this one
    details = payment(locations=[ACCOUNTS])
    found = answer(ask(browser, "pay1", scope="accounts:read", authorization_details=details))
    assert found["error"] == "invalid_scope"
    assert asking.reasons() == ["rar_missing"] * 2
    assert ask(browser, scope="payments:initiate").headers["Location"].startswith("/authorize/resume")


def test_production_opens_no_payment_before_it_knows_whose_accounts_are_whose(asking: Asking) -> None:
    settings = asking.world.services.settings
    assert settings.payments_open
    assert not settings.model_copy(update={"profile": "production"}).payments_open
    bank = {"profile": "production", "accounts_url": "https://bank.example/accounts"}
    assert settings.model_copy(update=bank).payments_open
    object.__setattr__(settings, "profile", "production")
    found = answer(ask(asking.browser(), "pay1", authorization_details=payment()), CALLBACK)
    assert found["error"] == "invalid_authorization_details"
    assert asking.reasons() == ["rar_no_accounts"]
    assert payments.NoAccounts().of(asking.alice) == ()


def test_demo_accounts_are_the_persons_own_and_always_the_same() -> None:
    demo = payments.DemoAccounts()
    assert demo.of("alice") == demo.of("alice")
    ibans = [account.iban for user in ("alice", "bob") for account in demo.of(user)]
    assert len(set(ibans)) == 4
    assert all(map(payments.valid_iban, ibans))


@pytest.mark.spec("RFC 6749", "4.1.2.1")
def test_each_mistake_has_a_text_of_its_own_that_names_the_member(asking: Asking) -> None:
    mistakes = {
        "creditorName": changed("creditorName", "x" * 71),
        "unknown": '[{"type":"root"}]',
        "more than one": json.dumps([PAYMENT, PAYMENT]),
        "debtorAccount": changed("debtorAccount", {"iban": IBAN}),
        "instructedAmount needs amount": changed("instructedAmount.amount", "5"),
        "instructedAmount.currency": changed("instructedAmount.currency", "eur"),
        "creditorAccount needs iban": changed("creditorAccount.iban", "DE00"),
        "creditorAccount.bic": changed("creditorAccount.bic", "x"),
    }
    texts = []
    for words, details in mistakes.items():
        asked = ask(asking.browser(), "pay1", scope="openid", authorization_details=details)
        told = answer(asked)
        assert told["error"] == "invalid_authorization_details"
        texts.append(told["error_description"])
        assert words in texts[-1]
        # RFC 6749 §4.1.2.1: no quotes, no backslash
        assert all(" " <= c <= "~" and c not in '"\\' for c in texts[-1])
    assert len(set(texts)) == len(mistakes)
    told = answer(ask(asking.browser(), "shop", scope="openid", authorization_details=payment()))
    assert "not registered for this type" in told["error_description"]
