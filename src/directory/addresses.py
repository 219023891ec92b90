"""Which addresses can be written to, and the one form by which they are compared.

Doors, imports, suppressions, receipts and the builder of mails all ask here, so that none takes
what another refuses. Plain Python: it knows no rows. Kinds are those of `ContactKind`.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import phonenumbers
from email_validator import EmailNotValidError, validate_email

MAX_ADDRESS = 1_000
_MAX_EMAIL, _MAX_LOCAL, _MAX_DOMAIN = 254, 64, 253  # octets, RFC 5321
_MAX_PHONE = 32
_LEAST_TO_SHOW = 6  # characters of an address of which two are shown
_ATOM = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
# What nearly every address is; the rest is read by email_validator, at twenty times the cost.
# A label with hyphens in the third and fourth place is punycode, which must be decoded, or nothing.
_ORDINARY_EMAIL = re.compile(
    rf"({_ATOM}(?:\.{_ATOM})*)@"
    r"((?:(?![A-Za-z0-9-]{2}--)[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.)+"
    r"(?!(?:local|invalid|localhost|arpa|onion)$)[A-Za-z]{2,63})",
    re.ASCII | re.IGNORECASE,
)
_SEPARATORS = re.compile(r"[\s().-]")
_CHAT_ID = re.compile(r"-?[0-9]{1,19}")
_CONTROL = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")


_REMEMBERED = 10_000
_normal_phones: set[str] = set()


class AddressFault(ValueError):
    """What an address should look like, in words that follow its name. why: more, or empty."""

    def __init__(self, words: str, why: str = "") -> None:
        super().__init__(words)
        self.why = why

    @property
    def in_full(self) -> str:
        """The words, and more where there is more."""
        return f"{self}: {self.why}" if self.why else str(self)


class Email(NamedTuple):
    """An email address. local keeps its case; domain is in Unicode, ascii_domain its A-labels."""

    local: str
    domain: str
    ascii_domain: str

    @property
    def spelling(self) -> str:
        """As it was given, but for the case of the domain and the composition of characters."""
        return f"{self.local}@{self.domain}"

    @property
    def normal(self) -> str:
        """The form by which it is compared."""
        return f"{_folded(self.local)}@{self.ascii_domain}"


def read_email(text: str) -> Email:
    """An email address that mail can carry.

    Raises:
        AddressFault: it is none.
    """
    text = text.strip()
    ordinary = _ORDINARY_EMAIL.fullmatch(text)
    if ordinary and len(text) <= _MAX_EMAIL:
        local, domain = ordinary.groups()
        if len(local) <= _MAX_LOCAL and len(domain) <= _MAX_DOMAIN:
            domain = domain.lower()
            return Email(local, domain, domain)
    if len(text) > _MAX_EMAIL:  # before anything reads it
        raise AddressFault("is not an email address", f"it is longer than {_MAX_EMAIL} octets")
    try:
        # `.test` is nobody's: it is taken, as example.org is, so that installations can be tried.
        found = validate_email(text, check_deliverability=False, test_environment=True, strict=True)
    except EmailNotValidError as error:
        raise AddressFault("is not an email address", str(error)) from error
    if "." not in found.ascii_domain:
        raise AddressFault("is not an email address", "its domain should have a period")
    if len(found.local_part.encode()) > _MAX_LOCAL:
        why = f"it has more than {_MAX_LOCAL} octets before the @-sign"
        raise AddressFault("is not an email address", why)
    return Email(found.local_part, found.domain, found.ascii_domain)


def read_phone(text: str) -> str:
    """A telephone number in E.164 form.

    Raises:
        AddressFault: it is none, or says no country.
    """
    try:
        if len(text) > _MAX_PHONE:
            raise AddressFault(f"is longer than {_MAX_PHONE} characters")
        number = phonenumbers.parse(text)
    except phonenumbers.NumberParseException as error:
        raise AddressFault("must be in international form, e.g. +4915112345678") from error
    if not phonenumbers.is_possible_number(number):
        raise AddressFault("is not a possible phone number")
    normal = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
    _remember(normal)
    return normal


def _remember(number: str) -> None:
    """Notes a number in its normal form: an import reads each twice, at fifty microseconds."""
    if len(_normal_phones) >= _REMEMBERED:
        _normal_phones.clear()
    _normal_phones.add(number)


def read_telegram(text: str) -> str:
    """A Telegram chat id.

    Raises:
        AddressFault: it is none.
    """
    if not _CHAT_ID.fullmatch(text):
        raise AddressFault("must be a numeric Telegram chat id")
    return str(int(text))


def read_url(text: str) -> str:
    """The address of a webhook, or a chat's URL.

    Raises:
        AddressFault: it is none.
    """
    if len(text) > MAX_ADDRESS or _CONTROL.search(text):
        raise AddressFault("is too long or holds a control character")
    try:
        parts = urlsplit(text)
    except ValueError as error:
        raise AddressFault("must be a URL") from error
    if not parts.scheme or "://" not in text:
        raise AddressFault("must be a URL")
    return text


def read_address(kind: str, value: Any) -> str:
    """An address in the spelling that it is written to; the case before an @ stays.

    Raises:
        AddressFault: it is none of its kind.
    """
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise AddressFault("must be a text")
    text = str(value).strip()
    if kind == "email":
        return read_email(text).spelling
    if kind == "phone":
        return read_phone(text)
    return read_telegram(text) if kind == "telegram" else read_url(text)


def normalise_address(kind: str, address: str) -> str:
    """The one form of an address, by which lists and lookups compare.

    Of a text that is no address it is the nearest there is: rows of long ago hold such.
    """
    address = address.strip()
    if kind == "email":
        if address.isascii() and "--" not in address:
            return address.lower()
        try:
            return read_email(address).normal
        except AddressFault:
            return _folded(address)
    if kind == "phone":
        return _normal_phone(address)
    try:
        if kind == "telegram":
            return read_telegram(address)
        return _normal_url(address) if kind == "webhook" else address
    except ValueError:
        return address


def masked_address(kind: str, address: str) -> str:
    """As much of an address as its owner knows it by, and nobody could write to: `a***@b.com`,
    `***67`."""
    if kind == "email":
        local, _, domain = address.rpartition("@")
        first = local[0] if len(local) > 1 else ""
        return f"{first}***@{domain}"
    return f"***{address[-2:] if len(address) > _LEAST_TO_SHOW else ''}"


def _normal_phone(number: str) -> str:
    if number in _normal_phones:
        return number
    try:
        return read_phone(number)
    except AddressFault:
        return _SEPARATORS.sub("", number)


def _normal_url(url: str) -> str:
    """A URL with scheme and host in small letters: only what follows them may depend on case."""
    parts = urlsplit(url)
    before, at, host = parts.netloc.rpartition("@")
    return parts._replace(netloc=f"{before}{at}{host.lower()}").geturl() if parts.netloc else url


def _folded(text: str) -> str:
    """Without differences of case and of composition (Unicode's canonical caseless matching)."""
    if text.isascii():
        return text.lower()
    return unicodedata.normalize("NFC", unicodedata.normalize("NFD", text).casefold())
