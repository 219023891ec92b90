"""What must be done now and then, by any process, as often as anybody likes."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial
from zlib import crc32

from django.contrib.sessions.models import Session
from django.db import transaction

from notifications.features.background.items import Items
from notifications.features.broadcasts.delivery.upkeep import check_counts
from notifications.features.dead_letters.service import update_alert
from notifications.features.upkeep.digests import close_due
from notifications.features.upkeep.expiry import Deletion, Step, delete_expired, oldest, walk
from notifications.infra import clock
from notifications.infra.conf import environment
from notifications.infra.database.clock_bridge import database_now
from notifications.models import (
    DigestBucket,
    FrequencyCount,
    IdempotencyKey,
    InboundSms,
    ItemFault,
    ProviderCallback,
    ProviderFlow,
    QueuedTask,
    RefusedSend,
    SmsCharge,
    StatusEvent,
    StoredAttachment,
    TemplateOverrun,
    ThrottleCount,
    WebhookDelivery,
    Work,
)
from notifications.queue import takeover

_ROUND_S = 20.0
CALLBACKS_KEPT = timedelta(days=30)
DIGESTS_KEPT = timedelta(days=90)  # what they said is in the digest; explain names them so long
REFUSALS_KEPT = timedelta(days=400)
EVENTS_KEPT = timedelta(days=30)
CHARGES_KEPT = timedelta(days=3)  # sums of days are kept
TEXTS_KEPT = timedelta(days=90)  # what STOP and START did stands in the consent ledger
TASKS_KEPT = timedelta(days=7)  # of queued tasks, what they answered
OVERRUNS_KEPT = timedelta(days=30)  # a day's count; what was stopped for it stays stopped
SERVICES_KEPT = timedelta(days=7)
FAULTS_KEPT = timedelta(days=90)  # an item that is set aside fails anew every day, while it exists


def maintain(*, seconds: float = _ROUND_S) -> dict[str, int]:
    """Sends the digests that are due, raises the alert of dead letters, takes over what dead
    workers held, and deletes what no longer counts (`expired`).

    Bounded to about that many seconds; what is left over is deleted next time. A step that fails
    holds up no other.
    """
    now = database_now()
    until = clock.monotonic() + seconds
    items = Items(Work.MAINTAIN, now=now)
    steps: dict[str, Callable[[], int]] = {
        "batches_taken_over": lambda: takeover.sweep(everywhere=True).batches,
        "digests_sent": partial(close_due, now=now),
        "dead_letter_alerts": lambda: int(update_alert(now=now) == "raised"),
        "broadcasts_miscounted": partial(check_counts, now=now),
    }
    done = {
        name: items.run_one(crc32(name.encode()), step, default=0, name=name)
        for name, step in steps.items()
    }

    def guard(name: str, step: Callable[[], Step]) -> Step | None:
        return items.run_one(crc32(name.encode()), step, default=None, name=name)

    return {**done, **delete_expired(expired(now), until=until, guard=guard)}


def expired(now: datetime) -> dict[str, Deletion]:
    """What no longer counts, table by table: idempotency keys, refused sends, counts of limits,
    digests sent long ago, callbacks, status events and their deliveries, bookings of SMS, texts,
    failures of items, queued tasks, sessions, files, and hosts that nothing was heard of."""
    keys = IdempotencyKey.objects.filter(
        created_at__lt=now - timedelta(hours=environment().idempotency_hours)
    )
    refused = RefusedSend.objects.filter(at__lt=now - REFUSALS_KEPT)
    counts = FrequencyCount.objects.filter(until__lt=now)
    told = DigestBucket.objects.filter(closed_at__lt=now - DIGESTS_KEPT)
    calls = ProviderCallback.objects.filter(
        received_at__lt=now - CALLBACKS_KEPT, next_at__isnull=True
    )
    events = StatusEvent.objects.filter(at__lt=now - EVENTS_KEPT)
    deliveries = WebhookDelivery.objects.filter(created_at__lt=now - EVENTS_KEPT)
    charges = SmsCharge.objects.filter(day__lt=(now - CHARGES_KEPT).date())
    texts = InboundSms.objects.filter(received_at__lt=now - TEXTS_KEPT)
    faults = ItemFault.objects.filter(failed_at__lt=now - FAULTS_KEPT)
    done = QueuedTask.objects.filter(ended_at__lt=now - TASKS_KEPT)
    throttles = ThrottleCount.objects.filter(until__lt=now)
    sessions = Session.objects.filter(expire_date__lt=now)
    idle = partial(ProviderFlow.objects.idle, before=now - SERVICES_KEPT)
    return {
        "idempotency_keys_deleted": oldest(keys.order_by("created_at")),
        "refused_sends_deleted": oldest(refused.order_by("at")),
        "frequency_counts_deleted": oldest(counts.order_by("until")),
        "digests_deleted": oldest(told.order_by("closed_at", "pk")),
        "callbacks_deleted": oldest(calls.order_by("received_at", "pk")),
        "status_events_deleted": oldest(events.order_by("at", "pk")),
        "webhook_deliveries_deleted": oldest(deliveries.order_by("created_at", "pk")),
        "sms_charges_deleted": oldest(charges.order_by("day", "message_id")),
        "inbound_sms_deleted": oldest(texts.order_by("received_at")),
        "item_faults_deleted": oldest(faults.order_by("failed_at")),
        "overruns_deleted": walk(
            TemplateOverrun.objects.all(), lambda part: part.filter(last_at__lt=now - OVERRUNS_KEPT)
        ),
        "queued_tasks_deleted": oldest(done.order_by("ended_at")),
        "throttle_counts_deleted": oldest(throttles.order_by("until")),
        "sessions_deleted": oldest(sessions.order_by("expire_date")),
        "idle_services_deleted": walk(ProviderFlow.objects.all(), idle),
        "attachments_deleted": partial(_forget_files, now),
    }


def _forget_files(now: datetime, count: int) -> Step:
    with transaction.atomic():
        began = clock.monotonic()
        looked, deleted = StoredAttachment.objects.delete_expired(now=now, limit=count)
        return Step(looked, deleted, clock.monotonic() - began)
