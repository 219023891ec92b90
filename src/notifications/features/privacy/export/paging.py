"""Pages of an export: some rows of one section, and where the next page begins."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from django.db.models import Model, Q, QuerySet

from directory.models import User

AT_ONCE = 100
"""Rows of a page. A notification may hold a context of some kilobytes."""
_WALKED = 1_000
_Item = dict[str, Any]


@dataclass(frozen=True, slots=True)
class ExportedPerson:
    """Whose data is exported."""

    user: User
    #: Whether the person requested it. Another's export leaves out codes and security messages.
    own: bool


class ExportPage(NamedTuple):
    """Some rows of a section."""

    items: list[_Item]
    #: Where the next page begins; None after the last one.
    after: str | None = None


class ExportSection(NamedTuple):
    """A section of an export."""

    name: str
    #: Returns the page that begins after a position; the first position is empty.
    page: Callable[[ExportedPerson, str], ExportPage]


def columns(row: Model, names: str) -> _Item:
    """Returns the values of columns, which are named in one text."""
    return {name: getattr(row, name) for name in names.split()}


def by_key(
    rows: QuerySet[Any], after: str, item: Callable[[Any], _Item], *, key: str = "pk"
) -> ExportPage:
    """Returns a page of rows in the order of their integer key."""
    found = list(rows.filter(**{f"{key}__gt": int(after or -1)}).order_by(key)[:AT_ONCE])
    return _page_of(found, [item(row) for row in found], key)


def by_time(
    rows: QuerySet[Any], after: str, items: Callable[[Sequence[Any]], list[_Item]]
) -> ExportPage:
    """Returns a page of rows in the order of their creation, as the index of the inbox has them."""
    if after:
        text, _, key = after.partition("|")
        at = datetime.fromisoformat(text)
        later = Q(created_at__gt=at) | Q(created_at=at, pk__gt=int(key))
        rows = rows.filter(later, created_at__gte=at)
    found = list(rows.order_by("created_at", "pk")[:AT_ONCE])
    last = f"{found[-1].created_at.isoformat()}|{found[-1].pk}" if len(found) == AT_ONCE else None
    return ExportPage(items(found), last)


def walked(
    rows: QuerySet[Any], after: str, items: Callable[[Any], Iterable[_Item]], *, key: str = "pk"
) -> ExportPage:
    """Returns what a page of a whole table holds about the person: no index finds their rows."""
    part = rows.filter(**{f"{key}__gt": after}) if after else rows
    found = list(part.order_by(key)[:_WALKED])
    last = str(getattr(found[-1], key)) if len(found) == _WALKED else None
    return ExportPage([item for row in found for item in items(row)], last)


def _page_of(found: list[Any], items: list[_Item], key: str) -> ExportPage:
    return ExportPage(items, str(getattr(found[-1], key)) if len(found) == AT_ONCE else None)
