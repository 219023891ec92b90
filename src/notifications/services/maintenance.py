"""What must be done now and then, by any process, as often as anybody likes."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.db.models import QuerySet

from notifications.conf import environment
from notifications.infra import clock
from notifications.models import (
    DigestBucket,
    FrequencyCount,
    IdempotencyKey,
    InboundSms,
    ProviderCallback,
    ProviderFlow,
    RefusedSend,
    SmsCharge,
    StatusEvent,
    StoredAttachment,
    WebhookDelivery,
)
from notifications.queue import takeover
from notifications.services.broadcast_upkeep import check_counts
from notifications.services.dead_letters import watch
from notifications.services.digests import close_due

_AT_ONCE = 5_000
CALLBACKS_KEPT = timedelta(days=30)
DIGESTS_KEPT = timedelta(days=90)  # what they said is in the digest; explain names them so long
REFUSALS_KEPT = timedelta(days=400)
EVENTS_KEPT = timedelta(days=30)
CHARGES_KEPT = timedelta(days=3)  # sums of days are kept
TEXTS_KEPT = timedelta(days=90)  # what STOP and START did stands in the consent ledger
SERVICES_KEPT = timedelta(days=7)


def maintain() -> dict[str, int]:
    """Deletes what no longer counts (idempotency keys, refused sends, counts of limits, callbacks,
    status events, files, texts, bookings of SMS, digests sent long ago, hosts that nothing was
    heard of), sends the digests that are due, raises the alert of dead letters, and takes over what
    dead workers held.

    Bounded: what is left over is done next time.
    """
    now = clock.now()
    before = now - timedelta(hours=environment().idempotency_hours)
    old = IdempotencyKey.objects.filter(created_at__lt=before).order_by("pk")
    refused = RefusedSend.objects.filter(at__lt=now - REFUSALS_KEPT).order_by("pk")
    counts = FrequencyCount.objects.filter(until__lt=now).order_by("pk")
    callbacks = ProviderCallback.objects.filter(
        received_at__lt=now - CALLBACKS_KEPT, next_at__isnull=True
    ).order_by("received_at", "pk")
    told = DigestBucket.objects.filter(closed_at__lt=now - DIGESTS_KEPT).order_by("closed_at", "pk")
    events = StatusEvent.objects.filter(at__lt=now - EVENTS_KEPT).order_by("at", "pk")
    deliveries = WebhookDelivery.objects.filter(created_at__lt=now - EVENTS_KEPT)
    charges = SmsCharge.objects.filter(day__lt=(now - CHARGES_KEPT).date()).order_by("day", "pk")
    texts = InboundSms.objects.filter(received_at__lt=now - TEXTS_KEPT).order_by("received_at")
    swept = takeover.sweep(everywhere=True)
    return {
        "idempotency_keys_deleted": _delete_some(old),
        "refused_sends_deleted": _delete_some(refused),
        "frequency_counts_deleted": _delete_some(counts),
        "digests_deleted": _delete_some(told),
        "callbacks_deleted": _delete_some(callbacks),
        "status_events_deleted": _delete_some(events),
        "webhook_deliveries_deleted": _delete_some(deliveries.order_by("created_at", "pk")),
        "idle_services_deleted": ProviderFlow.objects.forget_idle(before=now - SERVICES_KEPT),
        "sms_charges_deleted": _delete_some(charges),
        "inbound_sms_deleted": _delete_some(texts),
        "attachments_deleted": StoredAttachment.objects.forget(now=now),
        "digests_sent": close_due(now=now),
        "dead_letter_alerts": int(watch(now=now) == "raised"),
        "batches_taken_over": swept.batches,
        "broadcasts_miscounted": check_counts(now=now),
    }


def _delete_some(rows: QuerySet[Any]) -> int:
    keys = list(rows.values_list("pk", flat=True)[:_AT_ONCE])
    if keys:
        rows.order_by().filter(pk__in=keys).delete()
    return len(keys)
