"""Campaigns with an A/B test, and the figures of their tests."""

from __future__ import annotations

from datetime import datetime
from itertools import count
from typing import Any

from notifications.domain.analytics.counts import Cohort
from notifications.domain.engagement import CLICK_HUMAN, quarter_of
from notifications.domain.experiments.assignment import Inclusion, assign_variant
from notifications.infra import clock
from notifications.models import (
    Broadcast,
    Campaign,
    MetricDelta,
    Notification,
    NotificationABTest,
    NotificationAnalytics,
    NotificationTemplate,
)
from tests.integration.campaigns.factories import PATH, make_campaign, make_news

SHORT = "news.short"
_keys = count(10**9)


def plan(**values: Any) -> dict[str, Any]:
    return {
        "variants": [{"name": "A"}, {"name": "B", "template_path": SHORT}],
        "test_percent": 50,
        "channel": "in_app",
        **values,
    }


def make_tested(*, caller: Any = None, ab_test: Any = None, **values: Any) -> Campaign:
    """Makes a draft that tests the news in two texts."""
    if not NotificationTemplate.objects.filter(path=SHORT).exists():
        make_news(SHORT, in_app_template="News\n\nShort")
    by = {} if caller is None else {"caller": caller}
    return make_campaign(ab_test=plan(**(ab_test or {})), **by, **values)


def ab_test_row(made: Campaign) -> NotificationABTest:
    return NotificationABTest.objects.get(campaign_id=made.pk)


def in_test(made: Campaign) -> dict[int, str]:
    """Returns the variant of each recipient who is in the test."""
    split = ab_test_row(made).split()
    people = Broadcast.objects.filter(campaign=made).values_list("recipients__recipient_id")
    found = {key: assign_variant(split, str(key)) for (key,) in people}
    return {
        key: each.variant or "" for key, each in found.items() if each.standing is Inclusion.IN_TEST
    }


def rest_of(made: Campaign) -> Broadcast:
    return Broadcast.objects.get(campaign=made, part="rest")


def shown(made: Campaign) -> dict[int, tuple[str, str]]:
    """Returns the path of the text and the label of each notification, by user."""
    sources = [each.source for each in Broadcast.objects.filter(campaign=made)]
    rows = Notification.objects.filter(source__in=sources)
    found = rows.values_list("user_id", "template_version__template__path", "variant")
    return {user: (path, label or "") for user, path, label in found}


def figures(
    made: Campaign, variant: str, people: int, clicks: int, *, at: datetime | None = None
) -> None:
    """So many messages of a variant were handed over, and so many people clicked."""
    at = at or clock.now()
    label = f"{ab_test_row(made).pk}:{variant}"
    cohort = Cohort("in_app", None, "sandbox", "broadcast:0", label)
    MetricDelta.objects.append({quarter_of(at): {cohort: {"sent": people}}})
    NotificationAnalytics.objects.bulk_create(
        NotificationAnalytics(
            notification_id=next(_keys),
            sent_at=at,
            sent_quarter=quarter_of(at),
            channel="in_app",
            provider="sandbox",
            variant=label,
            clicked_at=at,
            flags=CLICK_HUMAN,
        )
        for _ in range(clicks)
    )


def b_is_better(made: Campaign) -> None:
    figures(made, "A", 3_000, 30)
    figures(made, "B", 3_000, 150)


USUAL = PATH
