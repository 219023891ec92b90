"""Keywords and prices of SMS."""

from __future__ import annotations

import pytest

from notifications.domain.sms import (
    Keyword,
    keyword_of,
    micros_of,
    price_in,
    read_keywords,
    read_prices,
    text_of,
)
from notifications.infra.phone_numbers import country_of


@pytest.mark.parametrize(
    ("text", "keyword"),
    [
        ("STOP", "stop"),
        (" stop.\n", "stop"),
        ("Stop-All!", "stop"),
        ("Unsubscribe", "stop"),
        ("СТОП", "stop"),
        ("start", "start"),
        ("UNSTOP", "start"),
        ("Help?", "help"),
        ("please stop", "other"),
        ("", "other"),
        ("don't stop", "other"),
        ("Arrêt", "stop"),
    ],
)
def test_a_keyword_stands_alone(text, keyword):
    assert keyword_of(text, read_keywords(["arrêt=stop"])) == Keyword(keyword)


@pytest.mark.parametrize("pair", ["stop", "=stop", "x=other", "x=halt", "!=stop"])
def test_words_of_ones_own_mean_one_of_three_things(pair):
    with pytest.raises(ValueError, match="is not word=stop"):
        read_keywords([pair])


def test_prices_are_exact_millionths():
    prices = read_prices(["US=0.0079", "*=0.10"])
    assert prices == {"US": 7900, "*": 100_000}
    assert (price_in(prices, "US"), price_in(prices, "DE")) == (7900, 100_000)
    assert price_in({"US": 1}, "DE") is None
    assert micros_of("0.0000001") == 1  # never less than it costs


@pytest.mark.parametrize("pair", ["US", "usa=1", "US=", "US=-1", "US=NaN", "US=1e9", "us=1"])
def test_what_is_no_price_is_refused(pair):
    with pytest.raises(ValueError, match="is no"):
        read_prices([pair])


@pytest.mark.parametrize(
    ("number", "country"),
    [
        ("+14155552671", "US"),
        ("+14165550123", "CA"),
        ("+15005550006", "US"),
        ("+442071838750", "GB"),
        ("+79161234567", "RU"),
        ("+77011234567", "KZ"),
        ("+80012345678", "unknown"),
        ("+999", "unknown"),
        ("hello", "unknown"),
    ],
)
def test_numbers_belong_to_countries(number, country):
    assert country_of(number) == country


def test_the_title_has_a_line_of_its_own():
    assert (text_of("a", "b"), text_of("", "b"), text_of("a", "")) == ("a\nb", "b", "a")
