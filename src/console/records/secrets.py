"""Texts that are shown once: those of keys, and secrets that sign."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from django.http import HttpResponse

from console.guard import Visit
from console.once import run_once
from console.shell import act, page


@dataclass(frozen=True, slots=True, kw_only=True)
class NewSecret:
    """Something that was made, with its text."""

    #: The number of the row that it belongs to.
    number: int
    name: str
    text: str


def show_once(
    visit: Visit,
    work: Callable[[], NewSecret],
    *,
    body: Mapping[str, Any],
    back: str,
    done: str,
    section: str,
) -> HttpResponse:
    """Makes a secret and shows it in the response, which no browser stores.

    A form that is sent again makes nothing, and leads back. body: what the form asks for; done:
    that it was made before, as a sentence; back: the page of the form, and of an error.
    """
    made: list[NewSecret] = []

    def remembered() -> str:
        made.append(work())
        return str(made[0].number)

    def ran() -> str:
        run_once(visit, visit.request.path, body, remembered)
        return "" if made else done  # its own page says that it was made

    answer = act(visit, ran, back=back)
    if not made:
        return answer
    context = {"made": made[0], "back": back}
    return page(visit, "records/secret.html", context, section=section)
