"""The list of templates. Every filter is a link, so it works without scripts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from django.http import HttpResponse
from django.utils.translation import gettext as _

from console import words
from console.authoring.texts import locales_of
from console.categories import category_keys
from console.guard import Visit, may_open
from console.notices.listing import FilterGroup, filter_links
from console.paging import PAGE_ROWS, after_of, page_links
from console.shell import page
from notifications.domain.channels import Channel
from notifications.features.templates.schemas import TemplateResponse
from notifications.features.templates.service import STATES, TemplateService

PATH = "/console/templates"
_CHANNELS = [each.value for each in Channel]


class TemplateRow(NamedTuple):
    """A row of the list."""

    row: TemplateResponse
    locales: Sequence[str]
    state: str


def templates(visit: Visit) -> HttpResponse:
    """Shows templates by key."""
    categories = category_keys()
    filters = _filters(visit, categories)
    found = TemplateService().templates(
        caller=visit.caller, after=after_of(visit), limit=PAGE_ROWS + 1, **filters
    )
    rows = found[:PAGE_ROWS]
    following = rows[-1].id if len(found) > PAGE_ROWS else None
    context = {
        "rows": [TemplateRow(each, locales_of(each), state_of(each)) for each in rows],
        "groups": [
            FilterGroup(_("State"), filter_links(PATH, filters, "state", STATES, state_words)),
            FilterGroup(
                _("Channel"), filter_links(PATH, filters, "channel", _CHANNELS, words.channel)
            ),
            FilterGroup(_("Category"), filter_links(PATH, filters, "category", categories, str)),
        ],
        "path": filters.get("path", ""),
        "hidden": [(name, value) for name, value in filters.items() if name != "path"],
        "links": page_links(visit, PATH, filters, next_after=following),
        "clear": PATH if filters else "",
        "may_create": may_open(visit, "console/templates/new"),
    }
    return page(visit, "authoring/templates.html", context, section="templates")


def state_of(row: TemplateResponse) -> str:
    """Returns the state of a template: inactive, or that of its draft."""
    return row.status if row.is_active else "inactive"


def state_words(state: str) -> str:
    """Returns a state in words."""
    names = {"draft": _("draft"), "published": _("published"), "inactive": _("switched off")}
    return names[state]


def _filters(visit: Visit, categories: Sequence[str]) -> dict[str, str]:
    """Returns the filters of the query; a value that a link cannot have made is left out."""
    known: Mapping[str, Iterable[str]] = {
        "state": STATES,
        "channel": _CHANNELS,
        "category": categories,
    }
    found = {
        name: given for name, values in known.items() if (given := visit.given(name)) in values
    }
    if path := visit.given("path"):
        found["path"] = path
    return found
