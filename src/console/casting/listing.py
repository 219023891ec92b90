"""Lists that are filtered by state, the newest row first."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from django.db.models import QuerySet
from django.utils.translation import gettext as _

from console import words
from console.guard import Visit, may_open
from console.paging import PAGE_ROWS, after_of, listed, page_links
from console.shell import url_with


class StatusLink(NamedTuple):
    """One state of a list, as a link."""

    name: str
    url: str
    is_current: bool


def status_links(path: str, statuses: Iterable[str], chosen: str) -> list[StatusLink]:
    """Returns the filters of a list by state."""
    links = [StatusLink(_("All"), path, not chosen)]
    links += [
        StatusLink(words.state(each), url_with(path, status=each), each == chosen)
        for each in statuses
    ]
    return links


def chosen_status(visit: Visit, statuses: Iterable[str]) -> str:
    """Returns the state that the query names; empty for all, or one that does not exist."""
    given = visit.given("status")
    return given if given in set(statuses) else ""


def newest_first(
    visit: Visit,
    rows: QuerySet[Any],
    statuses: Sequence[str],
    path: str,
    *,
    also: Mapping[str, Mapping[str, str]] | None = None,
) -> dict[str, Any]:
    """Returns a page of rows, the newest first, with the links of its states and pages.

    also: filters that are no single state, by name: the columns and their values.
    """
    more = also or {}
    statuses = [*statuses, *more]
    chosen = chosen_status(visit, statuses)
    rows = rows.filter(**more.get(chosen, {"status": chosen})) if chosen else rows
    if after := after_of(visit):
        rows = rows.filter(pk__lt=after)
    found = list(rows.order_by("-pk")[: PAGE_ROWS + 1])
    return {
        **listed(visit, path, found, lambda row: row.pk, {"status": chosen}),
        "statuses": status_links(path, statuses, chosen),
    }


class Searched(NamedTuple):
    """What a search for a person found."""

    text: str = ""
    #: What is wrong with the search, as a sentence.
    fault: str = ""
    #: Why people who were found are not among the rows, as sentences.
    others: Sequence[str] = ()


def recipients_shown(
    visit: Visit,
    rows: Sequence[tuple[Any, Any]],
    *,
    path: str,
    statuses: Sequence[str],
    next_after: int | None,
    searched: Searched,
) -> dict[str, Any]:
    """Returns what a page of recipients shows. rows: each with the id of its notification."""
    chosen = "" if searched.text else chosen_status(visit, statuses)
    return {
        "rows": rows,
        "find": searched.text,
        "fault": searched.fault,
        "others": searched.others,
        "statuses": status_links(path, statuses, chosen),
        "links": page_links(visit, path, {"status": chosen}, next_after=next_after),
        "clear": path if searched.text else "",
        "may_see_people": may_open(visit, "console/people"),
    }
