"""Telephone numbers: whether one is possible, and its country."""

from __future__ import annotations

import functools

import phonenumbers

UNKNOWN = "unknown"


def is_possible(number: str) -> bool:
    """Returns whether this is a possible number, written in E.164 form."""
    try:
        parsed = phonenumbers.parse(number)
    except phonenumbers.NumberParseException:
        return False
    spelling = phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.E164)
    return spelling == number and phonenumbers.is_possible_number(parsed)


@functools.lru_cache(maxsize=10_000)
def country_of(number: str) -> str:
    """Returns the country of a number in E.164 form, as `US`; `unknown` where it has none.

    Numbers that countries share by their code (+1) count as the first one's where nothing says
    more.
    """
    try:
        parsed = phonenumbers.parse(number)
    except phonenumbers.NumberParseException:
        return UNKNOWN
    own = phonenumbers.region_code_for_number(parsed)
    code = own or phonenumbers.region_code_for_country_code(parsed.country_code or 0)
    return code if len(code) == 2 and code.isalpha() and code != "ZZ" else UNKNOWN
