"""The page of one template, and the changes between two of its versions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from django.http import HttpResponse
from django.utils.translation import gettext as _

from console import words
from console.authoring.listing import state_of, state_words
from console.authoring.texts import locales_of, may_write
from console.faults import said
from console.guard import Visit, may_open
from console.once import new_token
from console.paging import after_of, page_links
from console.shell import page, url_with
from notifications.domain.errors import NotFound
from notifications.domain.identifiers import parse_key
from notifications.features.templates.report_schemas import TextDiff
from notifications.features.templates.service import TemplateService

VERSIONS = 10
"""The versions of a page: each has all of its texts."""
_HUNK = "@@"


class DiffRow(NamedTuple):
    """A line of a comparison: what stood there, and what stands there now."""

    #: equal, changed, or gap between two places.
    kind: str
    old: str | None
    new: str | None


class ShownDiff(NamedTuple):
    """The change of one text."""

    name: str
    field: str
    locale: str
    rows: Sequence[DiffRow]
    unified: str


def template(visit: Visit, number: int, *, is_conflict: bool = False) -> HttpResponse:
    """Shows one template. is_conflict: a form was refused because it had changed."""
    service = TemplateService()
    row = service.get(identifier=number, caller=visit.caller)
    after = after_of(visit)
    found = service.versions(
        identifier=number, caller=visit.caller, after=after, limit=VERSIONS + 1
    )
    versions = found[:VERSIONS]
    path = f"/console/templates/{number}"
    is_sendable = row.version is not None and row.is_active and "*" not in row.path
    context = {
        "row": row,
        "state": state_of(row),
        "state_name": state_words(state_of(row)),
        "locales": locales_of(row),
        "versions": versions,
        "links": page_links(
            visit, path, {}, next_after=versions[-1].number if len(found) > VERSIONS else None
        ),
        "may_write": may_write(visit, row),
        "may_test": is_sendable and may_open(visit, "console/templates/<int:number>/test"),
        "once": new_token(),
        "history": url_with("/console/notifications", template=row.path)
        if may_open(visit, "console/notifications")
        else "",
        "is_conflict": is_conflict,
    }
    status = 409 if is_conflict else 200
    return page(visit, "authoring/template.html", context, section="templates", status=status)


def diff(visit: Visit, number: int) -> HttpResponse:
    """Shows the changes between two versions; without numbers those of the draft."""
    old, new = (parse_key(visit.given(name)) or 0 for name in ("from", "to"))
    service = TemplateService()
    row = service.get(identifier=number, caller=visit.caller)
    fault, texts, names = "", list[ShownDiff](), ("", "")
    try:
        found = service.diff(identifier=number, caller=visit.caller, from_number=old, to_number=new)
    except NotFound as error:
        fault = said(error)
    else:
        texts = [shown_diff(each) for each in found.texts]
        names = (_version_name(found.from_version, _("nothing")), _draft_name(found.to_version))
    is_unified = visit.given("view") == "unified"
    here = f"/console/templates/{number}/diff"
    context = {
        "row": row,
        "fault": fault,
        "texts": texts,
        "old": names[0],
        "new": names[1],
        "is_unified": is_unified,
        "other_view": url_with(
            here, **{"from": old, "to": new, "view": "" if is_unified else "unified"}
        ),
    }
    status = 404 if fault else 200
    return page(visit, "authoring/diff.html", context, section="templates", status=status)


def shown_diff(text: TextDiff) -> ShownDiff:
    """Returns a unified diff as lines that stand side by side."""
    return ShownDiff(
        words.channel(text.channel), text.field, text.locale, side_by_side(text.diff), text.diff
    )


def side_by_side(unified: str) -> list[DiffRow]:
    """Returns the lines of a unified diff in two columns; removed and added ones in pairs."""
    rows: list[DiffRow] = []
    old: list[str] = []
    new: list[str] = []

    def pair() -> None:
        for at in range(max(len(old), len(new))):
            left = old[at] if at < len(old) else None
            right = new[at] if at < len(new) else None
            rows.append(DiffRow("changed", left, right))
        old.clear()
        new.clear()

    for line in unified.split("\n"):
        if line.startswith("-"):
            if new:  # the next change begins
                pair()
            old.append(line[1:])
        elif line.startswith("+"):
            new.append(line[1:])
        else:
            pair()
            kind = "gap" if line.startswith(_HUNK) else "equal"
            text = line if kind == "gap" else line[1:]
            rows.append(DiffRow(kind, text, text))
    pair()
    return rows


def _version_name(number: int | None, otherwise: str) -> str:
    return otherwise if number is None else _("version %(number)d") % {"number": number}


def _draft_name(number: int | None) -> str:
    return _version_name(number, _("the draft"))
