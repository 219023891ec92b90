"""The number of statements of the pages of records and plans: fixed for any number of rows."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest

from directory.models import Segment
from notifications.domain.analytics.counts import Cohort
from notifications.features.audit.sealer import seal_due
from notifications.infra import clock
from notifications.models import (
    ApiKey,
    Category,
    Erasure,
    LegalHold,
    MetricDelta,
    RetentionProgress,
    ScheduleOccurrence,
    SignIn,
)
from tests.integration.audit.world import AT, write
from tests.integration.console.conftest import As
from tests.integration.console.test_plans import make_series
from tests.integration.console.test_records import endpoint_of, failed_delivery
from tests.integration.factories import make_template, make_user
from tests.integration.statements import Statements

pytestmark = pytest.mark.django_db
MOST = 30
MOST_OF_RULES = 60
"""The page of rules asks each table for its oldest row."""


def fill_analytics(count: int, name: str) -> None:
    for number in range(count):
        version = make_template(f"test.{name}{number}").current_version_id
        cohort = Cohort("email", version, "smtp", "key:1", "")
        MetricDelta.objects.append({clock.now() - timedelta(hours=1): {cohort: {"sent": 3}}})


def fill_audit(count: int, name: str) -> None:
    write(count)
    seal_due(now=AT)


def fill_webhooks(count: int, name: str) -> None:
    for _ in range(count):
        failed_delivery(endpoint_of())


def fill_keys(count: int, name: str) -> None:
    for number in range(count):
        ApiKey.make(name=f"{name}{number}", scopes=["notifications:read"])


def fill_staff(count: int, name: str) -> None:
    for _ in range(count):
        make_user(staff_role="author")


def fill_schedules(count: int, name: str) -> None:
    for _ in range(count):
        make_series()


def fill_categories(count: int, name: str) -> None:
    for number in range(count):
        Category.objects.create(key=f"{name}{number}", name="Club")


def fill_segments(count: int, name: str) -> None:
    for number in range(count):
        criteria = {"field": "role", "op": "eq", "value": "teacher"}
        Segment.objects.create(name=f"{name}{number}", criteria=criteria)


def fill_retention(count: int, name: str) -> None:
    for number in range(count):
        RetentionProgress.objects.create(
            rule="facts", category_id=number + count, next_at=clock.now()
        )


def fill_holds(count: int, name: str) -> None:
    for number in range(count):
        LegalHold.objects.create(user_id=number + 1, reason="x", actor="cli", created_at=AT)


def fill_erasures(count: int, name: str) -> None:
    for number in range(count):
        Erasure.objects.create(
            user_id=number + 1, state="done", reason="x", actor="cli", requested_at=AT, next_at=AT
        )


FILLED: dict[str, Callable[[int, str], None]] = {
    "/console/analytics?report=templates": fill_analytics,
    "/console/analytics?report=failures": fill_analytics,
    "/console/audit": fill_audit,
    "/console/webhooks": fill_webhooks,
    "/console/keys": fill_keys,
    "/console/staff": fill_staff,
    "/console/schedules": fill_schedules,
    "/console/categories": fill_categories,
    "/console/segments": fill_segments,
    "/console/retention": fill_retention,
    "/console/retention/holds": fill_holds,
    "/console/retention/erasures": fill_erasures,
}


@pytest.mark.parametrize("path", FILLED)
def test_a_list_makes_as_many_statements_for_one_row_as_for_many(as_role: As, path: str) -> None:
    client = as_role("admin")
    counts = []
    for rows, name in ((1, "one"), (20, "many")):
        FILLED[path](rows, name)
        client.get(path)  # what a process reads once
        with Statements() as sent:
            assert client.get(path).status_code == 200
        counts.append(len(sent.texts))
    assert counts[0] == counts[1]
    assert counts[1] <= (MOST_OF_RULES if path == "/console/retention" else MOST)


def test_the_page_of_one_thing_makes_a_fixed_number_of_statements(as_role: As) -> None:
    client, ann = as_role("admin"), make_user(staff_role="author")
    endpoint, series = endpoint_of(), make_series()
    paths = {
        f"/console/webhooks/{endpoint.pk}": lambda number: failed_delivery(endpoint),
        f"/console/staff/{ann.pk}": lambda number: SignIn.objects.create(
            user=ann,
            kind="tokens",
            method="password",
            created_at=clock.now(),
            seen_at=clock.now(),
            expires_at=clock.now() + timedelta(days=1),
        ),
        f"/console/schedules/{series.pk}": lambda number: ScheduleOccurrence.objects.create(
            series=series, zone="UTC", wall=str(number), due_at=AT, count=1, made_at=AT
        ),
    }
    for path, make in paths.items():
        counts = []
        for rows in (1, 12):
            for number in range(rows):
                make(number + rows)
            client.get(path)
            with Statements() as sent:
                assert client.get(path).status_code == 200
            counts.append(len(sent.texts))
        assert counts[0] == counts[1], path
        assert counts[1] <= MOST, path
