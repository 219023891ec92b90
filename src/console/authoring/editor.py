"""The editor of a template's texts in one language, and the checks that it asks for."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from django.contrib import messages
from django.http import HttpResponse, HttpResponseRedirect
from django.utils.translation import gettext as _

from console.authoring.texts import (
    FIELDS,
    changes_of,
    given_texts,
    language_tag,
    locales_of,
    may_write,
    seen_at,
    text_groups,
    texts_in,
)
from console.faults import is_changed, said, status_of
from console.guard import Visit
from console.sentences.translating import translated
from console.shell import EDITOR_POLICY, page, url_with
from notifications.domain.errors import CarillonError, InvalidRequest
from notifications.features.access.throttles import count_call
from notifications.features.templates.body import MAX_LOCALES
from notifications.features.templates.drafts import NAMES_OF_FILTERS, NAMES_OF_VARIABLES
from notifications.features.templates.schemas import TemplateResponse
from notifications.features.templates.service import TemplateService
from notifications.infra import clock

CHECKS_A_MINUTE = 60
_THEN = {"preview": "preview", "publish": "publish"}
_LONGEST_LOCALE = 20


def edit(visit: Visit, number: int) -> HttpResponse:
    """Shows the texts in one language; saves them where the form was sent."""
    row = TemplateService().get(identifier=number, caller=visit.caller)
    locale = visit.given("locale", longest=_LONGEST_LOCALE) or row.default_locale
    if not visit.is_post:
        return _page(visit, row, locale, texts_in(row, locale), seen=row.updated_at.isoformat())
    texts = given_texts(visit)
    try:
        TemplateService().update(
            identifier=number,
            body=changes_of(row, locale, texts),
            caller=visit.caller,
            seen=seen_at(visit),
        )
    except CarillonError as error:
        return _page(visit, row, locale, texts, seen=visit.given("seen", longest=40), error=error)
    messages.success(visit.request, _("The draft is saved."))
    home = f"/console/templates/{number}"
    then = _THEN.get(visit.given("then"), "")
    if then:
        return HttpResponseRedirect(f"{home}/{then}")
    return HttpResponseRedirect(url_with(f"{home}/edit", locale=locale))


def count_check(visit: Visit) -> None:
    """Counts a check of all texts: while they are written, or before they are published.

    Raises:
        Throttled: there were as many within a minute.
    """
    count_call("template-lint", visit.caller, most=CHECKS_A_MINUTE, now=clock.now())


def lint(visit: Visit, number: int) -> HttpResponse:
    """Checks the texts as they are being written, and saves nothing. Returns JSON."""
    try:
        count_check(visit)
        row = TemplateService().get(identifier=number, caller=visit.caller)
        locale = visit.given("locale", longest=_LONGEST_LOCALE) or row.default_locale
        found = TemplateService().validate(
            identifier=number,
            body=changes_of(row, locale, given_texts(visit)),
            caller=visit.caller,
        )
    except CarillonError as error:
        return _json({"fault": said(error)}, status=status_of(error))
    faults = [
        {
            "field": _field_of(each.path, row, locale),
            "detail": translated(each.detail),
            "line": each.line,
            "column": each.column,
        }
        for each in found.errors
    ]
    return _json({"faults": faults, "warnings": found.warnings})


def _json(value: Mapping[str, Any], *, status: int = 200) -> HttpResponse:
    response = HttpResponse(
        msgspec.json.encode(value), content_type="application/json", status=status
    )
    response["Cache-Control"] = "no-store"
    return response


def _page(
    visit: Visit,
    row: TemplateResponse,
    locale: str,
    texts: Mapping[str, str],
    *,
    seen: str,
    error: CarillonError | None = None,
) -> HttpResponse:
    """Shows the editor; with an error the texts are those that were sent."""
    by_field, others = _faults(error, row, locale)
    locales = locales_of(row)
    words = {
        "variables": [*row.required_variables, *row.optional_variables, *NAMES_OF_VARIABLES],
        "filters": NAMES_OF_FILTERS,
    }
    context = {
        "row": row,
        "locale": locale,
        "tag": language_tag(locale),
        "locales": locales if locale in locales else [*locales, locale],
        "may_add": len(locales) < MAX_LOCALES,
        "groups": text_groups(texts, by_field),
        "faults": others,
        "is_conflict": is_changed(error),
        "seen": seen,
        "words": json.dumps(words),
        "channels": row.channels,
        "may_write": may_write(visit, row),
    }
    status = 200 if error is None else status_of(error)
    return page(
        visit,
        "authoring/edit.html",
        context,
        section="templates",
        status=status,
        policy=EDITOR_POLICY,
    )


def _faults(
    error: CarillonError | None, row: TemplateResponse, locale: str
) -> tuple[Mapping[str, Sequence[str]], Sequence[str]]:
    """Returns the sentences about each text of this language, and those about anything else."""
    by_field: dict[str, list[str]] = defaultdict(list)
    others: list[str] = []
    if error is None:
        return by_field, others
    if not isinstance(error, InvalidRequest):
        return by_field, [said(error)]
    for each in error.errors:
        field = _field_of(each.path, row, locale)
        if field:
            by_field[field].append(translated(each.detail))
        else:
            others.append(f"{each.path}: {translated(each.detail)}")
    return by_field, others


def _field_of(path: str, row: TemplateResponse, locale: str) -> str:
    """Returns the text of this language that an error is about; empty for none of them."""
    prefix = "" if locale == row.default_locale else f"translations.{locale}."
    name = path.removeprefix(prefix)
    return name if path.startswith(prefix) and name in FIELDS else ""
