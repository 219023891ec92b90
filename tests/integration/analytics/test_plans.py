"""Requests read by an index what is not counted yet, and the dead letters of a range."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import connection

from notifications.domain.analytics.periods import Span
from notifications.domain.engagement import quarter_of
from notifications.features.analytics.failure_codes import read_failure_codes
from notifications.features.analytics.reading import Selection, read_counts
from notifications.models import DeadLetter, NotificationAnalytics

pytestmark = pytest.mark.django_db
MANY = 5_000
MINUTE = timedelta(minutes=1)


def watched(work, mark):
    """Runs work; returns its result, and the plan of its statement that has this mark."""
    statements = []

    def watch(execute, sql, params, many, context):
        statements.append((sql, params))
        return execute(sql, params, many, context)

    with connection.execute_wrapper(watch):
        result = work()
    (found,) = [each for each in statements if mark in each[0]]
    return result, plan_of(*found)


def plan_of(sql: str, params: object) -> str:
    explain = {"postgresql": "EXPLAIN", "sqlite": "EXPLAIN QUERY PLAN"}[connection.vendor]
    with connection.cursor() as cursor:
        cursor.execute(f"{explain} {sql}", params)
        return "\n".join(str(row[-1]) for row in cursor.fetchall())


def settle(table: str) -> None:
    """Has the planner see the rows of this test alone: earlier tests left dead ones in indexes."""
    with connection.cursor() as cursor:
        cursor.execute(f"REINDEX {'TABLE' if connection.vendor == 'postgresql' else ''} {table}")
        cursor.execute(f"ANALYZE {table}")


def test_only_rows_that_are_not_counted_are_read(frozen):
    quarter = quarter_of(frozen.now)
    NotificationAnalytics.objects.bulk_create(
        NotificationAnalytics(
            notification_id=key, sent_quarter=quarter, channel="email", flags=1, counted=1
        )
        for key in range(1, MANY)
    )
    NotificationAnalytics.objects.filter(pk__lte=3).update(flags=9)
    settle("notifications_notificationanalytics")
    span = Span(quarter, quarter + 15 * MINUTE)

    found, plan = watched(lambda: read_counts(Selection(buckets=[span])), "UNION ALL")

    assert found == {0: {("email",): {"clicked_human": 3}}}
    assert "analytics_uncounted" in plan, plan
    assert "analytics_quarter" not in plan
    assert "Seq Scan on notifications_notificationanalytics" not in plan


def test_the_dead_letters_of_a_range_are_read_by_their_time(frozen):
    DeadLetter.objects.bulk_create(
        DeadLetter(
            message_id=key,
            notification_id=key,
            channel="email",
            code="550",
            failed_at=frozen.now - key * MINUTE,
        )
        for key in range(MANY)
    )
    settle("notifications_deadletter")
    span = Span(frozen.now - 15 * MINUTE, frozen.now)

    _, plan = watched(lambda: read_failure_codes(span, {}), "notifications_deadletter")

    assert "dead_letter_failed" in plan
    assert "Seq Scan on notifications_deadletter" not in plan
