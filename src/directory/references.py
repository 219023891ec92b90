"""How a person is named: our integer, our uuid, or the platform's external_id.

Each kind is told by its form alone, and a text of digits is none of them: it may be the platform's
number as well as ours.
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
    """The id by which the platform knows a person."""

    value: str

    def __str__(self) -> str:
        return f"{PREFIX}{self.value}"


PersonKey = int | UUID | ExternalId


def read_person(value: object, *, written: bool = False) -> PersonKey | None:
    """The key in a value of a body; None when it is none.

    written: the value is of a path, a query or a command line, where a number can only be a text.
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
    """Why two fields name nobody: the field that is wrong, an error code, what to do."""

    field: str
    code: str
    detail: str


def read_person_fields(
    user_id: object, external_id: object, *, written: bool = False
) -> PersonKey | InvalidPersonFields | None:
    """Whom the fields `user_id` and `external_id` of a request name together; None where both are
    left out, InvalidPersonFields (invalid, invalid_user, invalid_external_id) where they name nobody.

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
    """The external_id in a field of that name; None when it is none."""
    if not isinstance(value, str) or not 0 < len(value) <= LONGEST_EXTERNAL_ID:
        return None
    return ExternalId(value) if is_storable(value) else None


def key_text(key: PersonKey) -> int | str:
    """The key as an answer shows it, and as a caller may give it again."""
    return key if isinstance(key, int) else str(key)
