"""Checks the plan of the A/B test inside a campaign, and starts and ends the test.

The test is a row of its own, of which the campaign alone makes use: it divides no other send of
the template. Its results are those of every A/B test.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from notifications.domain.callers import SYSTEM
from notifications.domain.campaigns.variants import CampaignTestPlan
from notifications.domain.errors import FieldError
from notifications.features.experiments.lifecycle import ENDABLE, changing, end, find_test
from notifications.models import (
    ABTestEnd,
    ABTestMetric,
    ABTestStatus,
    Campaign,
    Goal,
    NotificationABTest,
    NotificationTemplate,
)
from notifications.models.experiments.ab_test import variant_value

_HOUR_S = 3_600


def check_plan(campaign: Campaign, *, per_zone: bool) -> list[FieldError]:
    """Returns what is wrong with the plan of a campaign, without its templates.

    per_zone: whether each user gets it at a local time.
    """
    plan = campaign.test_plan
    if plan is None:
        return []
    errors = []
    names = [each.name for each in plan.variants]
    if len(set(names)) < len(names):
        errors.append(_error("variants", "invalid", "each variant needs its own name"))
    if plan.window_hours >= plan.deadline_hours:
        detail = "must be less than deadline_hours: a message counts when its window is over"
        errors.append(_error("window_hours", "invalid", detail))
    if plan.channel not in campaign.channels:
        errors.append(
            _error("channel", "invalid_channel", "must be one of the campaign's channels")
        )
    wants_goal = plan.metric == ABTestMetric.CONVERSION_RATE
    if wants_goal and plan.goal is None:
        errors.append(_error("goal", "required", "conversion_rate needs the name of a goal"))
    elif plan.goal is not None and not Goal.objects.filter(name=plan.goal).exists():
        errors.append(_error("goal", "unknown_goal", f"there is no goal {plan.goal!r}"))
    if per_zone:
        detail = (
            "cannot be combined with per_timezone: the winner is not known when the first time"
            " zones are due, so their users could not get it. Give scheduled_at with an offset,"
            " or leave the test out"
        )
        errors.append(FieldError("ab_test", "invalid", detail))
    return errors


def _error(name: str, code: str, detail: str) -> FieldError:
    return FieldError(f"ab_test.{name}", code, detail)


def variant_paths(campaign: Campaign) -> list[str]:
    """Returns the template path of each variant, in their order; none without a test."""
    plan = campaign.test_plan
    variants = plan.variants if plan else ()
    return [each.template_path or campaign.template_path for each in variants]


def start_test(
    campaign: Campaign,
    plan: CampaignTestPlan,
    template: NotificationTemplate,
    shown: Sequence[NotificationTemplate],
    *,
    now: datetime,
) -> NotificationABTest:
    """Writes the running test of a campaign that begins. What it compares is frozen.

    shown: the published template of each variant, in their order.
    """
    variants = [
        variant_value(each.name, weight=each.weight, template_path=path)
        for each, path in zip(plan.variants, variant_paths(campaign), strict=True)
    ]
    names = [each.name for each in plan.variants]
    return NotificationABTest.objects.create(
        name=campaign.name,
        template=template,
        campaign_id=campaign.pk,
        variants=variants,
        control=plan.first,
        traffic_percentage=plan.test_percent,
        channel=plan.channel,
        metric=plan.metric,
        goal=Goal.objects.filter(name=plan.goal).first() if plan.goal else None,
        window_s=plan.window_hours * _HOUR_S,
        minimum_sample_size=plan.minimum_sample_size,
        confidence_level=plan.confidence_level,
        expected_rate=plan.expected_rate,
        expected_lift=plan.expected_lift,
        status=ABTestStatus.RUNNING,
        frozen={
            "variants": variants,
            "control": plan.first,
            "holdout_percentage": 0,
            "versions": {
                name: each.current_version_id for name, each in zip(names, shown, strict=True)
            },
        },
        started_at=now,
        created_at=now,
        created_by=f"campaign:{campaign.uuid}",
    )


def ab_test_of(campaign: Campaign) -> NotificationABTest | None:
    """Returns the test of a campaign that has begun; None without one."""
    if not campaign.ab_test:
        return None
    rows = NotificationABTest.objects.select_related("template", "goal")
    return rows.filter(campaign_id=campaign.pk).first()


def stop_test(campaign: Campaign, *, now: datetime) -> None:
    """Ends the test of a campaign that is cancelled. The caller has locked the campaign."""
    test = ab_test_of(campaign)
    if test is not None:
        end_if_live(
            test.pk,
            action="ab-test.stopped",
            by=ABTestEnd.STOPPED,
            why="The campaign was cancelled.",
            now=now,
        )


def end_if_live(
    test_id: int, *, action: str, by: ABTestEnd, why: str, now: datetime, winner: str = ""
) -> None:
    """Ends a test, unless a person has ended it meanwhile.

    The caller has locked its campaign; the lock of the test follows.
    """
    if find_test(test_id, lock=True).status not in ENDABLE:
        return
    with changing(test_id, actor=SYSTEM.name, action=action, at=now, reason=why) as row:
        end(row, by=by, winner=winner, why=why, now=now)
