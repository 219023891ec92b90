"""The list of notifications. Every filter is a link, so it works without scripts."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from django.http import HttpResponse
from django.utils.formats import date_format
from django.utils.timezone import localtime
from django.utils.translation import gettext as _

from console import words
from console.categories import category_keys
from console.faults import said
from console.guard import Visit, may_open
from console.paging import PAGE_ROWS, after_of, page_links
from console.shell import page, url_with
from notifications.domain.errors import CarillonError
from notifications.domain.identifiers import parse_key
from notifications.features.sending.queries import CHANNELS, STATUSES, NotificationPage
from notifications.features.sending.service import NotificationService

PATH = "/console/notifications"
_TEXTS = ("template", "source", "correlation_id")


class FilterLink(NamedTuple):
    """One value of a filter."""

    name: str
    url: str
    is_current: bool


class FilterGroup(NamedTuple):
    """One filter, with a link for each of its values."""

    title: str
    links: Sequence[FilterLink]


def listing(visit: Visit) -> HttpResponse:
    """Shows notifications, the newest first."""
    categories = category_keys()
    filters = _filters(visit, categories)
    fault, found = "", NotificationPage([], None, None)
    try:
        found = NotificationService().list(
            caller=visit.caller, filters=filters, after=after_of(visit), limit=PAGE_ROWS
        )
    except CarillonError as error:
        fault = said(error)
    context = {
        "rows": found.rows,
        "fault": fault,
        "filters": filters,
        "groups": _groups(filters, categories),
        "texts": [(name, _label(name), filters.get(name, "")) for name in _TEXTS],
        "removable": _removable(filters),
        "hidden": [(name, value) for name, value in filters.items() if name not in _TEXTS],
        "links": page_links(visit, PATH, filters, next_after=found.next_below),
        "scanned_until": found.scanned_until,
        "clear": PATH if filters else "",
        "may_see_people": may_open(visit, "console/people"),
    }
    status = 400 if fault else 200
    return page(visit, "notifications.html", context, section="notifications", status=status)


def _filters(visit: Visit, categories: Sequence[str]) -> dict[str, Any]:
    """Returns the filters of the query; a value that a link cannot have made is left out."""
    known = {"status": STATUSES, "channel": CHANNELS, "category": categories}
    found: dict[str, Any] = {}
    for name, values in known.items():
        if (given := visit.given(name)) in values:
            found[name] = given
    for name in _TEXTS:
        if given := visit.given(name):
            found[name] = given
    if user := parse_key(visit.given("user")):
        found["user"] = user
    for name in ("from", "to"):
        if moment := visit.given(name):
            found[name] = moment
    return found


def _groups(filters: Mapping[str, Any], categories: Iterable[str]) -> list[FilterGroup]:
    return [
        FilterGroup(_("State"), filter_links(PATH, filters, "status", STATUSES, words.state)),
        FilterGroup(_("Channel"), filter_links(PATH, filters, "channel", CHANNELS, words.channel)),
        FilterGroup(_("Category"), filter_links(PATH, filters, "category", categories, str)),
    ]


def filter_links(
    path: str,
    filters: Mapping[str, Any],
    name: str,
    values: Iterable[str],
    shown: Callable[[str], str],
) -> list[FilterLink]:
    """Returns a link for each value of a filter, and one for all of them.

    path: that of the list. filters: those in force. shown: returns a value in words.
    """
    chosen = filters.get(name, "")
    links = [FilterLink(_("All"), url_with(path, **{**filters, name: ""}), not chosen)]
    for value in values:
        url = url_with(path, **{**filters, name: str(value)})
        links.append(FilterLink(shown(str(value)), url, value == chosen))
    return links


def _removable(filters: Mapping[str, Any]) -> list[FilterLink]:
    """Returns the filters that only links of other pages set; each leads to the list without it."""
    labels = {"user": _("Person"), "from": _("Accepted since"), "to": _("Accepted before")}
    return [
        FilterLink(
            f"{label}: {_shown(filters[name])}", url_with(PATH, **{**filters, name: ""}), True
        )
        for name, label in labels.items()
        if name in filters
    ]


def _shown(value: object) -> str:
    """Returns a value for people: a time in the zone of the visitor."""
    try:
        moment = datetime.fromisoformat(str(value))
    except ValueError:
        return str(value)
    return date_format(localtime(moment), "DATETIME_FORMAT") if moment.tzinfo else str(value)


def _label(name: str) -> str:
    labels = {
        "template": _("Template path"),
        "source": _("Source, such as key:7"),
        "correlation_id": _("Request id"),
    }
    return labels[name]
