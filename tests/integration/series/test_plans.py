"""People who wait in a series cost nothing: each look uses the index of due rows."""

from __future__ import annotations

import time
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.db.models import QuerySet

from notifications.domain.loops import MAIL_SERIES
from notifications.features.background.work_probe import WorkProbe
from notifications.features.series.rounds import maintain_series
from notifications.features.upkeep.rounds import ScheduleRounds, loop_conditions
from notifications.infra import clock
from notifications.models import MailSeries, SeriesEnrollment
from tests.integration.factories import make_user
from tests.integration.series.factories import PATHS, act, go_on, happens, make_series

pytestmark = pytest.mark.django_db
_ENTRIES = 25_000


def wait(series: MailSeries, number: int, *, days: int) -> None:
    """Inserts people who wait; one person waits many times, which the index does not see."""
    due = clock.now() + timedelta(days=days)
    rows = []
    for _ in range(-(-number // _ENTRIES)):
        person = make_user()
        rows += [
            SeriesEnrollment(
                series=series,
                user=person,
                version=1,
                entry=entry,
                planned=True,
                due_at=due + timedelta(seconds=entry),
                entered_at=clock.now(),
            )
            for entry in range(1, min(number, _ENTRIES) + 1)
        ]
    SeriesEnrollment.objects.bulk_create(rows, batch_size=5_000)
    # Where autovacuum analyses a table at this moment, its lock is not waited for.
    analyze = {"postgresql": "ANALYZE (SKIP_LOCKED)", "sqlite": "ANALYZE"}[connection.vendor]
    with connection.cursor() as cursor:
        cursor.execute(analyze)


def plan_of(rows: QuerySet[Any]) -> str:
    explain = {"postgresql": "EXPLAIN", "sqlite": "EXPLAIN QUERY PLAN"}[connection.vendor]
    sql, values = rows.query.sql_with_params()
    with connection.cursor() as cursor:
        cursor.execute(f"{explain} {sql}", values)
        return "\n".join(str(row) for row in cursor.fetchall())


@pytest.mark.parametrize("overdue", [False, True], ids=["live", "paused and overdue"])
def test_the_look_for_due_people_reads_the_index_of_due_rows(frozen: Any, overdue: bool) -> None:
    for number in range(8):
        waiting = make_series(name=f"Welcome {number}")
        if overdue:
            act("pause", waiting)
    make_series(name="Other")
    wait(waiting, 5_000, days=-1 if overdue else 30)
    plan = plan_of(MailSeries.objects.with_due(clock.now()))
    assert "series_enrollment_due" in plan, plan
    assert not MailSeries.objects.with_due(clock.now()).exists()


def probe() -> WorkProbe:
    return WorkProbe({MAIL_SERIES.name: loop_conditions(ScheduleRounds())[MAIL_SERIES.name]})


def test_the_loop_has_work_when_a_person_is_due_and_none_before(frozen: Any) -> None:
    make_series(steps=[{"template_path": PATHS[0], "wait_minutes": 1}])
    found = probe()
    assert not found.find([MAIL_SERIES.name], clock.now())
    happens(make_user())
    for seconds in (0, 60):
        frozen.forward(seconds)
        assert found.find([MAIL_SERIES.name], clock.now())
        go_on()
        assert not found.find([MAIL_SERIES.name], clock.now())


def test_the_people_of_a_round_are_found_by_the_index(frozen: Any) -> None:
    made = make_series()
    wait(made, 5_000, days=30)
    rows = SeriesEnrollment.objects.filter(series=made, due_at__lte=clock.now())
    assert "series_enrollment_due" in plan_of(rows.order_by("due_at")[:500])


def test_a_page_of_one_state_is_found_by_its_index(frozen: Any) -> None:
    for number in range(8):
        made = make_series(name=f"Welcome {number}")
        wait(made, 600, days=30)
    rows = SeriesEnrollment.objects.filter(series=made, state="exited", pk__gt=7)
    assert "series_enrollment_state" in plan_of(rows.order_by("pk")[:50])


@pytest.mark.proof
@pytest.mark.parametrize("overdue", [False, True], ids=["live", "paused and overdue"])
def test_a_million_people_who_wait_cost_no_measurable_time(
    frozen: Any, overdue: bool, record_property: Any
) -> None:
    """The look of each second, and a round of the loop, take as long as with no one."""
    made = make_series()
    make_series(name="Other")
    looks = probe()

    def measure() -> float:
        found = []
        for _ in range(200):
            began = time.perf_counter()
            assert not looks.find([MAIL_SERIES.name], clock.now())
            found.append(time.perf_counter() - began)
        return sorted(found)[100]

    empty = measure()
    if overdue:
        act("pause", made)
    wait(made, 1_000_000, days=-1 if overdue else 30)
    full = measure()
    began = time.perf_counter()
    assert set(maintain_series(now=clock.now()).values()) == {0}
    took = time.perf_counter() - began
    record_property("look_us_empty", round(empty * 1e6))
    record_property("look_us_full", round(full * 1e6))
    record_property("round_ms", round(took * 1e3, 2))
    assert full < empty * 3 + 0.0005
    assert took < 0.2
