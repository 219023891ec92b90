"""Finds many people at once by any of the names that the platform uses for them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any
from uuid import UUID

from django.db.models import Q

from directory.models import ContactPoint, User
from directory.models.contact import ContactKind
from directory.references import PREFIX, ExternalId, PersonKey, read_person
from directory.texts import is_storable

_AT_ONCE = 500
Reference = PersonKey | str
"""A person: a key, or a text that is the external_id or the username of exactly one person."""


def of_staff(prefix: str = "") -> Q:
    """Returns the condition that a user is a member of staff. prefix: such as `user__`."""
    marks: dict[str, object] = {"is_staff": True, "is_superuser": True, "staff_role__isnull": False}
    found = Q()
    for name, value in marks.items():
        found |= Q(**{f"{prefix}{name}": value})
    return found


IS_STAFF = of_staff()


def is_staff_row(user: User) -> bool:
    """Returns whether a user is a member of staff: by the role, or by one of Django's flags."""
    return user.staff_role is not None or user.is_staff or user.is_superuser


def read_reference(value: object, *, written: bool = False) -> Reference | None:
    """Reads the reference in a value of a file or a body; returns None for any other value.

    written: digits are our id, as in a query. In a file or a body they are the platform's id.
    """
    key = read_person(value, written=written)
    if key is not None:
        return key
    text = value.strip() if isinstance(value, str) else ""
    if not text or len(text) > 150 or not is_storable(text) or text.startswith(PREFIX):
        return None
    return read_person(text, written=written) or text


def people_by_email(addresses: Iterable[str]) -> dict[str, list[int]]:
    """Returns the ids of the people who have each address, a normal one, in ascending order."""
    wanted = sorted(set(addresses))
    found: dict[str, list[int]] = {}
    for start in range(0, len(wanted), _AT_ONCE):
        points = ContactPoint.objects.filter(
            kind=ContactKind.EMAIL, address__in=wanted[start : start + _AT_ONCE]
        )
        for point in points.order_by("user_id"):
            found.setdefault(point.address, []).append(point.user_id)
    return found


def staff_among(ids: Iterable[int]) -> set[int]:
    """Returns the ids of those people who are members of staff, by one query for every 500."""
    wanted = sorted(set(ids))
    found: set[int] = set()
    for start in range(0, len(wanted), _AT_ONCE):
        rows = User.objects.filter(IS_STAFF, pk__in=wanted[start : start + _AT_ONCE])
        found.update(rows.values_list("pk", flat=True))
    return found


def find_people(references: Iterable[Reference]) -> dict[Reference, int]:
    """Returns the ids of the people who exist, by reference.

    It makes one query for every 500 references of one sort. A text that is the username of one
    person and the external_id of another names no person.
    """
    wanted = set(references)
    texts = sorted(r for r in wanted if isinstance(r, str))
    named, known = _ids_by("username", texts), _ids_by("external_id", texts)
    theirs = _ids_by("external_id", sorted(r.value for r in wanted if isinstance(r, ExternalId)))
    found: dict[Reference, int] = {
        **_ids_by("pk", sorted(r for r in wanted if isinstance(r, int))),
        **_ids_by("uuid", [r for r in wanted if isinstance(r, UUID)]),
        **{ExternalId(name): user for name, user in theirs.items()},
    }
    for text in texts:
        meant = {table[text] for table in (named, known) if text in table}
        if len(meant) == 1:
            found[text] = meant.pop()
    return found


def _ids_by(field: str, values: Sequence[Any]) -> dict[Any, int]:
    found: dict[Any, int] = {}
    for start in range(0, len(values), _AT_ONCE):
        rows = User.objects.filter(**{f"{field}__in": values[start : start + _AT_ONCE]})
        if field == "username":
            found.update((user.username, user.pk) for user in rows)
        else:
            found.update(rows.values_list(field, "pk"))
    return found
