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
HOW = 'an integer id, a UUID, or "ext:" and your external_id'
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


def external_id_of(value: object) -> ExternalId | None:
    """The external_id in a field of that name; None when it is none."""
    if not isinstance(value, str) or not 0 < len(value) <= LONGEST_EXTERNAL_ID:
        return None
    return ExternalId(value) if is_storable(value) else None


def shown(key: PersonKey) -> int | str:
    """The key as an answer shows it, and as a caller may give it again."""
    return key if isinstance(key, int) else str(key)
