"""Validates addresses and gives each the one form by which addresses are compared.

Routes, imports, suppressions, receipts and the mail builder all call this module, so that none
accepts an address that another refuses. Plain Python, without database rows. Kinds are those of
`ContactKind`.
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
_LEAST_TO_SHOW = 6  # a phone number or id of up to 6 characters is masked completely
_ATOM = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
# Matches nearly every address. email_validator reads the others, at twenty times the cost.
# A label with hyphens in the third and fourth place is punycode, which has to be decoded; it is
# invalid where it is not punycode.
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
    """The address is invalid. The text follows the field's name: "must be a text"."""

    def __init__(self, words: str, why: str = "") -> None:
        super().__init__(words)
        #: A more exact reason, or an empty string.
        self.why = why

    @property
    def in_full(self) -> str:
        """Returns the text, followed by the exact reason where there is one."""
        return f"{self}: {self.why}" if self.why else str(self)


class Email(NamedTuple):
    """A valid email address."""

    #: The part before the @-sign, in the case in which it was given.
    local: str
    #: The domain in Unicode.
    domain: str
    #: The domain in A-labels (punycode).
    ascii_domain: str

    @property
    def spelling(self) -> str:
        """The address as it was given.

        Only the case of the domain and the composition of characters may differ.
        """
        return f"{self.local}@{self.domain}"

    @property
    def normal(self) -> str:
        """The form by which addresses are compared."""
        return f"{_folded(self.local)}@{self.ascii_domain}"


def read_email(text: str) -> Email:
    """Reads an email address to which mail can be sent.

    Raises:
        AddressFault: the text is not such an address.
    """
    text = text.strip()
    ordinary = _ORDINARY_EMAIL.fullmatch(text)
    if ordinary and len(text) <= _MAX_EMAIL:
        local, domain = ordinary.groups()
        if len(local) <= _MAX_LOCAL and len(domain) <= _MAX_DOMAIN:
            domain = domain.lower()
            return Email(local, domain, domain)
    if len(text) > _MAX_EMAIL:  # before the validator spends time on it
        raise AddressFault("is not an email address", f"it is longer than {_MAX_EMAIL} octets")
    try:
        # `.test` belongs to no one. It is accepted, as example.org is, to try out installations.
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
    """Reads a telephone number and returns it in E.164 form.

    Raises:
        AddressFault: the text is not a number, or it has no country code.
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
    """Caches a number that is in its normal form.

    An import reads each number twice, and reading one takes 50 microseconds.
    """
    if len(_normal_phones) >= _REMEMBERED:
        _normal_phones.clear()
    _normal_phones.add(number)


def read_telegram(text: str) -> str:
    """Reads a Telegram chat id.

    Raises:
        AddressFault: the text is not a chat id.
    """
    if not _CHAT_ID.fullmatch(text):
        raise AddressFault("must be a numeric Telegram chat id")
    return str(int(text))


def read_url(text: str) -> str:
    """Reads the URL of a webhook or of a chat.

    Raises:
        AddressFault: the text is not a URL.
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
    """Reads an address of a kind and returns the spelling that messages are sent to.

    The case before the @-sign of an email address stays.

    Raises:
        AddressFault: the value is not an address of this kind.
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
    """Returns the one form of an address, by which lists and lookups compare addresses.

    Old rows hold texts that are not valid addresses. For these it returns the nearest form.
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
    """Returns the part of an address by which its owner recognizes it: `a***@b.com`, `***67`.

    No one can write to the masked address.
    """
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
    """Returns a URL with its scheme and host in lower case: only the rest may depend on case."""
    parts = urlsplit(url)
    before, at, host = parts.netloc.rpartition("@")
    return parts._replace(netloc=f"{before}{at}{host.lower()}").geturl() if parts.netloc else url


def _folded(text: str) -> str:
    """Removes differences of case and of composition (Unicode's canonical caseless matching)."""
    if text.isascii():
        return text.lower()
    return unicodedata.normalize("NFC", unicodedata.normalize("NFD", text).casefold())
