"""A recorded slice is in the metrics at once, before and after its delta is rolled up."""

from __future__ import annotations

import pytest

from notifications.domain.callers import Caller
from notifications.engine.runs import deliver_rows
from notifications.features.analytics.rollup import roll_up_due
from notifications.features.analytics.service import AnalyticsService, MetricFilter
from notifications.infra import clock
from notifications.models import MetricDelta, MetricRollup, NotificationMessage
from notifications.queue import batches
from tests.integration.factories import make_messages

ANALYST = Caller(name="key:1", is_service=True, scopes=frozenset({"analytics:read"}))
pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _stopped_clock(frozen):
    """Time stands still."""


def work() -> None:
    held = batches.lease(owner="w", lane="default", seconds=60)
    deliver_rows(held, owner="w")


def metrics(**more):
    today = clock.now().date().isoformat()
    return AnalyticsService().metrics(
        wanted=MetricFilter(start=today, end=today), caller=ANALYST, **more
    )


def test_a_recorded_slice_is_in_the_metrics_before_and_after_it_is_rolled_up():
    make_messages(3, channel="in_app")
    work()
    assert NotificationMessage.objects.filter(status="delivered").count() == 3
    assert MetricDelta.objects.count() == 1

    before = metrics()
    assert (before.total_sent, before.total_delivered) == (3, 3)
    assert before.by_channel["in_app"].sent == 3
    assert before.delivery_rate == 1.0

    assert roll_up_due() == 1
    assert MetricDelta.objects.count() == 0
    assert MetricRollup.objects.get().sent == 3
    assert metrics() == before
    assert roll_up_due() == 0
