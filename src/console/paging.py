"""Pages of lists: a link leads to the rows after the last key, and one back to the first page."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

from console.guard import Visit
from console.shell import url_with
from notifications.domain.identifiers import parse_key

Row = TypeVar("Row")
PAGE_ROWS = 50
"""The most rows of a page."""


class PageLinks(NamedTuple):
    """The links below a list; empty where there is no such page."""

    first: str
    following: str


def after_of(visit: Visit) -> int:
    """Returns the key after which the page begins; 0 for the first page."""
    return parse_key(visit.request.GET.get("after", "")) or 0


def page_links(
    visit: Visit, path: str, filters: Mapping[str, object], *, next_after: int | None
) -> PageLinks:
    """Returns the links of a list. next_after: the key of the next page; None at the end."""
    first = url_with(path, **filters) if after_of(visit) else ""
    following = url_with(path, **{**filters, "after": next_after}) if next_after else ""
    return PageLinks(first=first, following=following)


def cut(
    rows: Sequence[Row], key: Callable[[Row], int], *, most: int = PAGE_ROWS
) -> tuple[Sequence[Row], int | None]:
    """Returns the rows of a page, and the key after which the next one begins, if there is one.

    rows: one more than a page where there is a next page.
    """
    shown = rows[:most]
    return shown, key(shown[-1]) if len(rows) > most else None


def listed(
    visit: Visit,
    path: str,
    found: Sequence[Row],
    key: Callable[[Row], int],
    filters: Mapping[str, object] | None = None,
) -> dict[str, Any]:
    """Returns the rows of a list, and its links.

    found: one more than a page where there is a next page. key: what `after` names of a row.
    """
    rows, following = cut(found, key)
    return {"rows": rows, "links": page_links(visit, path, filters or {}, next_after=following)}
