"""Jobs, broadcasts, series and the tables of which each row stands for itself."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest

from directory.models import AddressProof
from notifications.domain.errors import Conflict
from notifications.features.broadcasts.delivery.retry import retry
from notifications.features.retention.service import RetentionService
from notifications.features.scheduling.rescheduling import reschedule
from notifications.models import (
    Broadcast,
    BroadcastRecipient,
    Category,
    DeadLetter,
    DeliveryAttempt,
    DigestBucket,
    DigestItem,
    InboundSender,
    InboundSms,
    Job,
    LateOutcome,
    LegalHold,
    MessageEvent,
    Notification,
    NotificationMessage,
    RefusedSend,
    ScheduleClock,
    ScheduleMember,
    ScheduleOccurrence,
    ScheduleSeries,
    StatusEvent,
    WebhookDelivery,
)
from notifications.models.fields import EMPTIED
from tests.integration.factories import make_user
from tests.integration.retention.rows import dead_letter, old_notification
from vault.models import DataKey, ErasedKey

pytestmark = pytest.mark.django_db
DAY = timedelta(days=1)
FACTS, CONTENTS = 396 * DAY, 30 * DAY
OLD = FACTS + DAY


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: Any) -> None:
    monkeypatch.setattr("notifications.infra.ports.sleep", lambda _seconds: None)


def run(frozen: Any) -> None:
    RetentionService().run(seconds=1_000, now=frozen.now)


def later(frozen: Any) -> None:
    """Runs rounds a day later: the first looks again at what had to stay."""
    frozen.forward(86_400 + 600)
    run(frozen)
    frozen.forward(86_400 + 600)
    run(frozen)


def job_of(*notifications: Notification, at: datetime, **values: Any) -> Job:
    keys = [row.pk for row in notifications]
    job = Job.objects.create(
        source="key:1",
        context={"course": "Algebra"},
        total=len(keys),
        accepted=len(keys),
        first_key=min(keys, default=None),
        last_key=max(keys, default=None),
        created_at=at,
        **values,
    )
    Notification.objects.filter(pk__in=keys).update(job=job)
    return job


class TestJobs:
    def test_a_job_goes_after_its_notifications(self, frozen: Any) -> None:
        old = old_notification(frozen.now - OLD)
        job_of(old, at=frozen.now - OLD)
        job_of(at=frozen.now - OLD)
        stays = job_of(old_notification(frozen.now - DAY), at=frozen.now - DAY)
        run(frozen)
        later(frozen)
        assert set(Job.objects.all()) == {stays}
        held = DataKey.objects.filter(kind=DataKey.Kind.JOB)
        assert [key.pk for key in held] == [stays.key_id]

    def test_a_job_of_which_one_message_is_open_stays(self, frozen: Any) -> None:
        open_one = old_notification(frozen.now - OLD, statuses=("uncertain",))
        job_of(old_notification(frozen.now - OLD), open_one, at=frozen.now - OLD)
        later(frozen)
        assert Notification.objects.count() == 1
        assert Job.objects.get().context == {"course": "Algebra"}
        NotificationMessage.objects.update(status="sent")
        later(frozen)
        assert not Job.objects.exists()

    def test_a_shared_context_is_emptied_after_the_contents(self, frozen: Any) -> None:
        at = frozen.now - CONTENTS - DAY
        ended = job_of(old_notification(at), at=at)
        waits = job_of(old_notification(at, statuses=("pending",)), at=at)
        young = job_of(old_notification(frozen.now), at=frozen.now)
        run(frozen)
        later(frozen)
        assert set(Job.objects.filter(context=EMPTIED)) == {ended}
        assert Job.objects.get(pk=ended.pk).context is None
        assert ErasedKey.objects.filter(pk=ended.key_id).exists()
        assert Job.objects.get(pk=ended.pk).key_id is None
        assert Job.objects.get(pk=waits.pk).context == Job.objects.get(pk=young.pk).context

    def test_the_context_stays_as_long_as_the_category_says(self, frozen: Any) -> None:
        Category.objects.filter(key="security").update(retention_days=3_650)
        at = frozen.now - OLD
        job_of(old_notification(at, category="security"), at=at)
        run(frozen)
        later(frozen)
        assert Job.objects.get().context == {"course": "Algebra"}


class TestBroadcasts:
    def make(self, at: datetime, people: int = 3, **values: Any) -> Broadcast:
        values.setdefault("status", "completed")
        made = Broadcast.objects.create(target_group="all", message="m", **values)
        Broadcast.objects.filter(pk=made.pk).update(created_at=at, updated_at=at)
        for _ in range(people):
            BroadcastRecipient.objects.create(broadcast=made, recipient=make_user())
        return made

    def test_a_broadcast_goes_with_its_recipients(self, frozen: Any) -> None:
        self.make(frozen.now - OLD)
        young = self.make(frozen.now)
        run(frozen)
        assert Broadcast.objects.get() == young
        assert BroadcastRecipient.objects.count() == 3

    @pytest.mark.parametrize("status", ["draft", "scheduled", "sending", "paused", "sent"])
    def test_one_that_is_not_over_stays(self, frozen: Any, status: str) -> None:
        self.make(frozen.now - OLD, status=status)
        later(frozen)
        assert BroadcastRecipient.objects.count() == 3

    def test_the_age_counts_from_its_end(self, frozen: Any) -> None:
        self.make(frozen.now - OLD, completed_at=frozen.now - DAY)
        run(frozen)
        assert Broadcast.objects.exists()
        frozen.forward(FACTS.total_seconds() + 86_400)
        run(frozen)
        assert not Broadcast.objects.exists()

    def test_many_recipients_go_in_several_steps(self, frozen: Any, monkeypatch: Any) -> None:
        monkeypatch.setattr("notifications.features.retention.steps._FIRST", 2)
        monkeypatch.setattr("notifications.features.retention.steps._MOST", 2)
        self.make(frozen.now - OLD, people=5)
        self.make(frozen.now - OLD, people=5)
        planned = RetentionService().dry_run(now=frozen.now)
        assert planned == RetentionService().run(seconds=1_000, now=frozen.now)
        assert not BroadcastRecipient.objects.exists()
        assert not Broadcast.objects.exists()

    def test_a_recipient_under_a_legal_hold_stays_with_the_broadcast(self, frozen: Any) -> None:
        made = self.make(frozen.now - OLD)
        held = BroadcastRecipient.objects.earliest("pk").recipient_id

        LegalHold.objects.create(user_id=held, reason="case", actor="a", created_at=frozen.now)
        try:
            run(frozen)
        finally:
            LegalHold.objects.all().delete()
        assert BroadcastRecipient.objects.get().recipient_id == held
        assert Broadcast.objects.get() == made

    def test_a_retry_after_the_texts_were_emptied_is_refused(self, frozen: Any) -> None:
        at = frozen.now - CONTENTS - DAY
        job = job_of(old_notification(at, statuses=("failed",)), at=at)
        made = self.make(at, job=job)
        BroadcastRecipient.objects.update(state="failed")
        run(frozen)
        later(frozen)
        with pytest.raises(Conflict) as caught:
            retry(made.pk, now=frozen.now)
        assert caught.value.code == "contents_expired"


def test_a_notification_is_not_sent_again_after_its_texts_were_emptied(frozen: Any) -> None:
    old = old_notification(frozen.now - CONTENTS - DAY, statuses=("failed",))
    run(frozen)
    with pytest.raises(Conflict) as caught:
        reschedule(old.pk, due_at=frozen.now, by="user:1")
    assert caught.value.code == "contents_expired"


def test_a_series_that_ended_goes_with_its_members(frozen: Any) -> None:
    made = {}
    for ended_at in (None, frozen.now - OLD, frozen.now - DAY):
        series = ScheduleSeries.objects.create(
            category=Category.objects.get(key="system"),
            type="system",
            priority=3,
            channels=[],
            text={"title": "t", "message": "m"},
            rule="FREQ=DAILY",
            misfire="skip",
            grace_s=0,
            created_at=frozen.now - 2 * OLD,
            ended_at=ended_at,
        )
        zone = ScheduleClock.objects.create(series=series, zone="UTC")
        ScheduleMember.objects.create(series=series, clock=zone, user=make_user())
        for at in (frozen.now - OLD, frozen.now - DAY):
            ScheduleOccurrence.objects.create(
                series=series, zone="UTC", wall=str(at), due_at=at, made_at=at, count=1
            )
        made[ended_at] = series
    run(frozen)
    assert set(ScheduleSeries.objects.all()) == {made[None], made[frozen.now - DAY]}
    assert ScheduleMember.objects.count() == ScheduleClock.objects.count() == 2
    assert ScheduleOccurrence.objects.count() == 2


def test_ended_deliveries_of_webhooks_go_and_waiting_ones_stay(frozen: Any) -> None:
    for number, (age, next_at) in enumerate(((8, None), (8, frozen.now), (6, None))):
        StatusEvent.objects.create(message_id=1, kind="message.sent", at=frozen.now)
        WebhookDelivery.objects.create(
            endpoint_id=number,
            event_id=number,
            next_at=next_at,
            created_at=frozen.now - age * DAY,
        )
    run(frozen)
    left = WebhookDelivery.objects.values_list("endpoint_id", flat=True).order_by("endpoint_id")
    assert list(left) == [1, 2]


def test_facts_without_a_message_go(frozen: Any) -> None:
    message = old_notification(frozen.now - DAY).pk
    for at in (frozen.now - OLD, frozen.now):
        for key in (message, 987_654):
            DeliveryAttempt.objects.create(
                message_id=key, number=2, provider="p", verdict="v", at=at
            )
            MessageEvent.objects.create(message_id=key, kind="late", at=at)
            LateOutcome.objects.create(message_id=key, provider="p", verdict="v", at=at)
    dead_letter(Notification(pk=987_654), frozen.now - OLD, resolved=True)
    dead_letter(Notification(pk=987_654), frozen.now - OLD, resolved=False)
    run(frozen)
    for model in (DeliveryAttempt, MessageEvent, LateOutcome):
        rows: Any = model._default_manager.filter(message_id=987_654)
        assert [row.at for row in rows] == [frozen.now]
        assert model._default_manager.filter(message_id=message).count() == 3
    assert [row.resolved_at for row in DeadLetter.objects.all()] == [None]


def test_texts_of_inbound_sms_and_digests_are_emptied(frozen: Any) -> None:
    for age in (31, 29):
        at = frozen.now - age * DAY
        InboundSms.objects.create(
            provider="twilio",
            provider_message_id=str(age),
            keyword="other",
            content={"from": "+1", "text": "hello"},
            received_at=at,
        )
        for closed_at in (at, None):
            bucket = DigestBucket.objects.create(
                user=make_user(),
                channel="email",
                frequency="daily",
                period=f"{age}{closed_at}",
                closes_at=at,
                closed_at=closed_at,
                created_at=at,
            )
            DigestItem.objects.create(
                bucket=bucket,
                message_id=bucket.pk,
                notification_id=1,
                category_id=1,
                summary={"title": "t"},
                at=at,
            )
    run(frozen)
    texts = InboundSms.objects.order_by("received_at")
    assert [row.content for row in texts] == [None, {"from": "+1", "text": "hello"}]
    items = DigestItem.objects.order_by("at", "pk")
    assert [row.summary for row in items] == [None, {"title": "t"}, {"title": "t"}, {"title": "t"}]


def test_proofs_of_addresses_go_a_day_after_they_ended(frozen: Any) -> None:
    for hours in (25, 23):
        AddressProof.objects.create(
            user=make_user(),
            kind="email",
            code_hash="h",
            window_began=frozen.now,
            created_at=frozen.now - 3 * DAY,
            expires_at=frozen.now - timedelta(hours=hours),
        )
    run(frozen)
    assert AddressProof.objects.count() == 1
    later(frozen)
    assert not AddressProof.objects.exists()


def test_a_hold_concerns_refused_sends_digests_and_inbound_sms(frozen: Any) -> None:
    from notifications.features.upkeep.maintenance import maintain

    old = frozen.now - timedelta(days=1_000)
    held, other = make_user().pk, make_user().pk
    for user in (held, other):
        RefusedSend.objects.create(user_id=user, category="c", reasons=[], actor="a", at=old)
        text = InboundSms.objects.create(
            provider="twilio",
            provider_message_id=str(user),
            keyword="other",
            content={},
            users=[user],
            received_at=old,
        )
        InboundSender.objects.create(text=text, user_id=user)
        DigestBucket.objects.create(
            user_id=user,
            channel="email",
            frequency="daily",
            period="p",
            closes_at=old,
            closed_at=old,
            created_at=old,
        )

    LegalHold.objects.create(user_id=held, reason="case", actor="a", created_at=frozen.now)
    try:
        maintain()
    finally:
        LegalHold.objects.all().delete()
    assert RefusedSend.objects.get().user_id == held
    assert DigestBucket.objects.get().user_id == held
    assert InboundSms.objects.get().users == [held]
