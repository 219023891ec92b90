"""The page that shows every component of the console, with the tokens that it is made of."""

from __future__ import annotations

from django.http import HttpResponse

from console.guard import Visit
from console.shell import page
from notifications.domain.lifecycle import MessageStatus

TOKENS = (
    "surface",
    "surface-raised",
    "text",
    "text-quiet",
    "border",
    "accent",
    "accent-text",
    "good",
    "bad",
    "waiting",
)


def styleguide(visit: Visit) -> HttpResponse:
    """Shows the components."""
    context = {"tokens": TOKENS, "states": [each.value for each in MessageStatus]}
    return page(visit, "styleguide.html", context, section="")
