"""The quick formats say what Babel says, in every locale."""

from __future__ import annotations

from decimal import Decimal

import pytest
from babel import Locale, localedata
from babel.numbers import format_currency, format_percent
from hypothesis import given
from hypothesis import strategies as st

from notifications.rendering.language.formats import (
    FormatFault,
    formats_for,
    parse_locale,
    parse_zone,
)

LOCALES = sorted(localedata.locale_identifiers())
numbers = st.decimals(
    min_value=Decimal("-1e12"), max_value=Decimal("1e12"), allow_nan=False, places=4
)


@given(number=numbers, locale=st.sampled_from(LOCALES), code=st.sampled_from(["USD", "JPY", "KWD"]))
def test_money_is_written_as_babel_writes_it(number: Decimal, locale: str, code: str) -> None:
    shown = formats_for(locale, "UTC").as_currency(number, code)

    assert shown == format_currency(number, code, locale=Locale.parse(locale))


@given(number=numbers, locale=st.sampled_from(LOCALES))
def test_percents_are_written_as_babel_writes_them(number: Decimal, locale: str) -> None:
    shown = formats_for(locale, "UTC").as_percent(number)

    assert shown == format_percent(number, locale=Locale.parse(locale))


@pytest.mark.parametrize(
    ("name", "language"),
    [("ru_RU", "ru"), ("ru-RU", "ru"), ("ru_XX", "ru"), ("xx_YY", "en"), ("", "en"), ("C", "en")],
)
def test_an_unknown_locale_falls_back_to_its_language_and_then_to_english(
    name: str, language: str
) -> None:
    assert parse_locale(name).language == language


@pytest.mark.parametrize("name", ["Mars/Olympus", "", "../etc/passwd", "UTC"])
def test_an_unknown_zone_is_utc(name: str) -> None:
    assert str(parse_zone(name)) == "UTC"


@pytest.mark.parametrize("value", ["NaN", "Infinity", "1e999", "9" * 100, float("inf"), 10**40])
def test_numbers_without_a_sensible_size_are_refused(value: object) -> None:
    with pytest.raises(FormatFault):
        formats_for("en", "UTC").as_currency(value)


@pytest.mark.parametrize("pattern", ["S" * 41, "%Y", 5, "yyyy\n"])
def test_a_date_pattern_is_one_of_cldr(pattern: object) -> None:
    with pytest.raises(FormatFault) as caught:
        formats_for("en", "UTC").as_date("2026-01-01", pattern)

    assert "date format" in str(caught.value)
