"""Forms for a new template, and for what a template has beside its texts."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, NamedTuple

import msgspec
from django.contrib import messages
from django.http import HttpResponse, HttpResponseRedirect
from django.utils.translation import gettext as _

from console import words
from console.authoring.texts import may_write, seen_at
from console.categories import category_keys
from console.faults import is_changed, said, status_of
from console.guard import Visit
from console.sentences.translating import translated
from console.shell import page
from notifications.domain.channels import Channel, Priority
from notifications.domain.errors import CarillonError, FieldError, InvalidRequest
from notifications.features.access.limits import allowed_keys
from notifications.features.templates.body import MAX_EXAMPLE_BYTES
from notifications.features.templates.schemas import TemplateResponse
from notifications.features.templates.service import TemplateService

_LONGEST_NAMES = 110_000
"""Characters of a list of variables: 500 names of 200."""
_BETWEEN = re.compile(r"[\s,]+")
_NAMES = ("required_variables", "optional_variables")


class SettingDifference(NamedTuple):
    """A setting that another person changed while a form was open."""

    label: str
    stored: str
    given: str


def new(visit: Visit) -> HttpResponse:
    """Shows the form of a new template; makes it where the form was sent."""
    if not visit.is_post:
        return _page(visit, None, {"default_locale": "en", "path": visit.given("path")})
    given = {name: visit.given(name, longest=201) for name in ("name", "path")}
    given |= {name: visit.given(name, longest=60) for name in ("category", "default_locale")}
    body = {name: value for name, value in given.items() if value}
    try:
        made = TemplateService().create(body=body, caller=visit.caller)
    except CarillonError as error:
        return _page(visit, None, given, error)
    messages.success(visit.request, _("The template is a draft now. Write its texts."))
    return HttpResponseRedirect(f"/console/templates/{made.id}/edit")


def change(visit: Visit, number: int) -> HttpResponse:
    """Shows the settings of a template; changes them where the form was sent."""
    row = TemplateService().get(identifier=number, caller=visit.caller)
    if not visit.is_post:
        return _page(visit, row, _values(row))
    given = _given(visit)
    try:
        TemplateService().update(
            identifier=number, body=_body(given), caller=visit.caller, seen=seen_at(visit)
        )
    except CarillonError as error:
        if is_changed(error):
            row = TemplateService().get(identifier=number, caller=visit.caller)
        return _page(visit, row, given, error)
    messages.success(visit.request, _("The settings are saved."))
    return HttpResponseRedirect(f"/console/templates/{number}")


def _page(
    visit: Visit,
    row: TemplateResponse | None,
    values: Mapping[str, Any],
    error: CarillonError | None = None,
) -> HttpResponse:
    allowed = allowed_keys(visit.caller)
    own = values.get("category") or ""
    categories = [
        each for each in category_keys(own) if allowed is None or each in allowed or each == own
    ]
    is_conflict = is_changed(error)
    faults = [] if error is None or is_conflict else [said(error)]
    if isinstance(error, InvalidRequest):
        faults = [f"{each.path}: {translated(each.detail)}" for each in error.errors]
    seen = "" if is_conflict else visit.given("seen", longest=40)
    context = {
        "row": row,
        "values": values,
        "categories": categories,
        "channels": [each.value for each in Channel],
        "priorities": [each.value for each in Priority],
        "faults": faults,
        "is_conflict": is_conflict,
        "differences": _differences(values, _values(row)) if row and is_conflict else [],
        "seen": seen or (row.updated_at.isoformat() if row else ""),
        "may_write": row is None or may_write(visit, row),
    }
    name = "settings" if row else "new"
    status = 200 if error is None else status_of(error)
    return page(visit, f"authoring/{name}.html", context, section="templates", status=status)


def _differences(given: Mapping[str, Any], stored: Mapping[str, Any]) -> list[SettingDifference]:
    """Returns the settings whose stored value is not the one that was sent."""
    labels = {
        "name": _("Name"),
        "category": _("Category"),
        "default_priority": _("Priority"),
        "is_active": _("It can be sent"),
        "supported_channels": _("Channels"),
        "required_variables": _("Required variables"),
        "optional_variables": _("Optional variables"),
        "example_context": _("Example"),
    }
    found = [
        SettingDifference(label, _shown(stored[name]), _shown(given[name]))
        for name, label in labels.items()
    ]
    return [each for each in found if each.stored != each.given]


def _shown(value: Any) -> str:
    """Returns a setting as a text. Browsers send lines with CR LF."""
    if isinstance(value, bool):
        return _("yes") if value else _("no")
    if isinstance(value, list):
        return ", ".join(words.channel(each) for each in value)
    return str(value).replace("\r\n", "\n").strip()


def _values(row: TemplateResponse) -> dict[str, Any]:
    """Returns the settings as the form shows them."""
    return {
        "name": row.name,
        "category": row.category or "",
        "default_locale": row.default_locale,
        "default_priority": row.default_priority,
        "is_active": row.is_active,
        "supported_channels": row.supported_channels,
        "example_context": json.dumps(row.example_context, indent=2, ensure_ascii=False),
        **{name: "\n".join(getattr(row, name)) for name in _NAMES},
    }


def _given(visit: Visit) -> dict[str, Any]:
    """Returns the settings as the form sent them."""
    priority = visit.given("default_priority", longest=2)
    return {
        "name": visit.given("name", longest=101),
        "category": visit.given("category", longest=60),
        "default_priority": int(priority) if priority.isdecimal() else priority,
        "is_active": visit.given("is_active") == "yes",
        "supported_channels": visit.request.POST.getlist("supported_channels")[: len(Channel)],
        "example_context": visit.given("example_context", longest=MAX_EXAMPLE_BYTES + 1),
        **{name: visit.given(name, longest=_LONGEST_NAMES) for name in _NAMES},
    }


def _body(given: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the body of the change.

    Raises:
        InvalidRequest: the example is no JSON.
    """
    try:
        example = msgspec.json.decode(given["example_context"] or "{}")
    except (msgspec.DecodeError, RecursionError) as error:
        detail = _("write a JSON object, such as %(example)s: %(fault)s") % {
            "example": '{"amount": "12.50"}',
            "fault": error,
        }
        raise InvalidRequest([FieldError("example_context", "invalid", detail)]) from None
    names = {name: [each for each in _BETWEEN.split(given[name]) if each] for name in _NAMES}
    return {**given, **names, "example_context": example, "category": given["category"] or None}
