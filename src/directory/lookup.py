"""Finds many people at once by whatever the platform calls them."""

from __future__ import annotations

from collections.abc import Iterable
from uuid import UUID

from directory.models import User

_AT_ONCE = 500
Reference = int | UUID | str
"""A person: our id, our uuid, or a text that is the platform's external_id, else a username."""


def read_reference(value: object) -> Reference | None:
    """The reference in a value of a file or a body; None when it can be none."""
    if isinstance(value, bool) or value is None:
        return None
    if isinstance(value, int):
        return value if 0 < value < 1 << 63 else None
    if isinstance(value, UUID):
        return value
    text = str(value).strip()
    if not text or len(text) > 150 or "\x00" in text:
        return None
    if text.isascii() and text.isdigit() and len(text) < 19:
        return int(text)
    try:
        return UUID(text) if len(text) >= 32 else text
    except ValueError:
        return text


def find_people(references: Iterable[Reference]) -> dict[Reference, int]:
    """The ids of those who exist, by reference; a query for every 500 of a sort."""
    wanted = set(references)
    found: dict[Reference, int] = {}
    for field, some in (
        ("pk", sorted(r for r in wanted if isinstance(r, int))),
        ("uuid", [r for r in wanted if isinstance(r, UUID)]),
        ("username", sorted(r for r in wanted if isinstance(r, str))),
        ("external_id", sorted(r for r in wanted if isinstance(r, str))),  # outranks a username
    ):
        for start in range(0, len(some), _AT_ONCE):
            rows = User.objects.filter(**{f"{field}__in": some[start : start + _AT_ONCE]})
            found.update(rows.values_list(field, "pk"))
    return found
