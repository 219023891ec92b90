"""Expired rows are deleted completely, in small steps, within a time budget."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.contrib.sessions.models import Session
from django.db import connection
from django.db.models import Model

from directory.models import User
from notifications.features.background.giving_way import wanted_step_s
from notifications.features.retention import steps
from notifications.features.retention.indexed_rules import INDEXED
from notifications.features.retention.service import deletion_name
from notifications.features.retention.steps import Step, delete_expired
from notifications.features.upkeep.maintenance import maintain
from notifications.infra import clock
from notifications.models import (
    Conversion,
    DataExport,
    DataExportPart,
    DigestBucket,
    DigestItem,
    EngagementHours,
    FrequencyCount,
    Goal,
    IdempotencyKey,
    InboundSms,
    ItemFault,
    MailSeries,
    MetricRollup,
    MetricSpan,
    PersonEvent,
    ProviderCallback,
    ProviderFlow,
    QueuedTask,
    RefusedSend,
    SeriesEnrollment,
    SeriesHandover,
    SharedMark,
    SignIn,
    SmsCharge,
    SmsSpend,
    StaffInvitation,
    StatusEvent,
    StoredAttachment,
    TemplateOverrun,
    TemplateUsage,
    ThrottleCount,
    TrackingEvent,
    WebhookDelivery,
    WebProcess,
)
from tests.integration.factories import make_user

pytestmark = pytest.mark.django_db
Make = Callable[[int, Any], Model]
OLD = timedelta(days=1_200)


def export_that_lives() -> int:
    """Returns the id of an export that does not expire in these tests."""
    at = clock.now() + timedelta(days=1_000)
    values = {"own": True, "state": "ready", "requested_at": at, "expires_at": at, "next_at": at}
    return DataExport.objects.get_or_create(user_id=1, defaults=values)[0].pk


def user_who_stays() -> int:
    """Returns the id of a user."""
    found = User.objects.filter(external_id="stays").first() or make_user(external_id="stays")
    return found.pk


ROWS: dict[str, tuple[type[Model], Make]] = {
    "idempotency_keys_deleted": (
        IdempotencyKey,
        lambda n, at: IdempotencyKey(
            principal="p", method="POST", route="r", key=f"{at}{n}", body_hash="", created_at=at
        ),
    ),
    "refused_sends_deleted": (
        RefusedSend,
        lambda n, at: RefusedSend(
            id=n + at.year * 1_000_000,
            uuid=uuid4(),
            category="c",
            reasons=[],
            actor="a",
            at=at,
        ),
    ),
    "frequency_counts_deleted": (
        FrequencyCount,
        lambda n, at: FrequencyCount(user_id=n, scope=str(at), channel="", window_s=1, until=at),
    ),
    "digests_deleted": (
        DigestBucket,
        lambda n, at: DigestBucket(
            user_id=n,
            channel="email",
            frequency="daily",
            period=str(at),
            closes_at=at,
            closed_at=at,
            created_at=at,
        ),
    ),
    "callbacks_deleted": (
        ProviderCallback,
        lambda n, at: ProviderCallback(
            provider="generic", digest=f"{at}{n}", call={}, received_at=at
        ),
    ),
    "status_events_deleted": (
        StatusEvent,
        lambda n, at: StatusEvent(message_id=n, kind="message.sent", at=at),
    ),
    "webhook_deliveries_deleted": (
        WebhookDelivery,
        lambda n, at: WebhookDelivery(
            endpoint_id=n, event_id=at.year, state="delivered", created_at=at
        ),
    ),
    "sms_charges_deleted": (
        SmsCharge,
        lambda n, at: SmsCharge(day=at.date(), message_id=n, attempt=1),
    ),
    "sms_sums_deleted": (
        SmsSpend,
        lambda n, at: SmsSpend(day=at.date() + timedelta(days=n if at.year >= 2030 else -n)),
    ),
    "template_usage_deleted": (
        TemplateUsage,
        lambda n, at: TemplateUsage(
            version_id=n, channel="email", locale="en", day=at.date(), count=1
        ),
    ),
    "inbound_sms_deleted": (
        InboundSms,
        lambda n, at: InboundSms(
            provider="twilio",
            provider_message_id=f"{at}{n}",
            keyword="other",
            content={},
            received_at=at,
        ),
    ),
    "item_faults_deleted": (
        ItemFault,
        lambda n, at: ItemFault(
            work="maintain", item=n + at.year * 1_000_000, failed_at=at, next_at=at
        ),
    ),
    "queued_tasks_deleted": (
        QueuedTask,
        lambda n, at: QueuedTask(
            task_id=f"{at}{n}",
            name="t",
            call="[]",
            state="done",
            due_at=at,
            created_at=at,
            ended_at=at,
        ),
    ),
    "overruns_deleted": (
        TemplateOverrun,
        lambda n, at: TemplateOverrun(version_id=n + at.year * 1_000_000, source="s", last_at=at),
    ),
    "throttle_counts_deleted": (
        ThrottleCount,
        lambda n, at: ThrottleCount(key=f"{at:%y}{n}", began=at, not_before=at, until=at),
    ),
    "sessions_deleted": (
        Session,
        lambda n, at: Session(session_key=f"{at:%y}{n}", session_data="", expire_date=at),
    ),
    "sign_ins_deleted": (
        SignIn,
        lambda n, at: SignIn(
            user_id=user_who_stays(),
            kind="session",
            method="password",
            session_key=f"{at:%y}{n}",
            created_at=at,
            seen_at=at,
            expires_at=at,
        ),
    ),
    "invitations_of_staff_deleted": (
        StaffInvitation,
        lambda n, at: StaffInvitation(
            email=f"{n}@example.org", role="author", created_at=at, expires_at=at
        ),
    ),
    "shared_marks_deleted": (
        SharedMark,
        lambda n, at: SharedMark(key=f"{at:%y}{n}", until=at),
    ),
    "presence_deleted": (
        WebProcess,
        lambda n, at: WebProcess(owner=f"{at:%y}{n}", lease_until=at),
    ),
    "opens_and_clicks_deleted": (
        TrackingEvent,
        lambda n, at: TrackingEvent(message_id=n, notification_id=n, kind="open", at=at),
    ),
    "metrics_of_quarters_deleted": (
        MetricRollup,
        lambda n, at: MetricRollup(quarter=at, channel="email", template_version_id=n),
    ),
    "metrics_of_days_deleted": (
        MetricSpan,
        lambda n, at: MetricSpan(grain="day", starts=at, channel="email", template_id=n),
    ),
    "engagement_hours_deleted": (
        EngagementHours,
        lambda n, at: EngagementHours(user=make_user(), channel="email", updated_at=at),
    ),
    "events_of_people_deleted": (
        PersonEvent,
        lambda n, at: PersonEvent(
            user_id=n, name="x", occurred_at=at, idempotency_key=f"{at:%y}{n}", received_at=at
        ),
    ),
    "steps_of_mail_series_deleted": (
        SeriesHandover,
        lambda n, at: SeriesHandover(
            enrollment_id=enrollment_that_stays(),
            position=n + at.year % 10 * 2_000,
            notification_id=n,
            at=at,
        ),
    ),
    "conversions_deleted": (
        Conversion,
        lambda n, at: Conversion(
            goal_id=goal_that_stays(), event_id=n + at.year * 10_000, user_id=n, occurred_at=at
        ),
    ),
    "idle_services_deleted": (
        ProviderFlow,
        lambda n, at: ProviderFlow(service=f"webhook|{n}.{at:%y}", last_success_at=at),
    ),
    "exports_deleted": (
        DataExport,
        lambda n, at: DataExport(
            user_id=n, own=False, state="ready", requested_at=at, expires_at=at, next_at=at
        ),
    ),
    "export_parts_deleted": (
        DataExportPart,
        lambda n, at: DataExportPart(
            export_id=export_that_lives(),
            number=n + at.year * 10_000,
            section="profile",
            content=b"",
            expires_at=at,
        ),
    ),
    "attachments_deleted": (
        StoredAttachment,
        lambda n, at: StoredAttachment(
            about=b"", content=b"", first_key=n, last_key=n, keep_until=at
        ),
    ),
}


def goal_that_stays() -> int:
    return Goal.objects.get_or_create(name="g", defaults={"event": "x"})[0].pk


def enrollment_that_stays() -> int:
    series, _ = MailSeries.objects.get_or_create(name="s", defaults={"trigger": "event"})
    values = {"version": 1, "entered_at": clock.now()}
    rows = SeriesEnrollment.objects
    return rows.get_or_create(series=series, user_id=user_who_stays(), defaults=values)[0].pk


def fill(name: str, count: int, at: Any) -> type[Model]:
    model, make = ROWS[name]
    model._default_manager.bulk_create((make(n, at) for n in range(1, count + 1)), batch_size=1_000)
    return model


def test_every_expiring_table_is_covered_here(frozen: Any) -> None:
    assert {deletion_name(rule) for rule in INDEXED} == ROWS.keys()


@pytest.mark.parametrize("name", ROWS)
def test_one_round_deletes_everything_that_has_expired(
    name: str, frozen: Any, monkeypatch: Any
) -> None:
    monkeypatch.setattr(steps.ports, "sleep", lambda _seconds: None)
    # More than one step of the largest size, for one table; the others take some small steps.
    count = {"attachments_deleted": 700, "idempotency_keys_deleted": 6_000}.get(name, 1_200)
    model = fill(name, count, frozen.now - OLD)
    fill(name, 3, frozen.now + timedelta(seconds=1))

    assert maintain(seconds=1_000)[name] == count
    assert model._default_manager.count() == 3
    assert maintain()[name] == 0


def test_dependent_rows_are_deleted_with_their_row(frozen: Any) -> None:
    fill("digests_deleted", 1, frozen.now - OLD)
    DigestItem.objects.create(
        bucket=DigestBucket.objects.get(),
        message_id=1,
        notification_id=1,
        category_id=1,
        summary={},
        at=frozen.now,
    )
    maintain()
    assert not DigestItem.objects.exists()


class TestBudget:
    """Steps that are measured by a clock of the test."""

    @pytest.fixture
    def spent(self, monkeypatch: Any) -> list[float]:
        at = [1_000.0]
        monkeypatch.setattr(clock, "monotonic", lambda: at[0])
        return at

    def table(self, spent: list[float], rows: int, row_s: float, requested: list[int]) -> Any:
        left = [rows]

        def delete(count: int) -> Step:
            requested.append(count)
            gone = min(count, left[0])
            left[0] -= gone
            spent[0] += gone * row_s
            return Step(gone, gone, gone * row_s)

        return delete

    def run(self, tables: Any, *, until: float, rests: list[float] | None = None) -> Any:
        rest = (rests if rests is not None else []).append
        return delete_expired(tables, until=until, guard=lambda _name, step: step(), rest=rest)

    def test_a_round_ends_at_its_time_limit_and_the_next_resumes(self, spent: list[float]) -> None:
        table = {"slow": self.table(spent, 100_000, 0.001, [])}
        first = self.run(table, until=spent[0] + 20)["slow"]
        assert 19_000 < first < 21_000
        rest = 0
        while rest < 100_000 - first:
            rest += self.run(table, until=spent[0] + 20)["slow"]
        assert first + rest == 100_000
        assert self.run(table, until=spent[0] + 20)["slow"] == 0

    def test_a_large_table_does_not_delay_the_others(self, spent: list[float]) -> None:
        done = self.run(
            {
                "great": self.table(spent, 10**9, 0.0001, []),
                "small": self.table(spent, 3_000, 0.0001, []),
            },
            until=spent[0] + 5,
        )
        assert done["small"] == 3_000
        assert done["great"] > 10_000

    def test_each_table_has_one_step_even_after_the_time_limit(self, spent: list[float]) -> None:
        done = self.run(
            {name: self.table(spent, 10, 100, []) for name in ("a", "b")}, until=spent[0]
        )
        assert done == {"a": 10, "b": 10}

    @pytest.mark.parametrize("row_s", [0.1, 0.001, 0.00001])
    def test_a_step_takes_no_longer_than_other_writers_may_wait(
        self, spent: list[float], row_s: float
    ) -> None:
        wanted_s = wanted_step_s()
        requested: list[int] = []
        self.run({"x": self.table(spent, 10**9, row_s, requested)}, until=spent[0] + 60)
        assert all(size * row_s <= wanted_s * 1.01 or size == 1 for size in requested[3:])
        assert max(requested) <= 5_000
        assert requested[-1] == pytest.approx(min(5_000, max(1, wanted_s / row_s)), rel=0.05)

    def test_a_step_is_followed_by_a_pause_of_the_same_length(self, spent: list[float]) -> None:
        rests: list[float] = []
        self.run({"x": self.table(spent, 2_000, 0.0001, [])}, until=spent[0] + 60, rests=rests)
        assert sum(rests) == pytest.approx(0.2, rel=0.2)

    def test_a_table_that_fails_stops_and_the_others_continue(self, spent: list[float]) -> None:
        done = delete_expired(
            {"bad": self.table(spent, 9, 1, []), "good": self.table(spent, 900, 0, [])},
            until=spent[0] + 5,
            guard=lambda name, step: None if name == "bad" else step(),
            rest=lambda _seconds: None,
        )
        assert done == {"bad": 0, "good": 900}


@pytest.mark.parametrize(
    "rule", [rule for rule in INDEXED if not rule.small], ids=lambda rule: rule.name
)
def test_expired_rows_are_found_by_an_index(rule: Any, frozen: Any) -> None:
    """Without an index, each step would read the table from its beginning."""
    rows = rule.due(frozen.now)
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute("SET LOCAL enable_seqscan = off")
            cursor.execute("SET LOCAL enable_bitmapscan = off")
            plan = rows.values_list("pk", flat=True)[:500].explain()
            assert "Index" in plan
            assert "Sort" not in plan
        else:
            plan = rows.values_list("pk", flat=True)[:500].explain()
            assert "INDEX" in plan or "PRIMARY KEY" in plan
            assert "B-TREE" not in plan
