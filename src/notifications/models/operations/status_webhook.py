"""Status webhooks: the endpoints, the events of messages, and the deliveries of events.

Events are written in the transaction that changes the message, many by one statement. Without
endpoints no statement is run; the endpoints are read every two seconds at most.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any, ClassVar, NamedTuple

from django.db import connection, models, transaction
from django.db.models import F, Q

from notifications.domain import counts
from notifications.infra import clock
from notifications.models.fields import SealedJSONField, one_more

_FRESH_S = 2.0
LEASE = timedelta(seconds=60)
"""How long a process may have a claimed delivery; longer than any call takes."""

_REPLAY = (
    "INSERT INTO notifications_webhookdelivery (endpoint_id, event_id, state, tries, fence,"
    " next_at, error, created_at)"
    " SELECT %s, event.id, 'waiting', 0, 1, %s, '', %s FROM notifications_statusevent AS event"
    " WHERE event.at >= %s AND event.at < %s AND event.kind IN ({kinds})"
    " ORDER BY event.id LIMIT %s"
    " ON CONFLICT (endpoint_id, event_id) DO UPDATE SET state = 'waiting', tries = 0,"
    " fence = notifications_webhookdelivery.fence + 1, next_at = excluded.next_at"
)


class EventSubscription(NamedTuple):
    """Which events an endpoint receives."""

    endpoint_id: int
    #: Empty for every kind.
    kinds: frozenset[str]
    active: bool


class _Known:
    """The endpoints as this process last read them, and when it did."""

    rows: tuple[EventSubscription, ...] = ()
    read_at = -_FRESH_S


def subscriptions() -> tuple[EventSubscription, ...]:
    """Returns all endpoints, also those switched off; reads them anew every two seconds."""
    if clock.monotonic() - _Known.read_at > _FRESH_S:
        found = WebhookEndpoint.objects.order_by("pk").values_list("pk", "events", "active")
        _Known.rows = tuple(EventSubscription(pk, frozenset(kinds), on) for pk, kinds, on in found)
        _Known.read_at = clock.monotonic()
    return _Known.rows


def forget_subscriptions() -> None:
    """Makes the next event read the endpoints anew, after this process has changed one."""
    _Known.read_at = -_FRESH_S


class WebhookEndpoint(models.Model):
    """A URL of the platform to which the events of messages are posted."""

    name = models.CharField(max_length=100, blank=True)
    url = models.CharField(max_length=1000)
    #: `[{"secret": "whsec_...", "until": epoch s or None}]`, the newest first. After a rotation
    #: the old secret signs beside the new one for a day.
    secrets = SealedJSONField()
    events = models.JSONField(default=list)
    active = models.BooleanField(default=True)
    disabled_reason = models.CharField(max_length=200, blank=True)
    #: How many rounds have failed in a row.
    failures = models.IntegerField(default=0)
    #: When the first of these rounds failed.
    failing_since = models.DateTimeField(null=True)
    #: Nothing is posted before this time.
    hold_until = models.DateTimeField(null=True)
    created_by = models.CharField(max_length=100)
    created_at = models.DateTimeField()
    updated_at = models.DateTimeField()

    def __str__(self) -> str:
        return f"webhook endpoint {self.pk}"


class StatusEventManager(models.Manager["StatusEvent"]):
    """Writes events with their deliveries."""

    def write(self, events: Iterable[StatusEvent]) -> None:
        """Writes events, and a delivery of each to every endpoint that wants it.

        Runs in the caller's transaction. `events` is an iterable, so that no event is made where
        there is no endpoint.
        """
        wanted = subscriptions()
        if not wanted:
            return
        made = self.bulk_create(list(events))
        WebhookDelivery.objects.bulk_create(
            WebhookDelivery(
                endpoint_id=each.endpoint_id,
                event_id=event.pk,
                next_at=event.at,
                created_at=event.at,
            )
            for each in wanted
            if each.active
            for event in made
            if not each.kinds or event.kind in each.kinds
        )


class StatusEvent(models.Model):
    """Something that happened to a message: the outbox of webhooks."""

    message_id = models.BigIntegerField()
    kind = models.CharField(max_length=30)
    #: Why it happened; empty where there is no reason.
    code = models.CharField(max_length=200, blank=True)
    at = models.DateTimeField()

    objects: ClassVar[StatusEventManager] = StatusEventManager()

    class Meta:
        indexes = [models.Index(fields=["at", "id"], name="status_event_by_time")]

    def __str__(self) -> str:
        return f"{self.kind} of message {self.message_id}"


class WebhookDeliveryManager(models.Manager["WebhookDelivery"]):
    """Claims deliveries, each for one process at a time."""

    def claim(self, endpoint_id: int, *, now: datetime, count: int) -> list[WebhookDelivery]:
        """Claims deliveries that are due, the oldest first, for LEASE.

        The caller posts them. If its process dies, they are due again when LEASE has passed.
        """
        due = self.filter(endpoint_id=endpoint_id, next_at__lte=now).order_by("next_at", "id")
        with transaction.atomic():
            rows = list(due.select_for_update(skip_locked=True)[:count])
            if not rows:
                return []
            until = now + LEASE
            self.filter(pk__in=[row.pk for row in rows]).update(
                next_at=until, fence=F("fence") + 1, tries=one_more("tries")
            )
        for row in rows:
            row.next_at, row.fence, row.tries = until, row.fence + 1, counts.one_more(row.tries)
        return rows

    def finish(self, row: WebhookDelivery, **fields: Any) -> bool:
        """Writes the outcome of a claimed delivery; False where its claim was lost meanwhile."""
        return bool(self.filter(pk=row.pk, fence=row.fence).update(**fields))

    def replay(
        self,
        endpoint_id: int,
        *,
        kinds: Sequence[str],
        since: datetime,
        until: datetime,
        now: datetime,
        limit: int,
    ) -> int:
        """Queues the events of a time range again, the oldest first; returns how many."""
        marks = ", ".join(["%s"] * len(kinds))
        convert = connection.ops.adapt_datetimefield_value
        start, end, at = (convert(moment) for moment in (since, until, now))
        with connection.cursor() as cursor:
            cursor.execute(
                _REPLAY.format(kinds=marks), [endpoint_id, at, at, start, end, *kinds, limit]
            )
            return int(cursor.rowcount)


class WebhookDelivery(models.Model):
    """The delivery of one event to one endpoint."""

    class State(models.TextChoices):
        WAITING = "waiting", "Waiting"
        DELIVERED = "delivered", "Accepted with a 2xx"
        FAILED = "failed", "Every attempt failed"

    endpoint_id = models.BigIntegerField()
    event_id = models.BigIntegerField()
    state = models.CharField(max_length=10, choices=State.choices, default=State.WAITING)
    tries = models.SmallIntegerField(default=0)
    #: Rises with every claim and replay, so that a process that lost its claim can write nothing.
    fence = models.IntegerField(default=0)
    #: When it is due; None once it has ended.
    next_at = models.DateTimeField(null=True)
    http_status = models.SmallIntegerField(null=True)
    error = models.CharField(max_length=200, blank=True)
    created_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True)

    objects: ClassVar[WebhookDeliveryManager] = WebhookDeliveryManager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["endpoint_id", "event_id"], name="webhook_told_once")
        ]
        indexes = [
            models.Index(
                fields=["endpoint_id", "next_at", "id"],
                condition=Q(next_at__isnull=False),
                name="webhook_delivery_due",
            ),
            models.Index(fields=["endpoint_id", "id"], name="webhook_delivery_of"),
            models.Index(fields=["created_at", "id"], name="webhook_delivery_old"),
        ]

    def __str__(self) -> str:
        return f"delivery {self.pk} to endpoint {self.endpoint_id}"
