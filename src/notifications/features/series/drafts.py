"""Reads what callers give for a series into its rows, and checks it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Any
from uuid import UUID

import msgspec
from msgspec import UNSET

from directory.models import SubscriberList
from notifications.domain.errors import FieldError, InvalidRequest
from notifications.domain.series.lifecycle import SeriesTrigger
from notifications.domain.series.steps import SeriesStep
from notifications.features.audiences.service import read_audience
from notifications.features.learning.options import LEARNED, SCHEDULED
from notifications.features.series.contents import StepContent, check_steps
from notifications.features.series.finding import date_rule
from notifications.features.series.learned import check_learned
from notifications.features.series.schemas import SeriesStepBody, SeriesTriggerBody
from notifications.intake.fields import Fields
from notifications.intake.validate import read_context
from notifications.models import Goal, MailSeries

_COLUMNS = frozenset(
    {
        "name",
        "description",
        "holdout_percent",
        "needs_approval",
        "reentry_days",
        "track_opens",
        "track_clicks",
    }
)
"""Fields that the row stores as they are given."""
CHANGEABLE = frozenset({"name", "description", "steps"})
"""Fields that may change after the launch."""


def given_values(body: msgspec.Struct) -> dict[str, Any]:
    """Returns the fields of a body that were given, by name."""
    names = body.__struct_fields__
    return {name: value for name in names if (value := getattr(body, name)) is not UNSET}


def apply_values(
    row: MailSeries, given: Mapping[str, Any], steps: Sequence[SeriesStep], *, now: datetime
) -> list[StepContent]:
    """Sets values on a row without saving it, and checks the whole series.

    steps: those that the series has with the change. Returns what they send.

    Raises:
        InvalidRequest: with every error of the fields, or of the steps.
    """
    errors: list[FieldError] = []
    for name in _COLUMNS & given.keys():
        setattr(row, name, given[name])
    if "category" in given:
        row.category = given["category"] or ""
    if "context" in given:
        row.context = _context(given["context"], errors)
    if "goal" in given:
        row.goal = _goal(given["goal"], errors)
    if "trigger" in given:
        _apply_trigger(row, given["trigger"], errors, now=now)
    try:
        contents = check_steps(row, steps)
    except InvalidRequest as error:
        errors += error.errors
    if errors:
        raise InvalidRequest(errors)
    return contents


def read_steps(bodies: Sequence[SeriesStepBody]) -> list[SeriesStep]:
    """Returns the steps of a body.

    Raises:
        InvalidRequest: invalid_choice; invalid, where an hour cannot be learned here.
    """
    words = (SCHEDULED, LEARNED)
    errors = [
        FieldError(
            f"steps[{place}].send_time", "invalid_choice", f"must be one of {', '.join(words)}"
        )
        for place, body in enumerate(bodies)
        if body.send_time not in words
    ]
    if errors:
        raise InvalidRequest(errors)
    steps = [SeriesStep.read(msgspec.to_builtins(body)) for body in bodies]
    check_learned(steps)
    return steps


def _context(value: dict[str, Any], errors: list[FieldError]) -> dict[str, Any]:
    fields = Fields({"context": value})
    context, _ = read_context(fields)
    errors += fields.errors
    return context


def _goal(name: str | None, errors: list[FieldError]) -> Goal | None:
    found = Goal.objects.filter(name=name).first() if name is not None else None
    if name is not None and found is None:
        errors.append(FieldError("goal", "unknown_goal", f"there is no goal {name!r}"))
    return found


def _apply_trigger(
    row: MailSeries, body: SeriesTriggerBody, errors: list[FieldError], *, now: datetime
) -> None:
    """Sets the trigger. Fields of another kind of trigger are refused: they would do nothing."""
    needed = {SeriesTrigger.LIST: "list_id", SeriesTrigger.EVENT: "event"}
    kind = _kind(body.on, errors)
    if kind is None:
        return
    used = {needed.get(kind, "attribute")}
    if kind is SeriesTrigger.DATE:
        used.add("offset_days")
    for name in ("list_id", "event", "attribute", "offset_days"):
        value = getattr(body, name)
        if name in used and name != "offset_days" and not value:
            errors.append(FieldError(f"trigger.{name}", "required", f"is required for {kind}"))
        elif name not in used and value:
            detail = f"is not for {kind}: leave it out"
            errors.append(FieldError(f"trigger.{name}", "invalid", detail))
    row.trigger, row.event, row.attribute = kind.value, body.event, body.attribute
    row.offset_days = body.offset_days
    row.list_id = _list(body.list_id, errors) if body.list_id else None
    if kind is SeriesTrigger.DATE and body.attribute:
        errors += _attribute_errors(body.attribute, now.date(), now)


def _kind(name: str, errors: list[FieldError]) -> SeriesTrigger | None:
    if name in list(SeriesTrigger):
        return SeriesTrigger(name)
    detail = f"must be one of {', '.join(SeriesTrigger)}"
    errors.append(FieldError("trigger.on", "invalid_choice", detail))
    return None


def _list(named: int | UUID, errors: list[FieldError]) -> int | None:
    lookup = {"uuid" if isinstance(named, UUID) else "pk": named}
    found = SubscriberList.objects.filter(**lookup).values_list("pk", flat=True).first()
    if found is None:
        errors.append(FieldError("trigger.list_id", "unknown_list", f"there is no list {named}"))
    return found


def _attribute_errors(attribute: str, day: date, now: datetime) -> list[FieldError]:
    """Returns the error of a place that no attribute can have."""
    try:
        read_audience(date_rule(attribute, day), now=now)
    except InvalidRequest as error:
        detail = error.errors[0].detail
        return [FieldError("trigger.attribute", "invalid", detail)]
    return []
