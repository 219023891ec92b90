"""The keys of a person: our integer id, our uuid, or the platform's external_id.

The form of a key alone shows its kind. A text of digits is no key, because it may be the
platform's number as well as ours.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from uuid import UUID

from directory.texts import is_storable

PREFIX = "ext:"
LONGEST_EXTERNAL_ID = 100
PERSON_FORMS = 'an integer id, a UUID, or "ext:" and your external_id'
_HIGHEST_ID = (1 << 63) - 1
_UUID = re.compile(r"[0-9a-fA-F]{8}(-?[0-9a-fA-F]{4}){3}-?[0-9a-fA-F]{12}")


@dataclass(frozen=True, slots=True, order=True)
class ExternalId:
    """The id of a person on the platform."""

    value: str

    def __str__(self) -> str:
        return f"{PREFIX}{self.value}"


PersonKey = int | UUID | ExternalId


def read_person(value: object, *, written: bool = False) -> PersonKey | None:
    """Reads the key of a person from a field's value; returns None for any other value.

    written: the value comes from a path, a query or a command line, where a number is a text.
    """
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return value if 0 < value <= _HIGHEST_ID else None
    if isinstance(value, UUID | ExternalId):
        return value
    if not isinstance(value, str):
        return None
    if value.startswith(PREFIX):
        return external_id_of(value.removeprefix(PREFIX))
    if _UUID.fullmatch(value):
        return UUID(value)
    if written and value.isascii() and value.isdigit() and len(value) < 19:
        return int(value) or None
    return None


@dataclass(frozen=True, slots=True)
class InvalidPersonFields:
    """The fields `user_id` and `external_id` do not name a person."""

    #: The field that is wrong.
    field: str
    #: invalid, invalid_user or invalid_external_id.
    code: str
    #: What to do about it.
    detail: str


def read_person_fields(
    user_id: object, external_id: object, *, written: bool = False
) -> PersonKey | InvalidPersonFields | None:
    """Reads the person that the fields `user_id` and `external_id` of a request name.

    Returns None where both fields are missing, and InvalidPersonFields where they name no person.

    written: as for `read_person`.
    """
    if external_id is None:
        if user_id is None:
            return None
        key = read_person(user_id, written=written)
        return key or InvalidPersonFields(
            "user_id", "invalid_user", f"user_id must be {PERSON_FORMS}"
        )
    if user_id is not None:
        return InvalidPersonFields(
            "external_id", "invalid", "give user_id or external_id, not both"
        )
    limit = f"external_id must be a text of 1 to {LONGEST_EXTERNAL_ID} characters"
    named = external_id_of(external_id)
    return named or InvalidPersonFields("external_id", "invalid_external_id", limit)


def external_id_of(value: object) -> ExternalId | None:
    """Reads the value of an `external_id` field; returns None where it is not valid."""
    if not isinstance(value, str) or not 0 < len(value) <= LONGEST_EXTERNAL_ID:
        return None
    return ExternalId(value) if is_storable(value) else None


def key_text(key: PersonKey) -> int | str:
    """Returns the key as responses show it; a caller may send it back in this form."""
    return key if isinstance(key, int) else str(key)
