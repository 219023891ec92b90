"""Rounds: several at once, giving way, lag, and the command line."""

from __future__ import annotations

import json
import threading
from datetime import timedelta
from typing import Any

import pytest
from click.testing import CliRunner
from django.db import connection

from carillon.cli import carillon
from notifications.domain import loops
from notifications.features.background.giving_way import critical_waits
from notifications.features.operations.health import health
from notifications.features.operations.metrics import metrics_response
from notifications.features.retention import service, steps
from notifications.features.retention.queries import lags
from notifications.features.retention.service import RetentionService
from notifications.features.retention.steps import Step, delete_expired
from notifications.features.upkeep.rounds import loop_calls
from notifications.infra import clock
from notifications.models import Notification, RetentionProgress, reserve_keys
from tests.integration.factories import make_messages
from tests.integration.retention.rows import counts, old_notification

DAY = timedelta(days=1)
OLD = 397 * DAY


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: Any) -> None:
    monkeypatch.setattr("notifications.infra.ports.sleep", lambda _seconds: None)


@pytest.mark.django_db(transaction=True)
def test_rounds_at_once_do_each_row_once(frozen: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr(steps, "_FIRST", 3)
    monkeypatch.setattr(steps, "_MOST", 3)
    for _ in range(30):
        old_notification(frozen.now - OLD)
    done: list[int] = []

    def work() -> None:
        try:
            lines = RetentionService().run(seconds=1_000, now=frozen.now)
            done.extend(row.rows for row in lines if row.table == "notifications_notification")
        finally:
            connection.close()

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    RetentionService().run(seconds=1_000, now=frozen.now)
    assert sum(done) == 30
    assert set(counts().values()) == {0}
    assert RetentionProgress.objects.get(rule="facts").done == 30 * 6


@pytest.mark.django_db
def test_the_loop_runs_the_service(frozen: Any) -> None:
    old_notification(frozen.now - OLD)
    loop_calls()[loops.RETENTION.name]()
    assert not Notification.objects.exists()


@pytest.mark.django_db
def test_a_round_ends_at_its_limit_and_the_next_continues(frozen: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr(steps, "_FIRST", 2)
    monkeypatch.setattr(steps, "_MOST", 2)
    for _ in range(6):
        old_notification(frozen.now - OLD)
    left = []
    for _ in range(3):
        RetentionService().run(seconds=0, now=frozen.now)
        left.append(Notification.objects.count())
    assert left == [4, 2, 0]


@pytest.mark.django_db
def test_a_rule_that_fails_stops_no_other(frozen: Any, monkeypatch: Any) -> None:
    from notifications.features.retention import sources

    def fail(*_: Any) -> None:
        raise ValueError

    monkeypatch.setattr(sources.Broadcasts, "after", fail)
    old_notification(frozen.now - OLD)
    RetentionService().run(seconds=1_000, now=frozen.now)
    assert not Notification.objects.exists()


class TestGivingWay:
    def test_a_step_waits_for_urgent_work_for_a_moment(self) -> None:
        order: list[str] = []
        urgent = iter([True, True, False])

        def step(_: int) -> Step:
            order.append("step")
            return Step(0, 0, 0.0)

        delete_expired(
            {"a": step},
            until=0,
            guard=lambda _name, call: call(),
            rest=lambda _seconds: order.append("rest"),
            urgent=lambda: next(urgent, False),
        )
        assert order == ["rest", "rest", "step"]

    def test_work_that_stays_urgent_delays_a_step_by_50_ms(self) -> None:
        rests: list[float] = []
        delete_expired(
            {"a": lambda _count: Step(0, 0, 0.0)},
            until=0,
            guard=lambda _name, call: call(),
            rest=rests.append,
            urgent=lambda: True,
        )
        assert sum(rests) == pytest.approx(0.05, abs=0.006)

    @pytest.mark.django_db
    def test_a_critical_message_that_is_due_is_urgent(self, frozen: Any) -> None:
        make_messages(1, lane="default")
        assert not critical_waits()
        make_messages(1, lane="critical")
        assert critical_waits()


@pytest.mark.django_db
class TestLag:
    def test_it_grows_while_no_round_runs(self, frozen: Any) -> None:
        RetentionService().run(seconds=1_000, now=frozen.now)
        assert lags(frozen.now)["facts"] == 0
        frozen.forward(3_600)
        assert lags(frozen.now)["facts"] == 3_600

    def test_it_is_the_age_of_the_first_row_that_is_left(
        self, frozen: Any, monkeypatch: Any
    ) -> None:
        monkeypatch.setattr(steps, "_FIRST", 1)
        for age in (500, 450, 400):
            old_notification(frozen.now - age * DAY)
        RetentionService().run(seconds=0, now=frozen.now)
        assert lags(frozen.now)["facts"] == pytest.approx((500 - 396) * 86_400)

    def test_rules_with_an_index_report_their_oldest_row(self, frozen: Any) -> None:
        from notifications.models import RefusedSend, SmsSpend

        RefusedSend.objects.create(
            category="c", reasons=[], actor="a", at=frozen.now - timedelta(days=402)
        )
        SmsSpend.objects.create(day=(frozen.now - 399 * DAY).date())
        found = lags(frozen.now)
        assert found["refused sends"] == 2 * 86_400
        assert found["SMS sums"] == (2.5) * 86_400
        assert found["sessions"] == 0

    def test_it_is_a_metric_and_a_reason_of_health(self, frozen: Any) -> None:
        RetentionService().run(seconds=1_000, now=frozen.now)
        assert "retention" not in health(now=frozen.now).checks
        assert b'notification_retention_lag_seconds{rule="facts"} 0.0' in metrics_response()
        frozen.forward(25 * 3_600)
        found = health(now=frozen.now)
        assert "storage by age is 25 h behind" in str(found.checks["retention"].reason)
        assert any(reason.startswith("retention: ") for reason in found.reasons)


@pytest.mark.django_db
def test_the_command_line_says_what_would_go_and_does_it(monkeypatch: Any, frozen: Any) -> None:
    monkeypatch.setattr("carillon.cli.retention.setup_django", lambda: None)
    old_notification(frozen.now - OLD)
    planned = CliRunner().invoke(carillon, ["retention", "--dry-run"])
    assert "1  notifications_notification rows would be deleted (facts)" in planned.output
    assert Notification.objects.exists()
    as_json = CliRunner().invoke(carillon, ["retention", "--dry-run", "--json"])
    assert {
        "rule": "facts",
        "happens": "deleted",
        "table": "notifications_notification",
        "rows": 1,
    } in json.loads(as_json.output)["rows"]

    done = CliRunner().invoke(carillon, ["retention", "run"])
    assert "1  notifications_notification rows deleted (facts)" in done.output
    assert "nothing is left" in done.output
    assert not Notification.objects.exists()
    assert "nothing is due" in CliRunner().invoke(carillon, ["retention", "--dry-run"]).output
    assert CliRunner().invoke(carillon, ["retention"]).exit_code == 2


def test_a_page_of_the_dry_run_is_bounded() -> None:
    assert service._PAGE <= 1_000


@pytest.mark.django_db
def test_a_block_of_keys_is_used_for_an_hour_at_most(monkeypatch: Any) -> None:
    """Otherwise an idle process would give a young row an old key, behind the position."""
    now = [clock.monotonic()]
    monkeypatch.setattr(clock, "monotonic", lambda: now[0])
    first, second = reserve_keys(1)[0], reserve_keys(1)[0]
    now[0] += 3_601
    third = reserve_keys(1)[0]
    assert second == first + 1 or connection.vendor == "postgresql"
    assert third > second
    if connection.vendor == "postgresql":
        assert (third - 1) // 512 != (second - 1) // 512
