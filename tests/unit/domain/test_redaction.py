"""Error texts of vendors lose addresses, tokens and names, and stay readable."""

from __future__ import annotations

import pytest

from notifications.domain.messages import SendResult, Verdict
from notifications.domain.redaction import Known, redacted, redacted_result

ANN = Known(
    ["ann.lee@example.org", "+4915112345678", "123456789"],
    ["fcm:APA91bH_x", "T-1"],
    ["Ann", "O'Neill", "ann7", "Zo\u00eb", "Bjo\u0308rn"],
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ""),
        ("550 5.1.1 user unknown", "550 5.1.1 user unknown"),
        ("550 5.1.1 <ann.lee@example.org> unknown", "550 5.1.1 <[address]> unknown"),
        ("ANN.LEE@EXAMPLE.ORG", "[address]"),
        ("mail to bob@other.test bounced", "mail to [address] bounced"),
        ("no such number +49 151 1234-5678", "no such number [address]"),
        ("no such number 015112345678", "no such number [address]"),
        ("no such number +49.151.1234.5678", "no such number [address]"),
        ("chat 123456789 not found", "chat [address] not found"),
        ("token fcm:APA91bH_x is gone", "token [token] is gone"),
        ("token T-1 is gone, not T-12", "token [token] is gone, not T-12"),
        ("token 8dJx2kq9LmN4pQ7rS1tU5vW3 expired", "token [token] expired"),
        ("Dear Ann O'Neill, Annabel", "Dear [name] [name], Annabel"),
        ("for ann7: code 21211", "for [name]: code 21211"),
        ("to ann.lee%40example.org or ANN.LEE=40example.org", "to [address] or [address]"),
        ("to ann.lee&#64;example.org or bob%40other.test", "to [address] or [address]"),
        ("Zoe\u0308 and Bj\u00f6rn", "[name] and [name]"),
        ("\u00fc8dJx2kq9LmN4pQ7rS1tU5vW3\u00e9", "\u00fc[token]\u00e9"),
        ("see http://x.test/unsubscribe/u.7.aB_-", "see http://x.test/unsubscribe/[token]"),
        (r"see \/your-data\/d.7", r"see \/your-data\/[token]"),
        ("see %2Fconfirm%2fc.7.x%3Ay now", "see %2Fconfirm%2f[token] now"),
        ("see http://x.test/preferences", None),
        ("it failed with status=404.html", None),
        ("see https://www.twilio.com/docs/errors/21211", None),
        ("notifications.delivery.vendors.smtp.faults failed", None),
        ("it failed on 2026-11-30 at 03:23:45", None),
    ],
)
def test_what_identifies_a_person_is_replaced(text, expected):
    assert redacted(text, ANN) == (text if expected is None else expected)


def test_unknown_recipients_lose_what_has_the_form_of_an_address():
    assert redacted("<a@b.test> +14155552671") == "<[address]> [address]"


@pytest.mark.parametrize("letter", ["a", "1", "@", "-", "(", "a1", "1 ", "a@"])
def test_a_long_text_is_cut(letter):
    assert len(redacted(letter * 200_000, ANN)) <= 20_000


def test_a_code_stays_a_code_where_a_name_is_a_part_of_it():
    known = Known(addresses=["+14155552671"], tokens=["abc123def"], names=["failed", "Not_Started"])
    codes = {
        "failed": "failed",
        "not_started": "not_started",
        "smtp_550": "smtp_550",
        "14155552671": "[address]",
        "abc123def": "[token]",
        "Failed": "[name]",
    }
    for code, expected in codes.items():
        found = redacted_result(SendResult(Verdict.RETRY, error_code=code), known)
        assert found.error_code == expected
