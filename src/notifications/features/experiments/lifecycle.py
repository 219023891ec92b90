"""Starts, pauses and ends tests. Each change locks the row, is checked there, and is recorded."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from django.db import IntegrityError, transaction

from notifications.domain.campaigns.lifecycle import CampaignStatus
from notifications.domain.errors import Conflict, FieldError, InvalidRequest, NotFound
from notifications.domain.identifiers import parse_identifier
from notifications.features.experiments.catalog import forget_tests
from notifications.models import (
    ABTestEnd,
    ABTestStatus,
    Campaign,
    NotificationABTest,
    NotificationTemplate,
    TemplateVersion,
)
from notifications.models.audit.actions import record_action, values_of
from notifications.rendering.versions import version_of

ENDABLE = (ABTestStatus.RUNNING, ABTestStatus.PAUSED)


def find_test(identifier: object, *, lock: bool = False) -> NotificationABTest:
    """Returns a test by its id.

    Raises:
        NotFound: unknown_ab_test.
    """
    rows = NotificationABTest.objects.select_related("template", "goal")
    if lock:
        rows = rows.select_for_update(of=("self",))
    key = parse_identifier(identifier)
    found = rows.filter(pk=key).first() if isinstance(key, int) else None
    if found is None:
        raise NotFound(f"there is no A/B test {identifier}", code="unknown_ab_test")
    return found


@contextmanager
def changing(
    identifier: object, *, actor: str, action: str, at: datetime, reason: str = ""
) -> Iterator[NotificationABTest]:
    """Locks a test for a change, saves it, and records it in the same transaction."""
    with transaction.atomic():
        row = find_test(identifier, lock=True)
        before = values_of(row)
        yield row
        row.save()
        record_action(
            actor=actor,
            action=action,
            target=f"ab-test:{row.pk}",
            at=at,
            reason=reason[:200],
            before=before,
            after=values_of(row),
        )
        transaction.on_commit(forget_tests)


def live_campaign_of(row: NotificationABTest) -> Campaign | None:
    """Returns the campaign of a test, unless it is over; None for a test of its own."""
    ended = (CampaignStatus.COMPLETED.value, CampaignStatus.CANCELLED.value)
    rows = Campaign.objects.filter(pk=row.campaign_id or 0).exclude(status__in=ended)
    return rows.first()


def refuse_of_campaign(row: NotificationABTest, *, verb: str) -> None:
    """Raises Conflict, ab_test_status, for the test of a campaign that is not over."""
    if live_campaign_of(row) is not None:
        detail = f"a campaign uses the test, so it cannot be {verb}: pause or cancel the campaign"
        raise Conflict(detail, code="ab_test_status")


def require_status(row: NotificationABTest, *allowed: str) -> None:
    """Raises Conflict, ab_test_status, unless the test has one of these states."""
    if row.status not in allowed:
        raise Conflict(
            f"the test is {row.status}; this needs one that is {' or '.join(allowed)}",
            code="ab_test_status",
        )


def start(row: NotificationABTest, *, now: datetime) -> None:
    """Starts a draft: what it compares is frozen. Or goes on with a paused test.

    Raises:
        Conflict: ab_test_status; template_in_test.
        InvalidRequest: a variant cannot be sent.
    """
    require_status(row, ABTestStatus.DRAFT, ABTestStatus.PAUSED)
    if row.status == ABTestStatus.DRAFT:
        row.frozen = {
            "variants": named_variants(row),
            "control": row.control,
            "holdout_percentage": row.holdout_percentage,
            "versions": pinned_versions(row),
        }
        row.started_at = now
        _take_over(row)
    row.status = ABTestStatus.RUNNING
    row.in_force = True


def _take_over(row: NotificationABTest) -> None:
    """Ends the force of a completed test of the template; a test that is not over is in the way.

    Raises:
        Conflict: template_in_test.
    """
    others = NotificationABTest.objects.filter(template_id=row.template_id, in_force=True)
    others = others.exclude(pk=row.pk)
    others.filter(status=ABTestStatus.COMPLETED).update(in_force=False)
    other = others.first()
    if other is not None:
        raise template_in_test(other.pk)
    try:
        with transaction.atomic():
            NotificationABTest.objects.filter(pk=row.pk).update(in_force=True)
    except IntegrityError as error:  # another process started one meanwhile
        raise template_in_test() from error


def template_in_test(other: int | None = None) -> Conflict:
    """Returns the error for a template that another test divides."""
    which = f"test {other}" if other else "another test"
    return Conflict(f"{which} of the template is not over: stop it first", code="template_in_test")


def named_variants(row: NotificationABTest) -> list[dict[str, Any]]:
    """Returns the variants with the paths of their templates."""
    own = row.template.path
    return [{**each, "template_path": each["template_path"] or own} for each in row.variants]


def pinned_versions(row: NotificationABTest) -> dict[str, int]:
    """Returns the template version of each variant, by its name.

    Raises:
        InvalidRequest: there is no such template or version, or it has no text for a channel that
            the test's template has, or needs values that the template does not.
    """
    variants = named_variants(row)
    paths = sorted({each["template_path"] for each in variants})
    current = NotificationTemplate.objects.current_versions(paths)
    found: dict[str, int] = {}
    for place, variant in enumerate(variants):
        version_id = _version_id(variant, current)
        if version_id is None:
            code = "unknown_template" if variant["version"] is None else "unknown_version"
            what = f"{variant['template_path']} {variant['version'] or ''}".strip()
            raise _invalid(place, code, f"there is no published template {what}")
        _check_texts(row, place, version_id)
        found[variant["name"]] = version_id
    return found


def _version_id(variant: Mapping[str, Any], current: Mapping[str, int]) -> int | None:
    if variant["version"] is None:
        return current.get(variant["template_path"])
    rows = TemplateVersion.objects.filter(
        template__path=variant["template_path"], number=variant["version"]
    )
    return rows.values_list("pk", flat=True).first()


def _check_texts(row: NotificationABTest, place: int, version_id: int) -> None:
    """Checks that a version can be sent wherever the test's template can."""
    own, other = version_of(row.template.current_version_id), version_of(version_id)
    if not other.supports(row.channel):
        raise _invalid(
            place, "channel_not_in_template", f"{other.path} has no text for {row.channel}"
        )
    extra = sorted(set(other.required_variables) - set(own.required_variables))
    if extra:
        raise _invalid(
            place,
            "missing_variable",
            f"{other.path} requires {', '.join(extra)}, and {own.path} does not",
        )


def _invalid(place: int, code: str, detail: str) -> InvalidRequest:
    return InvalidRequest([FieldError(f"variants[{place}].template_path", code, detail)])


def pause(row: NotificationABTest) -> None:
    """Pauses a running test: everybody gets control. Raises Conflict, ab_test_status."""
    require_status(row, ABTestStatus.RUNNING)
    row.status = ABTestStatus.PAUSED


def end(
    row: NotificationABTest, *, by: ABTestEnd, winner: str = "", why: str, now: datetime
) -> None:
    """Ends a test. From now on everybody gets the winner, or control without one.

    Raises:
        Conflict: ab_test_status. InvalidRequest: unknown_variant.
    """
    require_status(row, *ENDABLE)
    if winner and winner not in row.weights:
        known = ", ".join(row.weights)
        detail = f"is not a variant of the test; known: {known}"
        raise InvalidRequest([FieldError("winner", "unknown_variant", detail)])
    row.status = ABTestStatus.COMPLETED
    row.ended_at = now
    row.ended_by, row.winner_variant, row.conclusion = by, winner, why
    row.in_force = row.campaign_id is None and not _is_usual(row)


def _is_usual(row: NotificationABTest) -> bool:
    """Returns whether everybody gets the test's own template, which needs no test any more."""
    variant = row.served
    return bool(variant["version"] is None and variant["template_path"] == row.template.path)
