"""Replaces addresses, tokens and names in the texts of vendors, before they are stored readably.

Error texts stay readable, so that lists can show and group them. A vendor may repeat the recipient
in one. What is known of the recipient is replaced wherever it occurs; besides, everything that has
the form of an email address, a phone number or a token.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from notifications.domain.messages import OutboundMessage, SendResult

ADDRESS, TOKEN, NAME = "[address]", "[token]", "[name]"
_EMAIL = re.compile(r"""[^\s<>"'(),;:@\[\]]{1,64}@[^\s<>"'(),;:@\[\]]{1,255}""")
_PHONE = re.compile(r"(?<![\w.])\+?\d(?:[ ()-]{0,2}\d){8,18}(?!\w)")
_TOKEN = re.compile(r"(?<![\w-])(?=[A-Za-z_+=-]{0,80}\d)[A-Za-z0-9_+=-]{24,}(?![\w-])")
_PATTERNS = ((_EMAIL, ADDRESS), (_TOKEN, TOKEN), (_PHONE, ADDRESS))
_LEAST_DIGITS = 6
_LEAST_TOKEN = 6
_LONGEST = 20_000


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of a recipient, as texts that may be empty."""

    addresses: Sequence[str] = ()
    tokens: Sequence[str] = ()
    names: Sequence[str] = ()


NOTHING = Known()


def redacted(text: str, known: Known = NOTHING) -> str:
    """Returns a text of at most 20,000 characters without addresses, tokens and names."""
    if not text:
        return text
    text = text[:_LONGEST]
    for pattern, mark in _known_patterns(known):
        text = pattern.sub(mark, text)
    for pattern, mark in _PATTERNS:
        text = pattern.sub(mark, text)
    return text[:_LONGEST]


def _known_patterns(known: Known) -> Iterable[tuple[re.Pattern[str], str]]:
    """Yields the patterns of what is known, the longest text first."""
    groups = ((known.addresses, ADDRESS), (known.tokens, TOKEN), (known.names, NAME))
    given = [(text.strip(), mark) for texts, mark in groups for text in texts if text.strip()]
    for text, mark in sorted(given, key=lambda each: -len(each[0])):
        yield _pattern_of(text, mark), mark
        digits = re.sub(r"\D", "", text)
        if mark == ADDRESS and "@" not in text and len(digits) >= _LEAST_DIGITS:
            yield re.compile(r"\+?" + r"\D{0,2}?".join(digits)), mark


def _pattern_of(text: str, mark: str) -> re.Pattern[str]:
    escaped = re.escape(text)
    is_word = mark == NAME or len(text) < _LEAST_TOKEN
    return re.compile(rf"(?<!\w){escaped}(?!\w)" if is_word else escaped, re.IGNORECASE)


def known_of(outbound: OutboundMessage | None, names: Sequence[str] = ()) -> Known:
    """Returns what is known of the recipient of a message, and the names of the person."""
    if outbound is None:
        return Known(names=names)
    targets = [target.recipient for target in outbound.targets]
    addresses = [outbound.recipient] if not targets else []
    return Known(addresses, targets, names)


def redacted_result(result: SendResult, known: Known) -> SendResult:
    """Returns a result whose readable texts have no addresses, tokens and names.

    The vendor's response is stored sealed, and stays as it is.
    """
    parts = tuple(
        replace(part, result=redacted_result(part.result, known)) if part.result.error else part
        for part in result.parts
    )
    return replace(
        result,
        error=redacted(result.error, known),
        error_code=redacted(result.error_code, known),
        parts=parts,
    )
