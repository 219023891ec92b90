"""Reads what callers give for a test into its row, and checks it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
from msgspec import UNSET

from notifications.domain.channels import Channel
from notifications.domain.errors import Conflict, FieldError, InvalidRequest
from notifications.features.experiments.schemas import (
    LONGEST_CONTENT,
    ABTestBody,
    ABTestChangeBody,
    ABTestVariantBody,
)
from notifications.models import (
    ABTestMetric,
    ABTestStatus,
    Category,
    Goal,
    NotificationABTest,
    NotificationTemplate,
)
from notifications.models.experiments.ab_test import variant_value

_DAY_S = 86_400
_COLUMNS = frozenset(
    {
        "name",
        "control",
        "traffic_percentage",
        "holdout_percentage",
        "channel",
        "metric",
        "minimum_sample_size",
        "confidence_level",
        "expected_rate",
        "expected_lift",
        "in_force",
    }
)
"""Fields that the row stores as they are given."""
_ALWAYS = frozenset({"name", "automatic"})
_RUNNING = _ALWAYS | {"traffic_percentage"}
_COMPLETED = _ALWAYS | {"in_force"}


def new_row(
    body: ABTestBody, template: NotificationTemplate, *, created_by: str
) -> NotificationABTest:
    """Returns the row of a new test; it is not saved.

    Raises:
        InvalidRequest: with every error of the body.
    """
    row = NotificationABTest(template=template, created_by=created_by)
    given = {name: getattr(body, name) for name in body.__struct_fields__}
    del given["template_id"]
    if body.control is None:
        given["control"] = body.variants[0].name
    _apply(row, given)
    return row


def apply_change(row: NotificationABTest, body: ABTestChangeBody) -> None:
    """Applies changes to the row of a test, as far as its state allows.

    Raises:
        Conflict: ab_test_started; the test has started, and its comparison is frozen.
        InvalidRequest: with every error of the body.
    """
    names = [name for name in body.__struct_fields__ if getattr(body, name) is not UNSET]
    given = {name: getattr(body, name) for name in names}
    _check_frozen(row, given)
    _apply(row, given)


def _check_frozen(row: NotificationABTest, given: dict[str, Any]) -> None:
    if row.status == ABTestStatus.DRAFT:
        if "in_force" in given:
            raise _started("in_force is for completed tests: start this one instead")
        return
    allowed = _COMPLETED if row.status == ABTestStatus.COMPLETED else _RUNNING
    fixed = sorted(given.keys() - allowed)
    if fixed:
        raise _started(f"{', '.join(fixed)} cannot change any more: end it, and make another test")
    if given.get("traffic_percentage", 100) < row.traffic_percentage:
        raise _started("its traffic may only grow: people in the test stay in it")
    if given.get("in_force"):
        raise _started("only false is allowed: a new test brings a result back into force")


def _started(detail: str) -> Conflict:
    return Conflict(f"the test has started, and {detail}", code="ab_test_started")


def _apply(row: NotificationABTest, given: dict[str, Any]) -> None:
    errors: list[FieldError] = []
    for name in _COLUMNS & given.keys():
        setattr(row, name, given[name])
    if "automatic" in given:
        row.is_automatic = given["automatic"]
    if "window_days" in given:
        row.window_s = given["window_days"] * _DAY_S
    if "variants" in given:
        row.variants = _variants(given["variants"], errors)
    if "goal" in given:
        row.goal = _goal(given["goal"], errors)
    _check(row, errors)
    if errors:
        raise InvalidRequest(errors)


def _variants(
    bodies: Sequence[ABTestVariantBody], errors: list[FieldError]
) -> list[dict[str, Any]]:
    for place, body in enumerate(bodies):
        if len(msgspec.json.encode(body.content)) > LONGEST_CONTENT:
            detail = f"must be under {LONGEST_CONTENT:,} bytes of JSON"
            errors.append(FieldError(f"variants[{place}].content", "too_large", detail))
    return [
        variant_value(
            body.name,
            weight=body.weight,
            template_path=body.template_path,
            version=body.version,
            content=body.content,
        )
        for body in bodies
    ]


def _goal(name: str | None, errors: list[FieldError]) -> Goal | None:
    found = Goal.objects.filter(name=name).first() if name is not None else None
    if name is not None and found is None:
        errors.append(FieldError("goal", "unknown_goal", f"there is no goal {name!r}"))
    return found


def _check(row: NotificationABTest, errors: list[FieldError]) -> None:
    names = [each["name"] for each in row.variants]
    if len(set(names)) < len(names):
        errors.append(FieldError("variants", "invalid", "each variant needs its own name"))
    if row.control not in names:
        detail = f"is not a variant of the test; known: {', '.join(names)}"
        errors.append(FieldError("control", "unknown_variant", detail))
    errors += _not_among("channel", row.channel, Channel, "invalid_channel")
    errors += _not_among("metric", row.metric, ABTestMetric.values, "invalid_choice")
    wants_goal = row.metric == ABTestMetric.CONVERSION_RATE
    if wants_goal and row.goal_id is None and not any(each.path == "goal" for each in errors):
        errors.append(FieldError("goal", "required", "conversion_rate needs the name of a goal"))
    if row.holdout_percentage and not _is_marketing(row.template):
        detail = "is for templates of a marketing category: other messages must arrive"
        errors.append(FieldError("holdout_percentage", "holdout_not_marketing", detail))


def _not_among(name: str, value: str, known: Iterable[str], code: str) -> list[FieldError]:
    values = [str(each) for each in known]
    if value in values:
        return []
    return [FieldError(name, code, f"must be one of {', '.join(values)}")]


def _is_marketing(template: NotificationTemplate) -> bool:
    return Category.objects.filter(pk=template.category_id or 0, marketing=True).exists()
