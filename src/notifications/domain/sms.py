"""Keywords that people send by SMS, and prices of SMS. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from decimal import ROUND_CEILING, Decimal, InvalidOperation
from enum import StrEnum

MICROS = 1_000_000
ANYWHERE = "*"
_COUNTRY = re.compile(r"[A-Z]{2}")
_NOT_A_WORD = re.compile(r"[\W_]+")


class Keyword(StrEnum):
    """What a person who replies to an SMS wants."""

    STOP = "stop"
    START = "start"
    HELP = "help"
    OTHER = "other"


# CTIA's and Twilio's words (twilio.com/docs/messaging/features/advanced-opt-out), and Russian ones.
WORDS: Mapping[Keyword, frozenset[str]] = {
    Keyword.STOP: frozenset(
        {"stop", "stopall", "unsubscribe", "cancel", "end", "quit", "optout", "revoke"}
        | {"стоп", "отписка", "отписаться"}
    ),
    Keyword.START: frozenset({"start", "yes", "unstop", "старт", "да"}),
    Keyword.HELP: frozenset({"help", "info", "помощь", "инфо"}),
}


def keyword_of(text: str, own: Mapping[str, str]) -> Keyword:
    """Returns the keyword of a text of one word, whatever its case and punctuation; else OTHER.

    own: further words of this installation, in lower case, each with its keyword.
    """
    word = _NOT_A_WORD.sub("", text.casefold())
    if word in own:
        return Keyword(own[word])
    return next((kind for kind, words in WORDS.items() if word in words), Keyword.OTHER)


def read_keywords(pairs: Iterable[str]) -> dict[str, str]:
    """Reads pairs such as `arret=stop`.

    Raises:
        ValueError: a pair is no word and keyword.
    """
    found = {}
    for pair in pairs:
        word, _, kind = pair.partition("=")
        word = _NOT_A_WORD.sub("", word.casefold())
        if not word or kind not in (Keyword.STOP, Keyword.START, Keyword.HELP):
            raise ValueError(f"{pair!r} is not word=stop, word=start or word=help")
        found[word] = kind
    return found


def read_prices(pairs: Iterable[str]) -> dict[str, int]:
    """Reads pairs such as `US=0.0079`. Returns millionths for a segment, by country or `*`.

    Raises:
        ValueError: a pair is no country and amount.
    """
    found = {}
    for pair in pairs:
        country, _, amount = pair.partition("=")
        if country != ANYWHERE and not _COUNTRY.fullmatch(country):
            raise ValueError(f"{country!r} is no country such as US, nor *")
        found[country] = micros_of(amount)
    return found


def micros_of(amount: str) -> int:
    """Returns an amount of money in millionths, rounded up.

    Raises:
        ValueError: not an amount from 0 to a million.
    """
    try:
        value = Decimal(amount)
    except InvalidOperation as error:
        raise ValueError(f"{amount!r} is no amount") from error
    if not value.is_finite() or not 0 <= value <= MICROS:
        raise ValueError(f"{amount!r} is no amount")
    return int((value * MICROS).to_integral_value(ROUND_CEILING))


def price_in(prices: Mapping[str, int], country: str) -> int | None:
    """Returns the price of a segment to a country; None when it is not known."""
    return prices.get(country, prices.get(ANYWHERE))


def text_of(title: str, body: str) -> str:
    """Returns the text of an SMS: the title, if any, on a line of its own, then the body."""
    return "\n".join(part for part in (title, body) if part)
