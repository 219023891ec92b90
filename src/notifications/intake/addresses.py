"""Checks the form of an address that is no user's."""

from __future__ import annotations

from typing import Any

import phonenumbers
from email_validator import EmailNotValidError, validate_email


def check_address(name: str, value: Any) -> str:
    """The address in its one spelling. name is email, phone or telegram_id.

    Raises:
        ValueError: saying what the address should look like.
    """
    if not isinstance(value, str | int) or isinstance(value, bool):
        raise ValueError("must be a text")
    text = str(value).strip()
    if name == "email":
        try:
            return validate_email(
                text, check_deliverability=False, test_environment=True
            ).normalized
        except EmailNotValidError as error:
            raise ValueError(f"is not an email address: {error}") from error
    if name == "phone":
        return _check_phone(text)
    if not text.lstrip("-").isdigit() or len(text) > 20:
        raise ValueError("must be a numeric Telegram chat id")
    return text


def _check_phone(text: str) -> str:
    try:
        number = phonenumbers.parse(text)
    except phonenumbers.NumberParseException as error:
        raise ValueError("must be in international form, e.g. +4915112345678") from error
    if not phonenumbers.is_possible_number(number):
        raise ValueError("is not a possible phone number")
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
