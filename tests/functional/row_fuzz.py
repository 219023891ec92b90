"""Random legal rows, with good ones among them: everything that a database accepts.

Runs inside an installation (`Installation.python`): `plant(seed, odd)` writes the rows and returns
what must be done for the good ones.
"""

from __future__ import annotations

import base64
import contextlib
import json
import random
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.db import DatabaseError, connection, models, transaction

from directory.models import ContactPoint, Device, User
from notifications.infra import clock
from notifications.infra.crypto import body_hash, seal
from notifications.models import (
    Broadcast,
    BroadcastRecipient,
    Category,
    DeadLetter,
    DeliveryAttempt,
    DigestBucket,
    DigestItem,
    FrequencyCount,
    Job,
    Notification,
    NotificationCategoryPreference,
    NotificationMessage,
    NotificationTemplate,
    ProviderCallback,
    ScheduleClock,
    ScheduledStatus,
    ScheduleMember,
    ScheduleSeries,
    TemplateVersion,
    UserNotificationPreference,
)
from notifications.models.fields import SealedJSONField
from notifications.queue import batches
from notifications.queue.leases import NewBatch

CHANNELS = ("email", "in_app", "sms", "push", "telegram", "websocket")
TEXTS = [
    *(
        "",
        " ",
        "|",
        "a|b|c",
        "\n",
        "\t",
        "0",
        "null",
        "None",
        "UTC",
        "Mars/Base",
        "../../etc/passwd",
    ),
    *("Europe", "{}", "[]", "%s{}{0}", "{{ x }}", "\u202e\u200b", "\U0001f389", "\x01\x1b", "-1"),
    *("email", "in_app", "daily", "hourly", "weekly", "never", "delivered", "9" * 30, "x" * 20),
    "y" * 200_000,
]
TIMES = [
    *("0001-01-01 00:00:00", "0001-12-31 23:59:59", "1969-12-31 23:59:59.999999"),
    *("1970-01-01 00:00:00", "2000-02-29 12:00:00", "2030-05-01 00:00:00"),
    *("2199-12-31 23:59:59.999999", "2200-01-01 00:00:00", "9999-12-31 23:59:59.999999"),
]
TIMES_OF_POSTGRES = [
    *("infinity", "-infinity", "10000-01-01", "0044-03-15 BC", "9999-12-31 23:59:59-15"),
]
HOURS = ["00:00:00", "23:59:59.999999", "12:34:56"]
NUMBERS = [0, 1, -1, 2, 3, 4, 5, 255, 32_767, -32_768, 2**31 - 1, -(2**31), 2**53, 2**63 - 1]
ORPHAN = 987_654_321_000
SHAPES: list[Any] = [
    *(None, [], {}, "", "text", 0, -1, True, 1e308, [[]], {"a": {"b": [1, "x"]}}, {"": ""}),
    *({"fallback": 7}, {"fallback": ["pigeon"]}),
    {"fallback": ["sms"], "fallback_after_s": 10**12},
    *({"provider": "pigeon"}, {"provider": ["smtp"]}, {"sender": 7}, {"reply_to": "a\nb"}),
    {"throttle": {}},
    {"throttle": {"key": "k", "window_s": 10**15, "limit": -1}},
    *({"dedupe_s": "x"}, {"retry_policy": "none"}, {"retry_policy": {}}, {"locale": 5}),
    *({"attachments": [7]}, {"title": 1, "message": None}, {"email": 7}, {"amount": None}),
    {"title": "T", "message": "M", "data": [1]},
    {"sms_enabled": "x", "digest_frequency": []},
    *([{"limit": "x"}], ["email", 7], {"amount": "\x00"}, {"amount": "z" * 100_000}),
]
UNCHANGED = {"id", "uuid", "batch_id"}
"""Columns by which rows are found; all other columns may have any value."""


class Oddities:
    """A seeded source of values that a column accepts."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        pick, on_postgres = self.random.choice, connection.vendor == "postgresql"
        times = TIMES + TIMES_OF_POSTGRES * on_postgres
        hours = HOURS + ["24:00:00"] * on_postgres
        self._makers: list[tuple[type, Callable[[], Any]]] = [
            (SealedJSONField, self._sealed),
            (models.BinaryField, self._sealed),
            (models.JSONField, lambda: json.dumps(pick(SHAPES))),
            (models.DateTimeField, lambda: pick(times)),
            (models.DateField, lambda: pick(TIMES)[:10]),
            (models.TimeField, lambda: pick(hours)),
            (models.ForeignKey, lambda: pick([ORPHAN, ORPHAN + 1])),
            (models.BooleanField, lambda: pick([True, False])),
            (models.IntegerField, lambda: pick(NUMBERS)),
            (models.UUIDField, lambda: UUID(int=self.random.getrandbits(128)).hex),
        ]

    def value(self, field: models.Field[Any, Any]) -> Any:
        """Returns a value for a column, as the database accepts it."""
        if field.null and self.random.random() < 0.1:
            return None
        for kind, make in self._makers:
            if isinstance(field, kind):
                return make()
        choices = [choice[0] for choice in field.choices or ()]
        if choices and self.random.random() < 0.4:
            return self.random.choice(choices)
        return self.random.choice(TEXTS)

    def _sealed(self) -> bytes:
        raw = self.random.choice(
            [b"", b"\x00", b"not sealed", seal(b"{"), seal(b"\xff"), seal(b'"\\ud83c"')]
            + [seal(json.dumps(shape).encode()) for shape in SHAPES]
        )
        return bytes(raw)

    def disturb(self, row: models.Model, count: int) -> None:
        """Writes odd values into some columns of a row.

        A value that the database refuses is illegal: its column stays unchanged.
        """
        meta = row._meta
        columns = [f for f in meta.concrete_fields if f.name not in UNCHANGED and not f.primary_key]
        table = connection.ops.quote_name(meta.db_table)
        for field in self.random.sample(columns, min(count, len(columns))):
            column = connection.ops.quote_name(field.column)
            with contextlib.suppress(DatabaseError, ValueError, OverflowError):
                with transaction.atomic(), connection.cursor() as cursor:
                    cursor.execute(
                        f"UPDATE {table} SET {column} = %s WHERE {meta.pk.column} = %s",
                        [self.value(field), row.pk],
                    )


class Plot:
    """One user with rows of every kind that is processed; odd ones are disturbed afterwards."""

    def __init__(self, number: int, *, odd: bool) -> None:
        self.odd = odd
        self.rows: list[models.Model] = []
        self.messages: list[NotificationMessage] = []
        now = clock.now()
        name = f"{'odd' if odd else 'good'}{number}"
        self.user = self._add(
            User.objects.create(
                username=name,
                email=f"{name}@example.com",
                phone_number=f"+1415{5_550_000 + number:07}",
                telegram_id=str(1_000 + number),
                first_name="Ada",
            )
        )
        for point in ContactPoint.objects.filter(user=self.user):
            self._add(point)
        self._add(Device.objects.create(user=self.user, kind="fcm", token=f"t{number}"))
        self._add(
            UserNotificationPreference.objects.create(
                user=self.user, sms_enabled=True, data_processing_consent=True
            )
        )
        self.category = self._category(name)
        self._add(
            NotificationCategoryPreference.objects.create(
                user=self.user, category=self.category.key
            )
        )
        self.version = self._version(name)
        self.job = self._add(
            Job.objects.create(
                source="key:1", total=1, accepted=1, context={"amount": 1}, created_at=now
            )
        )
        for channel in CHANNELS:
            self._message(channel, template=channel != "websocket")
        self._digest(now)
        self._receipt(now)
        self._series(now)
        self._stuck(now)
        self._broadcast(now)
        self._add(
            FrequencyCount.objects.create(
                user_id=self.user.pk,
                scope="category:x",
                channel="",
                window_s=60,
                entries="1:1",
                until=now + timedelta(hours=1),
            )
        )

    def _add(self, row: Any) -> Any:
        self.rows.append(row)
        return row

    def _category(self, name: str) -> Category:
        if not self.odd:
            return Category.objects.get(key="payment")
        return self._add(
            Category.objects.create(
                key=name, name=name, caps=[{"limit": 5, "window_s": 60}], default_preferences={}
            )
        )

    def _version(self, name: str) -> TemplateVersion:
        texts = {
            f"{field}_template": "Hello\n\nHello {{ user.first_name }}: {{ amount }}"
            for field in ("push", "in_app", "sms", "telegram", "email_body", "email_subject")
        }
        template = NotificationTemplate.objects.create(
            path=f"fuzz.{name}",
            name=name,
            category=self.category,
            supported_channels=list(CHANNELS),
            required_variables=["amount"],
            **texts,
        )
        template.publish()
        self._add(template)
        template.refresh_from_db()
        return self._add(TemplateVersion.objects.get(pk=template.current_version_id))

    def _message(self, channel: str, *, template: bool) -> NotificationMessage:
        notification = Notification(
            user=self.user,
            category=self.category,
            source="key:1",
            template_version=self.version if template else None,
            context={"amount": 5} if template else None,
            text=None if template else {"title": "T", "message": "M"},
            scheduled_status=None,
        )
        notification.save()
        message = NotificationMessage.objects.create(
            id=notification.pk,
            notification=notification,
            user=self.user,
            channel=channel,
            scheduled_at=notification.created_at,
        )
        self._add(notification)
        self.messages.append(self._add(message))
        return message

    def _digest(self, now: Any) -> None:
        bucket = DigestBucket.objects.create(
            user=self.user,
            channel="in_app",
            period="daily:2020-01-01",
            frequency="daily",
            closes_at=now - timedelta(hours=1),
            created_at=now,
        )
        self.bucket = self._add(bucket)
        self._add(
            DigestItem.objects.create(
                bucket=bucket,
                message_id=self.messages[0].pk,
                at=now,
                notification_id=self.messages[0].notification_id,
                category_id=self.category.pk,
                summary={"title": "T", "body": "B"},
            )
        )

    def _receipt(self, now: Any) -> None:
        reference = f"{self.messages[0].notification.uuid.hex}.email"
        body = json.dumps({"event": "delivered", "reference": reference}).encode()
        call = {"method": "POST", "url": "", "query": {}, "headers": {}}
        call |= {"body": base64.b64encode(body).decode()}
        ProviderCallback.objects.store(
            provider="generic", digest=body_hash(body), call=call, at=now
        )
        self._add(ProviderCallback.objects.get(digest=body_hash(body)))

    def _series(self, now: Any) -> None:
        series = self._add(
            ScheduleSeries.objects.create(
                source="key:1",
                created_by="t",
                type="system",
                category=self.category,
                priority=3,
                channels=["in_app"],
                text={"title": "T", "message": "M"},
                rule="FREQ=DAILY",
                instant=now - timedelta(days=2),
                zone="UTC",
                misfire="send_late",
                grace_s=3600,
                created_at=now,
            )
        )
        self.clock = self._add(
            ScheduleClock.objects.create(
                series=series,
                zone="UTC",
                next_wall=f"{now:%Y-%m-%dT%H:%M}",
                next_at=now,
                make_at=now - timedelta(minutes=2),
            )
        )
        self._add(ScheduleMember.objects.create(series=series, clock=self.clock, user=self.user))

    def _stuck(self, now: Any) -> None:
        self.stuck = self._message("in_app", template=True)
        self.messages.remove(self.stuck)
        Notification.objects.filter(pk=self.stuck.notification_id).update(
            scheduled_status=ScheduledStatus.PENDING, scheduled_at=now - timedelta(hours=1)
        )

    def _broadcast(self, now: Any) -> None:
        self.broadcast = self._add(
            Broadcast.objects.create(
                target_group="custom",
                target_filter={"user_ids": [self.user.pk]},
                title="T",
                message="M",
                channels=["in_app"],
                status="scheduled",
                scheduled_at=now,
            )
        )
        if self.odd:
            self._add(
                BroadcastRecipient.objects.create(
                    broadcast=self.broadcast, recipient=self.user, notification_id=ORPHAN
                )
            )
            self._add(
                DeadLetter.objects.create(
                    message_id=self.messages[1].pk,
                    channel="email",
                    code="uncertain",
                    notification_id=self.messages[1].notification_id,
                    failed_at=now,
                )
            )
            self._add(
                DeliveryAttempt.objects.create(
                    message_id=self.messages[2].pk,
                    number=1,
                    provider="smtp",
                    verdict="sent",
                    at=now,
                )
            )


def plant(seed: int, odd: int, good: int = 5) -> dict[str, Any]:
    """Writes good and odd users with their rows, and all their messages into the same batches.

    Returns the keys of the rows that must be processed for the good users.
    """
    oddities = Oddities(seed)
    if connection.vendor == "sqlite":
        with connection.cursor() as cursor:
            cursor.execute("PRAGMA synchronous=OFF")  # these are rows of a test
    with transaction.atomic():
        plots = [Plot(n, odd=n % (odd // good + 1) != 0) for n in range(odd + good)]
        for channel in CHANNELS:
            _enqueue(channel, [message for plot in plots for message in plot.messages])
    for plot in plots:
        if plot.odd:
            for row in oddities.random.sample(plot.rows, min(8, len(plot.rows))):
                oddities.disturb(row, oddities.random.randint(1, 3))
            _orphan(plot, oddities.random)
    fine = [plot for plot in plots if not plot.odd]
    return {
        "messages": [message.pk for plot in fine for message in plot.messages],
        "buckets": [plot.bucket.pk for plot in fine],
        "receipts": [plot.messages[0].pk for plot in fine],
        "clocks": [plot.clock.pk for plot in fine],
        "stuck": [plot.stuck.notification_id for plot in fine],
        "broadcasts": [plot.broadcast.pk for plot in fine],
    }


def _enqueue(channel: str, messages: Sequence[NotificationMessage]) -> None:
    """Puts the messages of a channel into batches, odd ones beside good ones."""
    keys = sorted(message.pk for message in messages if message.channel == channel)
    for start in range(0, len(keys), 100):
        part = keys[start : start + 100]
        (batch,) = batches.insert([NewBatch("default", channel, "key:1", None, part, 0)])
        NotificationMessage.objects.filter(pk__in=part).update(batch_id=batch)


def _orphan(plot: Plot, choose: random.Random) -> None:
    """Deletes a row that other rows refer to, if the database allows it."""
    if choose.random() < 0.3:
        row = choose.choice(plot.rows)
        table = connection.ops.quote_name(row._meta.db_table)
        with contextlib.suppress(DatabaseError):
            with transaction.atomic(), connection.cursor() as cursor:
                cursor.execute(f"DELETE FROM {table} WHERE {row._meta.pk.column} = %s", [row.pk])


Query = Callable[[str], list[tuple[Any, ...]]]


def left_undone(query: Query, wanted: dict[str, Any]) -> dict[str, int]:
    """Counts the rows of good users that are not yet processed, by kind. query: runs SQL."""

    def count(sql: str, keys: Sequence[int]) -> int:
        listed = ", ".join(str(int(key)) for key in keys)
        return int(query(f"SELECT count(*) FROM {sql.format(keys=listed)}")[0][0])

    message, notification = "notifications_notificationmessage", "notifications_notification"
    found = {
        "messages": count(
            f"{message} WHERE id IN ({{keys}}) AND status NOT IN ('sent', 'delivered')",
            wanted["messages"],
        ),
        "receipts": count(
            f"{message} WHERE id IN ({{keys}}) AND status <> 'delivered'", wanted["receipts"]
        ),
        "digests": count(
            "notifications_digestbucket WHERE id IN ({keys}) AND closed_at IS NULL",
            wanted["buckets"],
        ),
        "series": count(
            "notifications_scheduleclock WHERE id IN ({keys}) AND made_wall = ''", wanted["clocks"]
        ),
        "stuck": count(
            f"{notification} n WHERE id IN ({{keys}}) AND NOT EXISTS (SELECT 1 FROM {message} m"
            " WHERE m.notification_id = n.id AND m.batch_id IS NOT NULL)",
            wanted["stuck"],
        ),
        "broadcasts": count(
            "notifications_broadcast WHERE id IN ({keys}) AND status <> 'completed'",
            wanted["broadcasts"],
        ),
    }
    return {kind: number for kind, number in found.items() if number}
