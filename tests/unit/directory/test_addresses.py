"""Valid addresses, and the one form of each, in routes, imports and mails."""

from __future__ import annotations

import unicodedata

import pytest

from directory.addresses import masked_address, normalise_address, read_email
from directory.imports.import_rows import LineFault, read_line
from notifications.delivery.mail.mime import build_mail, mailbox
from notifications.intake.addresses import check_address

GOOD = [
    "ada@example.org",
    " Ada.Lovelace+x@Example.ORG ",
    "!#$%&'*+/=?^_`{|}~-@example.org",
    "a@b.c",
    "a@1.example.org",
    "a@" + "x" * 63 + ".org",
    "x" * 64 + "@example.org",
    "x" * 64 + "@" + ".".join(["y" * 60] * 3) + ".org",
    "ada@school.test",
    "ada@xn--mnchen-3ya.de",
    "ada@XN--MNCHEN-3YA.de",
    "ada@münchen.de",
    "ada@mu\u0308nchen.de",
    "ada@пример.рф",
    "ада@пример.рф",
    "ж" * 32 + "@example.org",
    "Straße@example.org",
    "ada@faß.de",
    "ada@例え。jp",
    "Postmaster@example.org",
]
BAD = [
    "not an address",
    "ada",
    "@example.org",
    "ada@",
    "ada@example..org",
    ".ada@example.org",
    "ada.@example.org",
    "a..b@example.org",
    "ada@-example.org",
    "ada@example-.org",
    "ada@ab--cd.org",
    "ada@xn--a.org",
    "ada@xn--zz\u00fc.org",
    "ada@xn--99999999999999999.org",
    "ada@xn--.org",
    "x" * 65 + "@example.org",
    "ж" * 33 + "@example.org",
    "a@" + "x" * 64 + ".org",
    "x" * 64 + "@" + ".".join(["y" * 60] * 4) + ".org",
    "ada@" + ".".join(["y" * 30] * 9) + ".org",
    "ada@localhost",
    "ada@test",
    "ада@test",
    "ada@school.local",
    "ada@school.invalid",
    "ada@hidden.onion",
    "ada@1.2.3.4",
    "ada@[127.0.0.1]",
    '"a da"@example.org',
    "a da@example.org",
    "Ada <ada@example.org>",
    "ada@example.org, bob@example.org",
    "ada@example.org\r\nBcc: eve@example.org",
    "ada@exam\x00ple.org",
    "ada@exa\ud800mple.org",
    "ada@example.o\u200brg",
    "ada\u202e@example.org",
]


def route_accepts(text: str) -> bool:
    try:
        check_address("email", text)
    except ValueError:
        return False
    return True


def import_accepts(text: str) -> bool:
    try:
        read_line(1, {"username": "ada", "email": text})
    except LineFault:
        return False
    return True


def mail_accepts(text: str) -> bool:
    if "<" in text:  # the form of a header, which no route accepts
        return False
    try:
        build_mail(
            sender="Carillon <notifications@localhost>",
            recipient=text,
            subject="S",
            text="T",
            reference="r",
            date_s=0,
        )
    except ValueError:
        return False
    return True


@pytest.mark.parametrize(
    ("text", "is_good"), [*((t, True) for t in GOOD), *((t, False) for t in BAD)]
)
def test_routes_imports_and_mails_agree_on_every_address(text: str, is_good: bool) -> None:
    assert (route_accepts(text), import_accepts(text), mail_accepts(text)) == (is_good,) * 3


@pytest.mark.parametrize("text", GOOD)
def test_a_stored_address_builds_and_compares_like_the_given_one(text: str) -> None:
    stored = check_address("email", text)
    line = read_line(1, {"username": "ada", "email": text})

    assert line.values["email"] == stored
    assert check_address("email", stored) == stored
    assert normalise_address("email", stored) == normalise_address("email", text)
    assert mailbox(stored) == mailbox(text)
    assert mailbox(stored).domain.isascii()


def test_the_envelope_has_the_given_case_before_the_at_sign() -> None:
    found = read_email("Ada.Lovelace@Example.ORG")

    assert (found.spelling, found.normal) == (
        "Ada.Lovelace@example.org",
        "ada.lovelace@example.org",
    )
    assert mailbox("Ada.Lovelace@Example.ORG").address == "Ada.Lovelace@example.org"


SAME = {
    "email": [
        ["Case@Example.org", "case@example.org", " CASE@EXAMPLE.ORG "],
        [
            "ada@münchen.de",
            "ada@xn--mnchen-3ya.de",
            "ADA@XN--MNCHEN-3YA.DE",
            "ada@MU\u0308NCHEN.de",
        ],
        ["Jos\u00e9@example.org", "jose\u0301@example.org", "JOSE\u0301@example.org"],
        ["straße@example.org", "STRASSE@example.org"],
        ["ΣΟΦΟΣ@example.org", "σοφος@example.org", "σοφοσ@example.org"],
    ],
    "phone": [
        ["+49 151 1234-5678", "+4915112345678", "\uff0b49 (0)151 12345678", "tel:+49-151-12345678"],
        ["+44 07911 123456", "+447911123456"],
    ],
    "telegram": [["0123", "123", " 123 "], ["-100123", "-100123"]],
    "webhook": [["https://Hook.Example.org/A", "HTTPS://hook.example.org/A"]],
    "chat": [["slack://TokenA/B", " slack://TokenA/B"]],
}


@pytest.mark.parametrize(
    ("kind", "spellings"), [(kind, each) for kind, groups in SAME.items() for each in groups]
)
def test_every_spelling_of_an_address_has_one_normal_form(kind: str, spellings: list[str]) -> None:
    forms = {normalise_address(kind, each) for each in spellings}

    assert len(forms) == 1
    assert normalise_address(kind, forms.pop()) == normalise_address(kind, spellings[0])


def test_addresses_of_different_people_are_not_merged() -> None:
    assert normalise_address("webhook", "https://h.org/A") != normalise_address(
        "webhook", "https://h.org/a"
    )
    assert normalise_address("chat", "slack://A/B") != normalise_address("chat", "slack://a/B")
    assert normalise_address("email", "ada@faß.de") != normalise_address("email", "ada@fass.de")


@pytest.mark.parametrize("kind", ["email", "phone", "telegram", "webhook", "chat", "push"])
@pytest.mark.parametrize("text", [*GOOD, *BAD, "", "0171 123", "http://[::1", "\u0345\u0301ß"])
def test_normalising_twice_changes_nothing(kind: str, text: str) -> None:
    normal = normalise_address(kind, text)

    assert normalise_address(kind, normal) == normal
    if kind == "email":
        composed = normalise_address(kind, unicodedata.normalize("NFD", text))
        assert composed == normalise_address(kind, unicodedata.normalize("NFC", text))


@pytest.mark.parametrize(
    ("kind", "address", "shown"),
    [
        ("email", "ada@example.com", "a***@example.com"),
        ("email", "a@example.com", "***@example.com"),
        ("email", '"a@b"@example.com', '"***@example.com'),
        ("email", "яна@пример.рф", "я***@пример.рф"),
        ("phone", "+4915112345678", "***78"),
        ("telegram", "12345", "***"),
        ("telegram", "1234567", "***67"),
    ],
)
def test_an_address_is_masked_for_strangers(kind: str, address: str, shown: str) -> None:
    assert masked_address(kind, address) == shown
