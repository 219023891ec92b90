"""Plain addresses: one spelling each, and a clear error for a wrong one."""

from __future__ import annotations

import pytest

from notifications.intake.addresses import check_address


@pytest.mark.parametrize(
    ("name", "given", "stored"),
    [
        ("email", " Ada@Example.COM ", "Ada@example.com"),
        ("phone", "+49 151 1234-5678", "+4915112345678"),
        ("telegram_id", 12345, "12345"),
        ("telegram_id", "-100123", "-100123"),
    ],
)
def test_an_address_has_one_spelling(name, given, stored):
    assert check_address(name, given) == stored


@pytest.mark.parametrize(
    ("name", "given", "message"),
    [
        ("email", "no-address", "is not an email address"),
        ("email", 7.5, "must be a text"),
        ("email", True, "must be a text"),
        ("phone", "0151 12345", "international form"),
        ("phone", "+1 555 12", "not a possible phone number"),
        ("telegram_id", "@ada", "numeric Telegram chat id"),
        ("telegram_id", "9" * 30, "numeric Telegram chat id"),
    ],
)
def test_a_wrong_address_is_refused_with_the_expected_form(name, given, message):
    with pytest.raises(ValueError, match=message):
        check_address(name, given)
