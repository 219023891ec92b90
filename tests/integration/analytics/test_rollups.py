"""Rollups and deltas together equal a recount of the messages, whatever happened and in what order.

The recount reads columns and histories, and shares no code with what writes the deltas.
"""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from django.db import transaction

from notifications.domain.analytics.counts import BIT_COUNTS
from notifications.domain.analytics.periods import Span
from notifications.domain.engagement import quarter_of
from notifications.domain.lifecycle import MessageStatus
from notifications.domain.messages import SendResult, Verdict
from notifications.domain.receipts import Receipt, ReceiptKind
from notifications.features.analytics import rollup
from notifications.features.analytics.reading import Selection, read_counts
from notifications.features.analytics.recount import WorkersRun, begin_again, recount
from notifications.features.analytics.rollup import roll_up_due
from notifications.infra.database.clock_bridge import database_now
from notifications.models import (
    MessageEvent,
    MetricDelta,
    MetricRollup,
    MetricSpan,
    MetricState,
    NotificationAnalytics,
    NotificationMessage,
    WorkerProcess,
    change_status,
)
from notifications.models.delivery.hot import hot
from notifications.queue import batches
from notifications.queue.leases import NewBatch
from notifications.recording.outcomes import Outcome, trails
from notifications.recording.receipts import apply_receipt
from notifications.recording.record import Recording, record, run
from tests.integration.factories import make_messages, make_template

pytestmark = pytest.mark.django_db
S = MessageStatus
BY = ("channel", "template_version_id", "provider", "source", "variant")
DAY = Span(datetime(2030, 4, 1, tzinfo=UTC), datetime(2030, 6, 1, tzinfo=UTC))
OUTCOMES = (S.SENT, S.SENT, S.DELIVERED, S.FAILED, S.SUPPRESSED, S.EXPIRED, S.UNCERTAIN, S.PENDING)
RECEIPTS = (
    ReceiptKind.SENT,
    ReceiptKind.DELIVERED,
    ReceiptKind.BOUNCED,
    ReceiptKind.FAILED,
    ReceiptKind.COMPLAINED,
    ReceiptKind.UNSUBSCRIBED,
)


class Crash(Exception):
    """The process ends here."""


def counted() -> dict[tuple, Counter]:
    """The counts by the service: rollups and what they do not include yet."""
    found = read_counts(Selection(buckets=[DAY], by=BY)).get(0, {})
    return _whole({key: Counter(counts) for key, counts in found.items()})


def recounted() -> dict[tuple, Counter]:
    """The counts by the messages."""
    found: dict[tuple, Counter] = {}
    for message in NotificationMessage.objects.select_related("notification"):
        notification = message.notification
        if notification.is_test:
            continue
        key = (
            message.channel,
            notification.template_version_id or 0,
            message.provider or "",
            notification.source,
            notification.variant or "",
        )
        counts = found.setdefault(key, Counter())
        status = message.status
        if status in ("sent", "delivered"):
            counts["sent"] += 1
        if status == "failed" and message.sent_at is not None:
            counts.update(["sent", "bounced"])
        if status not in ("sent", "pending"):
            counts[status] += 1
        reasons = set(MessageEvent.objects.filter(message_id=message.pk).values_list("reason"))
        counts["complained"] += ("receipt:smtp:complained",) in reasons
        counts["unsubscribed"] += ("receipt:smtp:unsubscribed",) in reasons
    for row in NotificationAnalytics.objects.all():
        key = (row.channel, row.template_version_id or 0, row.provider, row.source, row.variant)
        counts = found.setdefault(key, Counter())
        counts.update([name for name, bit in BIT_COUNTS.items() if row.flags & bit])
    return _whole(found)


def _whole(found: dict[tuple, Counter]) -> dict[tuple, Counter]:
    """Without zeros. What people reported stays in the cohort that they reported on, so its sum."""
    reports: Counter = Counter()
    for counts in found.values():
        for name in ("complained", "unsubscribed"):
            reports[name] += counts.pop(name, 0)
    found = {**found, ("reports",): reports}
    left = {k: Counter({n: c for n, c in counts.items() if c}) for k, counts in found.items()}
    return {key: counts for key, counts in left.items() if counts}


class Play:
    """One random history of messages."""

    def __init__(self, seed: int, frozen) -> None:
        self.random = random.Random(seed)
        self.frozen = frozen
        self.version = make_template().current_version_id

    def step(self) -> None:
        weights = {
            self.accept: 3,
            self.record: 5,
            self.receipt: 5,
            self.replay: 2,
            self.engage: 3,
            self.roll_up: 2,
            self.crash: 2,
            self.wait: 3,
        }
        self.random.choices(list(weights), list(weights.values()))[0]()

    def accept(self) -> None:
        source = self.random.choice(["key:1", "broadcast:7"])
        made = make_messages(
            self.random.randint(1, 4), source=source, channel=self.random.choice(["email", "sms"])
        )
        for message in made:
            note = message.notification
            note.variant = self.random.choice([None, "A", "B"])
            note.is_test = self.random.random() < 0.1
            note.template_version_id = self.random.choice([None, self.version])
            note.save()

    def record(self, *, crash: bool = False) -> None:
        held = batches.lease(owner="w", lane="default", seconds=60)
        loaded = {
            m.id: m for m in hot().load_pending(sorted({k for b in held for k in b.open_keys}))
        }
        outcomes = []
        for lease in held:
            for key in sorted(lease.open_keys):
                if key in loaded and loaded[key].batch_id == lease.batch_id:
                    outcomes.append(self._outcome(lease, loaded[key]))
        if crash:
            with pytest.raises(Crash), Recording(outcomes).transaction(owner="w"):
                raise Crash
        recording = record(outcomes, owner="w")
        assert not recording.busy
        run(Recording(outcomes), owner="w")  # its response was lost, and it is repeated
        batches.release([each for each in held if each.open_keys], "w")
        # Results were known by now, and nothing happens before them.
        self.frozen.now = max([self.frozen.now, *(each.at for each in outcomes)])

    def _outcome(self, lease, message) -> Outcome:
        status = self.random.choice(OUTCOMES)
        at = self.frozen.now + timedelta(seconds=self.random.randint(0, 900))
        success = status in (S.SENT, S.DELIVERED)
        verdict = Verdict.SENT if success else Verdict.FAILED
        result = SendResult(Verdict.UNCERTAIN if status is S.UNCERTAIN else verdict)
        again = at + timedelta(seconds=1) if status is S.PENDING else None
        trail = trails((at, "retry" if again else status, "x"))
        provider = None if status in (S.SUPPRESSED, S.EXPIRED) else "smtp"
        return Outcome(
            lease, message, status, trail, at, 1, provider=provider, result=result, again_at=again
        )

    def _some(self) -> NotificationMessage | None:
        rows = list(NotificationMessage.objects.select_related("notification").order_by("pk"))
        return self.random.choice(rows) if rows else None

    def receipt(self) -> None:
        message = self._some()
        if message is None:
            return
        reference = f"{message.notification.uuid.hex}.{message.channel}"
        kind = self.random.choice(RECEIPTS)
        at = self.random.choice([None, self.frozen.now - timedelta(minutes=40)])
        for _ in range(self.random.randint(1, 2)):
            apply_receipt(
                Receipt(kind, at, reference=reference), provider="smtp", now=self.frozen.now
            )

    def replay(self) -> None:
        message = self._some()
        if message is None:
            return
        moved = change_status(
            [message.pk],
            self.random.choice([S.PENDING, S.FAILED, S.CANCELLED, S.UNCERTAIN]),
            reason="test",
            only_from=frozenset({S.FAILED, S.UNCERTAIN}),
        )
        message.refresh_from_db()
        if moved and message.status == S.PENDING:
            batch = NewBatch(
                "default", message.channel, message.notification.source, None, moved, 0
            )
            (batch_id,) = batches.insert([batch])
            NotificationMessage.objects.filter(pk__in=moved).update(batch_id=batch_id)

    def engage(self) -> None:
        message = self._some()
        if message is None or message.sent_at is None or message.notification.is_test:
            return
        row, _ = NotificationAnalytics.objects.get_or_create(
            pk=message.pk,
            defaults={
                "sent_at": message.sent_at,
                "sent_quarter": quarter_of(message.sent_at),
                "channel": message.channel,
                "template_version_id": message.notification.template_version_id,
                "provider": message.provider or "",
                "source": message.notification.source,
                "variant": message.notification.variant or "",
            },
        )
        row.flags ^= self.random.randint(0, 127)
        row.save(update_fields=["flags"])

    def roll_up(self) -> None:
        roll_up_due()

    def crash(self) -> None:
        """The process ends in the middle of a rollup or of a record."""
        if self.random.random() < 0.5:
            self.record(crash=True)
            return
        with pytest.MonkeyPatch.context() as patch:

            def end(rows: object) -> None:
                list(rows)
                raise Crash

            patch.setattr(rollup, "add_to_spans", end)
            if MetricDelta.objects.exists() or rollup.uncounted().exists():
                with pytest.raises(Crash), transaction.atomic():
                    roll_up_due()

    def wait(self) -> None:
        self.frozen.now += timedelta(seconds=self.random.randint(1, 4_000))


def spans() -> Iterator[tuple[str, Counter]]:
    """The sums by hour and by day, each over everything."""
    names = ["sent", "delivered", "failed", "bounced", "suppressed", "opened_human", "converted"]
    for grain in ("hour", "day"):
        yield grain, _total(MetricSpan.objects.filter(grain=grain).values(*names))
    yield "quarter", _total(MetricRollup.objects.values(*names))


def _total(rows) -> Counter:
    total: Counter = Counter()
    for row in rows:
        total.update(row)
    return Counter({name: number for name, number in total.items() if number})


@pytest.mark.parametrize("seed", range(12))
def test_counts_equal_a_recount_after_any_history(seed, frozen):
    play = Play(seed, frozen)
    for step in range(45):
        play.step()
        if step % 9 == 0:
            assert counted() == recounted()
    assert counted() == recounted()

    roll_up_due()

    assert not MetricDelta.objects.exists()
    assert counted() == recounted()
    assert len({json.dumps(counts, sort_keys=True) for _, counts in spans()}) == 1


@pytest.mark.parametrize("seed", range(100, 105))
def test_a_rebuild_counts_what_happened_before_the_upgrade_once(seed, frozen):
    play = Play(seed, frozen)
    for _ in range(25):
        play.step()
    # An older release wrote no counts.
    for model in (MetricDelta, MetricRollup, MetricSpan):
        model.objects.all().delete()
    NotificationAnalytics.objects.update(counted=0)
    frozen.now += timedelta(hours=2)
    MetricState.objects.update(counts_since=frozen.now)
    frozen.now += timedelta(seconds=1)
    for _ in range(15):
        play.step()

    recount()

    assert counted() == recounted()
    recount()
    assert counted() == recounted()

    frozen.now += timedelta(hours=2)
    WorkerProcess.objects.create(
        owner="w", started_at=frozen.now, lease_until=database_now() + timedelta(seconds=5)
    )
    with pytest.raises(WorkersRun):
        begin_again()
    WorkerProcess.objects.all().delete()
    begin_again()
    MetricState.objects.update(counts_since=frozen.now)  # not by the database's clock, as it is
    recount()
    while roll_up_due():
        pass
    assert counted() == recounted()
