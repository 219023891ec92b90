"""Reads and checks the fields of one person in an import."""

from __future__ import annotations

import functools
import json
import re
import zoneinfo
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

from directory.addresses import normalise_address, read_address
from directory.imports.related_fields import (
    flattened,
    read_contact_points,
    read_devices,
    read_groups,
)
from directory.models.contact import ContactKind
from directory.models.user import Role
from directory.texts import find_unstorable

_MAX_ATTRIBUTES = 20_000
MAX_PRIVATE_BYTES = 16_384
"""The most bytes of `attributes_private` as JSON."""
MAX_USERNAME = 150
_LOCALE = re.compile(r"[A-Za-z]{2,3}([-_][A-Za-z0-9]{2,8}){0,2}")
_USERNAME = re.compile(r"[\w.@+-]+")
_CONTROL = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")
_ROLES = frozenset(Role.values)
_FLAGS = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}


class LineFault(ValueError):
    """A line is wrong. The text does not contain the value itself."""

    def __init__(self, faults: list[tuple[str, str]]) -> None:
        #: (field, what is wrong).
        self.faults = faults
        super().__init__("; ".join(" ".join(fault) for fault in faults))


@dataclass(frozen=True, slots=True)
class Line:
    """One valid line of an import."""

    #: The line's number, from 1.
    number: int
    #: The fields of the person that the line names.
    values: dict[str, Any]
    #: The keys that identify the person: (name, value).
    keys: tuple[tuple[str, object], ...]
    #: The fields that are no column of the person (see related_fields.py).
    related: dict[str, Any] = field(default_factory=dict)
    #: The username is the email's normal form, because the line has no other key.
    by_email: bool = False


def _text(longest: int) -> Callable[[Any], str]:
    def read(value: Any) -> str:
        text = value if isinstance(value, str) else _scalar(value)
        if len(text) > longest:
            raise ValueError(f"is longer than {longest} characters")
        if _CONTROL.search(text):
            raise ValueError("holds a control character")
        return text.strip()

    return read


def _scalar(value: Any) -> str:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError("must be a text")
    return str(value)


def _address(kind: str, longest: int) -> Callable[[Any], str]:
    as_text = _text(longest)

    def read(value: Any) -> str:
        text = as_text(value)
        return read_address(kind, text) if text else ""

    return read


@functools.lru_cache(maxsize=1024)
def _is_zone(name: str) -> bool:
    try:
        zoneinfo.ZoneInfo(name)
    except (ValueError, OSError, KeyError):  # an unknown name is a KeyError
        return False
    return True


def _zone(value: Any) -> str:
    text = _text(50)(value)
    if text and not _is_zone(text):
        raise ValueError("is not an IANA time zone, e.g. Europe/Paris")
    return text


def _role(value: Any) -> str:
    text = _text(20)(value).lower()
    if text and text not in _ROLES:
        raise ValueError(f"must be one of {', '.join(Role.values)}")
    return text


def _locale(value: Any) -> str:
    text = _text(20)(value)
    if text and not _LOCALE.fullmatch(text):
        raise ValueError("must be a locale such as en or ru_RU")
    return text.replace("-", "_")


def _username(value: Any) -> str:
    text = _text(MAX_USERNAME)(value)
    if text and not _USERNAME.fullmatch(text):
        raise ValueError("may hold letters, digits and @ . + - _ only")
    return text


def _uuid(value: Any) -> UUID | None:
    text = _text(45)(value)
    if not text:
        return None
    try:
        return UUID(text)
    except ValueError as error:
        raise ValueError("is not a UUID") from error


def _flag(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    found = _FLAGS.get(_text(20)(value).lower())
    if found is None:
        raise ValueError("must be true or false")
    return found


def _url(value: Any) -> str:
    text = _text(500)(value)
    if text and (urlsplit(text).scheme not in ("http", "https") or not urlsplit(text).netloc):
        raise ValueError("must begin with http:// or https://")
    return text


def _attributes(value: Any) -> dict[str, Any]:
    if isinstance(value, str):
        try:
            value = json.loads(value) if value.strip() else {}
        except (ValueError, RecursionError) as error:
            raise ValueError("is not JSON") from error
    if not isinstance(value, dict):
        raise ValueError("must be an object")
    wrong = find_unstorable(value)
    if wrong is not None and wrong.code == "too_deep":
        raise ValueError(wrong.detail)
    try:
        written = json.dumps(value, allow_nan=False)
    except ValueError as error:
        raise ValueError("holds a number that is too large") from error
    if len(written) > _MAX_ATTRIBUTES or wrong is not None:
        raise ValueError(
            f"must be under {_MAX_ATTRIBUTES:,} characters of JSON, without NUL and half characters"
        )
    return value


def private_size(value: dict[str, Any]) -> int:
    """Returns the bytes of private attributes as JSON."""
    return len(json.dumps(value, ensure_ascii=False).encode())


def _private_attributes(value: Any) -> dict[str, Any]:
    found = _attributes(value)
    if private_size(found) > MAX_PRIVATE_BYTES:
        raise ValueError(f"must be at most {MAX_PRIVATE_BYTES:,} bytes of JSON")
    return found


_READERS: dict[str, Callable[[Any], Any]] = {
    "uuid": _uuid,
    "external_id": _text(100),
    "username": _username,
    "email": _address("email", 254),
    "first_name": _text(150),
    "last_name": _text(150),
    "role": _role,
    "locale": _locale,
    "timezone": _zone,
    "phone_number": _address("phone", 32),
    "telegram_id": _address("telegram", 32),
    "avatar_url": _url,
    "subscription_tier": _text(30),
    "attributes": _attributes,
    "attributes_private": _private_attributes,
    "is_active": _flag,
    "contact_points": read_contact_points,
    "groups": read_groups,
    "devices": read_devices,
    "data_processing_consent": _flag,
}
RELATED_FIELDS = ("contact_points", "groups", "devices", "data_processing_consent")
COLUMNS = frozenset(_READERS)
_UNCHANGED_WHEN_BLANK = frozenset(
    {
        "role",
        "locale",
        "timezone",
        "is_active",
        "subscription_tier",
        "attributes",
        "attributes_private",
        "contact_points",
        "groups",
        "devices",
        "data_processing_consent",
    }
)
_KEYS = ("uuid", "external_id", "username")


def read_line(number: int, record: dict[str, Any]) -> Line:
    """Checks a line and returns its values.

    A field that is null counts as not named. So does a blank field that cannot be empty.

    Raises:
        LineFault: with every field that is wrong.
    """
    values: dict[str, Any] = {}
    wrong: list[tuple[str, str]] = []
    for name, value in flattened(record, wrong).items():
        reader = _READERS.get(name)
        if reader is None:
            wrong.append((name, "is not a known field"))
        elif value is not None and not (value == "" and name in _UNCHANGED_WHEN_BLANK):
            try:
                values[name] = reader(value)
            except ValueError as error:
                wrong.append((name, str(error)))
    by_email = not wrong and _identify(values, wrong)
    if wrong:
        raise LineFault(wrong)
    keys = tuple((name, values[name]) for name in _KEYS if values.get(name))
    related = {name: values.pop(name) for name in RELATED_FIELDS if name in values}
    return Line(number, values, keys, related, by_email)


def _identify(values: dict[str, Any], wrong: list[tuple[str, str]]) -> bool:
    """Removes empty keys and uses the email address as the username where there is no key.

    Returns whether it used the email address.
    """
    for name in _KEYS:
        if not values.get(name):
            values.pop(name, None)
    if any(name in values for name in _KEYS):
        return False
    if not values.get("email"):
        wrong.append(("one of", "uuid, external_id, username or email must say who this is"))
        return False
    values["username"] = normalise_address(ContactKind.EMAIL, values["email"])
    if len(values["username"]) > MAX_USERNAME:
        wrong.append(("username", f"is needed: the email has over {MAX_USERNAME} characters"))
    return True
