"""The navigation: the pages that a role opens, in groups."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy, pgettext_lazy

from console.guard import Visit, may_open

Text = str | Promise
GROUPS: Sequence[tuple[Text, Sequence[tuple[str, Text]]]] = (
    (
        pgettext_lazy("navigation", "At a glance"),
        (("", gettext_lazy("Overview")), ("analytics", gettext_lazy("Analytics"))),
    ),
    (
        pgettext_lazy("navigation", "People"),
        (
            ("people", gettext_lazy("People")),
            ("lists", gettext_lazy("Lists")),
            ("segments", gettext_lazy("Segments")),
        ),
    ),
    (
        pgettext_lazy("navigation", "Content"),
        (
            ("templates", gettext_lazy("Templates")),
            ("categories", gettext_lazy("Categories")),
            ("experiments", gettext_lazy("A/B tests")),
        ),
    ),
    (
        pgettext_lazy("navigation", "Sending"),
        (
            ("notifications", gettext_lazy("Notifications")),
            ("broadcasts", gettext_lazy("Broadcasts")),
            ("campaigns", gettext_lazy("Campaigns")),
            ("series", gettext_lazy("Series")),
            ("schedules", gettext_lazy("Schedules")),
        ),
    ),
    (
        pgettext_lazy("navigation", "Operations"),
        (
            ("dead-letters", gettext_lazy("Dead letters")),
            ("queues", gettext_lazy("Queues")),
            ("providers", gettext_lazy("Providers")),
            ("stops", gettext_lazy("Stops")),
            ("webhooks", gettext_lazy("Webhooks")),
        ),
    ),
    (
        pgettext_lazy("navigation", "Access and records"),
        (
            ("keys", gettext_lazy("API keys")),
            ("staff", gettext_lazy("Staff")),
            ("audit", gettext_lazy("Audit log")),
            ("retention", gettext_lazy("Storage by age")),
        ),
    ),
)
"""Each group with its pages: the path below /console, and the name. The first page has none."""


class Section(NamedTuple):
    """An entry of the navigation."""

    url: str
    name: Text
    is_current: bool


class SectionGroup(NamedTuple):
    """Entries under one heading."""

    name: Text
    sections: list[Section]


def groups_for(visit: Visit, current: str) -> list[SectionGroup]:
    """Returns the groups of pages that the visitor's role opens; a group without any is left out.

    current: the path of the page's section below /console, or overview; empty for none.
    """
    found = []
    for name, pages in GROUPS:
        sections = [
            Section(f"/{path}", title, (key or "overview") == current)
            for key, title in pages
            if may_open(visit, path := f"console/{key}".rstrip("/"))
        ]
        if sections:
            found.append(SectionGroup(name, sections))
    return found
