"""Replaces addresses, tokens and names in texts of vendors and in lines of the log.

Error texts stay readable, so that lists can show and group them. A vendor may repeat the recipient
in one. What is known of the recipient is replaced wherever it occurs; besides, everything that has
the form of an email address, a phone number or a token.

Lines of the log have no known recipient. `redacted_line` replaces every form of a credential or an
address, and leaves the ids by which a fault is found: UUIDs, numbers of rows, names of code.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, replace

from notifications.domain.messages import OutboundMessage, SendResult

ADDRESS, TOKEN, NAME = "[address]", "[token]", "[name]"
LINK_PAGES = (
    "confirm",
    "invitation",
    "new-password",
    "preferences",
    "unsubscribe",
    "your-data",
)
"""The first parts of the paths whose second part is a token, a credential."""
PIXEL_PATH = "api/v1/track/open"
"""The path whose next part is the token of one mail's picture."""
# A slash as it is, and as JSON, URLs, quoted-printable texts and HTML may write it.
_SLASH = r"(?:\\?/|\\u002f|%(?:25){0,3}2f|=2f|&#(?:47|x2f);|&sol;)"
_LINK = re.compile(
    rf"({_SLASH}(?:{'|'.join(LINK_PAGES)}|track{_SLASH}open){_SLASH})[\w.:%=-]+", re.IGNORECASE
)
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
# Each pattern is linear: what repeats is bounded, or cannot match where its follower begins.
# It begins where a word begins, or after an encoded space: otherwise it would take quadratic time.
_JWT = re.compile(r"(?:(?<![A-Za-z0-9_-])|(?<=%20))eyJ[A-Za-z0-9_-]{5,}+(?:\.[A-Za-z0-9_-]*+){1,4}")
_OWN_KEY = re.compile(r"(?<![A-Za-z0-9])(?:ck_[a-z]{1,10}_|whsec_)[A-Za-z0-9_+/=-]+")
_LINK_TOKEN = re.compile(r"(?<![\w.])[bcdelpu]\.[\w:.-]{0,200}\.[\w-]{22}(?![\w-])", re.ASCII)
# A quote as it is, as JSON in a text of JSON has it, and as HTML has it.
_QUOTE = r"(?:\\{0,15}[\"']|&(?:quot|apos|#34|#39|#x27);)"
_HEADER = re.compile(
    rf"(\b(?:proxy-)?authorization|\b(?:set-)?cookie)({_QUOTE}?\s{{0,3}}[:=,]\s{{0,3}})[^\r\n]+",
    re.IGNORECASE,
)
_SCHEME = re.compile(
    r"\b([Bb]earer|[Bb]asic|BEARER|BASIC)\s{1,3}(?=[a-z]{0,99}[A-Z0-9=+/._~-])[\w.~+/=-]{6,}",
    re.ASCII,
)
_CREDENTIAL = (
    r"(?:passw(?:or)?d|passphrase|passcode|pwd|secret|token|signature"
    r"|(?:api|access|private|master)[_-]?key|session[_-]?(?:id|key)|credentials?|csrf\w{0,20}|otp"
    r"|(?<![a-z])(?:pin|pw)(?![a-z]))"
)
# What a quote opens ends with the same quote behind as many backslashes, or with the text.
_QUOTED = (
    r"(?P<escape>\\{0,15})(?P<quote>[\"'])"
    r"(?:(?!(?<!\\)(?P=escape)(?P=quote)).){0,4000}(?:(?P=escape)(?P=quote))?"
)
_GROUPED = r"[\[{(](?:[^\[\]{}()]|[\[{(][^\[\]{}()]{0,500}+[\]})]){0,4000}[\]})]?"
_CREDENTIAL_FIELD = re.compile(
    rf"({_CREDENTIAL}[\w-]{{0,30}}{_QUOTE}?\s{{0,3}}(?:=>|:=|[=:>]|%3D)\s{{0,3}}b?)"
    rf"(?:{_QUOTED}|{_GROUPED}|{_QUOTE}[^\s&]*|[^\s,;&\"')}}\]<]+)",
    re.IGNORECASE | re.DOTALL,
)
# A list of pairs, as servers have headers.
_CREDENTIAL_PAIR = re.compile(
    rf"({_CREDENTIAL}[\w-]{{0,30}}{_QUOTE}\s{{0,3}},\s{{0,3}}b?){_QUOTED}",
    re.IGNORECASE | re.DOTALL,
)
_IN_QUERY = re.compile(
    r"([?&](?:code|key|sig|auth|jwt|ticket|assertion|x-amz-credential)=)[^\s&#\"'<>]+",
    re.IGNORECASE,
)
_USER_OF_URL = re.compile(r"(?<=[a-z0-9]://)[^\s/?#\"'<>]*@", re.IGNORECASE)
# Apprise: the whole address of a service is a credential.
_SERVICE_URL = re.compile(
    r"(?<![a-z0-9+.-])(?!(?:https?|wss?|ftp|file|postgres(?:ql)?|rediss?|sqlite|amqps?|smtps?|unix):)"
    r"([a-z][a-z0-9+.-]{1,20}://)[^\s\"'<>]+",
    re.IGNORECASE,
)
_VENDOR_KEY = re.compile(
    r"(?<![A-Za-z0-9])(?:[prs]k_(?:live|test)_\w+|SG\.[\w-]{6,}+\.[\w-]+|xox[a-z]-[\w-]+"
    r"|gh[a-z]_\w{16,}|AKIA[0-9A-Z]{12,}|AIza[\w-]{16,}|glpat-[\w-]+)"
    r"|(?<=bot)\d{6,12}:[\w-]{20,}"
    r"|(?<=hooks\.slack\.com/services/)[\w/-]+|(?<=/api/webhooks/)[\w/-]+",
    re.ASCII,
)
_PRIVATE_KEY = re.compile(
    r"(-----BEGIN [A-Z ]{0,40}PRIVATE KEY-----)(?:(?!-----END ).)*", re.DOTALL
)
_CREDENTIAL_NAME = re.compile(rf"{_CREDENTIAL}|authorization|cookie", re.IGNORECASE)
_LINE_PHONE = re.compile(
    r"\+\d(?:[ ().-]{0,2}\d){6,18}"
    r"|\(\d{2,5}\)[ -]?\d{3,4}[ -]?\d{3,5}(?!\w)"
    r"|(?<![\w.:/-])0\d(?:[ /-]?\d){8,13}(?!\w)"
    r"|(?<![\w-])\d{3}-\d{3}-\d{4}(?![\w-])"
)
_ID = re.compile(
    r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"  # a UUID
    r"|(?:[a-z]+|[A-Z]+|\d+)(?:[_-]+(?:[a-z]+|[A-Z]+|\d+))*_?"  # the name of a function or file
)
HIDDEN = "[secret]"
_CUT = " [...] "
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


def redacted_line(text: str) -> str:
    """Returns a text of the log without credentials and addresses, of about 20,000 characters.

    Of a longer text the beginning and the end stay: a traceback ends in its exception. A national
    phone number of digits alone looks like the number of a row, and stays unless it begins with 0.
    """
    text = _PRIVATE_KEY.sub(rf"\1{HIDDEN}", _bounded(text))
    text = _HEADER.sub(rf"\1\2{HIDDEN}", text)
    text = _JWT.sub(TOKEN, _SCHEME.sub(rf"\1 {HIDDEN}", text))
    text = _VENDOR_KEY.sub(TOKEN, _OWN_KEY.sub(TOKEN, text))
    text = _CREDENTIAL_FIELD.sub(rf"\1{HIDDEN}", text)
    text = _CREDENTIAL_PAIR.sub(rf"\1{HIDDEN}", text)
    text = _IN_QUERY.sub(rf"\1{HIDDEN}", _SERVICE_URL.sub(rf"\1{HIDDEN}", text))
    text = _USER_OF_URL.sub(f"{HIDDEN}@", text)
    text = _LINK_TOKEN.sub(TOKEN, without_links(text, TOKEN))
    text = _EMAIL.sub(ADDRESS, _ENCODED_AT.sub("@", text))
    return _LINE_PHONE.sub(ADDRESS, _TOKEN.sub(_unless_id, text))


def is_secret_name(name: str) -> bool:
    """Whether a field with this name holds a credential."""
    return _CREDENTIAL_NAME.search(name[:200]) is not None


def _unless_id(found: re.Match[str]) -> str:
    """Returns the mark of a token, or what was found if it is an id or a name of code."""
    return found[0] if _ID.fullmatch(found[0]) else TOKEN


def _bounded(text: str) -> str:
    """Returns the text, or its beginning and end, cut at spaces so that no token is halved."""
    if len(text) <= _LONGEST:
        return text
    half = _LONGEST // 2
    head, tail = text[:half].rsplit(None, 1), text[-half:].split(None, 1)
    return "".join([head[0] if len(head) == 2 else "", _CUT, tail[1] if len(tail) == 2 else ""])


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
