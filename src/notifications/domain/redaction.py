"""Replaces addresses, tokens and names in the texts of vendors, before they are stored readably.

Error texts stay readable, so that lists can show and group them. A vendor may repeat the recipient
in one. What is known of the recipient is replaced wherever it occurs; besides, everything that has
the form of an email address, a phone number or a token.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, replace

from notifications.domain.messages import OutboundMessage, SendResult

ADDRESS, TOKEN, NAME = "[address]", "[token]", "[name]"
LINK_PAGES = ("confirm", "preferences", "unsubscribe", "your-data")
"""The first parts of the paths whose second part is a token, a credential."""
# A slash as it is, and as JSON, URLs, quoted-printable texts and HTML may write it.
_SLASH = r"(?:\\?/|\\u002f|%(?:25){0,3}2f|=2f|&#(?:47|x2f);|&sol;)"
_LINK = re.compile(rf"({_SLASH}(?:{'|'.join(LINK_PAGES)}){_SLASH})[\w.:%=-]+", re.IGNORECASE)
# An encoded @ in front of a domain, of which one label has a letter: `=404.html` is none.
_ENCODED_AT = re.compile(
    r"(?<=[\w.+-])(?:%(?:25){0,3}40|=40|&#(?:64|x40);|&commat;)"
    r"(?=[\w-]{0,62}[^\W\d_][\w-]{0,62}\.\w)",
    re.IGNORECASE,
)
_EMAIL = re.compile(r"""[^\s<>"'(),;:@\[\]]{1,64}@[^\s<>"'(),;:@\[\]]{1,255}""")
_PHONE = re.compile(r"\+\d(?:[ ().-]{0,2}\d){6,18}(?!\w)|(?<![\w.])\d(?:[ ()-]{0,2}\d){8,18}(?!\w)")
# ASCII: a letter of another script is no part of a token.
_TOKEN = re.compile(r"(?<![\w-])(?=[A-Za-z_+=-]{0,80}\d)[A-Za-z0-9_+=-]{24,}(?![\w-])", re.ASCII)
_PATTERNS = ((_EMAIL, ADDRESS), (_TOKEN, TOKEN), (_PHONE, ADDRESS))
CODE = re.compile(r"[a-z0-9_]+")
"""The form of a code, of ours or of a vendor."""
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
    text = unicodedata.normalize("NFC", text[:_LONGEST])
    text = _ENCODED_AT.sub("@", without_links(text, TOKEN))
    for value, mark in _known_texts(known):
        text = _without(text, value, mark)
    for pattern, mark in _PATTERNS:
        text = pattern.sub(mark, text)
    return text[:_LONGEST]


def without_links(text: str, mark: str) -> str:
    """Returns a text in which the tokens of signed links are replaced by `mark`."""
    return _LINK.sub(lambda found: found[1] + mark, text)


def _known_texts(known: Known) -> list[tuple[str, str]]:
    """Returns what is known with its mark, the longest text first."""
    found = [(text, ADDRESS) for text in known.addresses]
    found += [(digits, ADDRESS) for text in known.addresses if (digits := _digits_of(text))]
    found += [(text, TOKEN) for text in known.tokens]
    found += [(text, ADDRESS if "@" in text else NAME) for text in known.names]
    found = [(unicodedata.normalize("NFC", text), mark) for text, mark in found if text.strip()]
    return sorted(found, key=lambda each: -len(each[0]))


def _digits_of(address: str) -> str:
    """Returns the digits of a phone number or chat id; empty for other addresses."""
    digits = address.removeprefix("+")
    return digits if digits.isdigit() and len(digits) >= _LEAST_DIGITS else ""


def _without(text: str, value: str, mark: str) -> str:
    """Replaces a value in any case; a name or a short value only as a whole word.

    No pattern is compiled: during an outage each message has other values.
    """
    lowered, sought = text.lower(), value.strip().lower()
    if sought not in lowered:
        return text
    if len(lowered) != len(text):  # a letter whose lower case is longer
        text = lowered
    is_word = mark == NAME or len(sought) < _LEAST_TOKEN
    parts, done, at = [], 0, lowered.find(sought)
    while at >= 0:
        end = at + len(sought)
        if not is_word or _is_alone(text, at, end):
            parts += [text[done:at], mark]
            done = end
        at = lowered.find(sought, end)
    return "".join([*parts, text[done:]])


def _is_alone(text: str, start: int, end: int) -> bool:
    """Whether a part of a text is not within a word."""
    around = (text[start - 1 : start], text[end : end + 1])
    return not any(each.isalnum() or each == "_" for each in around)


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
        error_code=_redacted_code(result.error_code, known),
        parts=parts,
    )


def _redacted_code(code: str, known: Known) -> str:
    """Returns a code without addresses and tokens. A code is no text with a name."""
    names = () if CODE.fullmatch(code) else known.names
    return redacted(code, Known(known.addresses, known.tokens, names))
