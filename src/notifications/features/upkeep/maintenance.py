"""Periodic maintenance: any process may do it, at any time."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial
from zlib import crc32

from django.contrib.sessions.models import Session
from django.db import transaction

from notifications.features.audit.retention import (
    empty_contents,
    propose_ranges,
    surplus_checkpoints,
)
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
CALLBACKS_RETENTION = timedelta(days=30)
DIGESTS_RETENTION = timedelta(days=90)  # `explain` names a message's digest for so long
REFUSALS_RETENTION = timedelta(days=400)
EVENTS_RETENTION = timedelta(days=30)
CHARGES_RETENTION = timedelta(days=3)  # the sums of days are stored for longer
TEXTS_RETENTION = timedelta(days=90)  # the consent ledger stores what STOP and START did
TASKS_RETENTION = timedelta(days=7)  # ended tasks with their results
OVERRUNS_RETENTION = timedelta(days=30)  # counts of a day; a version stopped for them stays stopped
SERVICES_RETENTION = timedelta(days=7)
FAULTS_RETENTION = timedelta(days=90)  # an item that is set aside fails again every day


def maintain(*, seconds: float = _ROUND_S) -> dict[str, int]:
    """Sends due digests, raises the alert about dead letters, takes over the batches of dead
    workers, and deletes what is no longer needed (`expired`).

    Takes about `seconds`; the next call deletes the rest. A step that fails stops no other.
    """
    now = database_now()
    until = clock.monotonic() + seconds
    items = Items(Work.MAINTAIN, now=now)
    steps: dict[str, Callable[[], int]] = {
        "batches_taken_over": lambda: takeover.sweep(everywhere=True).batches,
        "digests_sent": partial(close_due, now=now),
        "dead_letter_alerts": lambda: int(update_alert(now=now) == "raised"),
        "broadcasts_miscounted": partial(check_counts, now=now),
        "audit_ranges_proposed": partial(propose_ranges, now=now),
    }
    done = {
        name: items.run_one(crc32(name.encode()), step, default=0, name=name)
        for name, step in steps.items()
    }

    def guard(name: str, step: Callable[[], Step]) -> Step | None:
        return items.run_one(crc32(name.encode()), step, default=None, name=name)

    return {**done, **delete_expired(expired(now), until=until, guard=guard)}


def expired(now: datetime) -> dict[str, Deletion]:
    """Returns the deletions of rows that are no longer needed, by table.

    They are idempotency keys, refused sends, counts of limits, digests sent long ago, callbacks,
    status events with their deliveries, charges of SMS, received texts, failures of items, queued
    tasks, sessions, files, and services that were not used lately.
    """
    keys = IdempotencyKey.objects.filter(
        created_at__lt=now - timedelta(hours=environment().idempotency_hours)
    )
    refused = RefusedSend.objects.filter(at__lt=now - REFUSALS_RETENTION)
    counts = FrequencyCount.objects.filter(until__lt=now)
    digests = DigestBucket.objects.filter(closed_at__lt=now - DIGESTS_RETENTION)
    calls = ProviderCallback.objects.filter(
        received_at__lt=now - CALLBACKS_RETENTION, next_at__isnull=True
    )
    events = StatusEvent.objects.filter(at__lt=now - EVENTS_RETENTION)
    deliveries = WebhookDelivery.objects.filter(created_at__lt=now - EVENTS_RETENTION)
    charges = SmsCharge.objects.filter(day__lt=(now - CHARGES_RETENTION).date())
    texts = InboundSms.objects.filter(received_at__lt=now - TEXTS_RETENTION)
    faults = ItemFault.objects.filter(failed_at__lt=now - FAULTS_RETENTION)
    done = QueuedTask.objects.filter(ended_at__lt=now - TASKS_RETENTION)
    throttles = ThrottleCount.objects.filter(until__lt=now)
    sessions = Session.objects.filter(expire_date__lt=now)
    idle = partial(ProviderFlow.objects.idle, before=now - SERVICES_RETENTION)
    return {
        "idempotency_keys_deleted": oldest(keys.order_by("created_at")),
        "refused_sends_deleted": oldest(refused.order_by("at")),
        "frequency_counts_deleted": oldest(counts.order_by("until")),
        "digests_deleted": oldest(digests.order_by("closed_at", "pk")),
        "callbacks_deleted": oldest(calls.order_by("received_at", "pk")),
        "status_events_deleted": oldest(events.order_by("at", "pk")),
        "webhook_deliveries_deleted": oldest(deliveries.order_by("created_at", "pk")),
        "sms_charges_deleted": oldest(charges.order_by("day", "message_id")),
        "inbound_sms_deleted": oldest(texts.order_by("received_at")),
        "item_faults_deleted": oldest(faults.order_by("failed_at")),
        "overruns_deleted": walk(
            TemplateOverrun.objects.all(),
            lambda part: part.filter(last_at__lt=now - OVERRUNS_RETENTION),
        ),
        "queued_tasks_deleted": oldest(done.order_by("ended_at")),
        "throttle_counts_deleted": oldest(throttles.order_by("until")),
        "sessions_deleted": oldest(sessions.order_by("expire_date")),
        "idle_services_deleted": walk(ProviderFlow.objects.all(), idle),
        "attachments_deleted": partial(_delete_files, now),
        "audit_checkpoints_deleted": oldest(surplus_checkpoints(now)),
        "audit_contents_let_go": _let_audit_contents_go,
    }


def _let_audit_contents_go(count: int) -> Step:
    began = clock.monotonic()
    found, emptied = empty_contents(count)
    return Step(found, emptied, clock.monotonic() - began)


def _delete_files(now: datetime, count: int) -> Step:
    with transaction.atomic():
        began = clock.monotonic()
        found, deleted = StoredAttachment.objects.delete_expired(now=now, limit=count)
        return Step(found, deleted, clock.monotonic() - began)
