"""NotificationAnalyticsService: the documented asynchronous interface to engagement and metrics."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, date, datetime
from typing import Any

from asgiref.sync import sync_to_async
from django.db import transaction
from django.db.models import QuerySet

from directory.moments import clamp_moment
from notifications.domain.analytics.periods import days_of
from notifications.domain.engagement import (
    CLICK_HUMAN,
    OPEN_HUMAN,
    REPORTED_CLICK,
    REPORTED_OPEN,
)
from notifications.domain.lifecycle import MessageStatus
from notifications.features.analytics.metrics import metrics_of
from notifications.infra import clock
from notifications.models import NotificationAnalytics, NotificationMessage, change_status
from notifications.models.tracking.analytics import cohort_of, complete

_VERSIONS = re.compile(r"/[\w.+-]+|\b\d[\w.]*")
_LONGEST_AGENT = 200
_REPORTED = {OPEN_HUMAN: REPORTED_OPEN, CLICK_HUMAN: REPORTED_CLICK}


class NotificationAnalyticsService:
    """Notes engagement that the caller observed, and returns the metrics of days.

    Engagement noted here is that of a person: the caller vouches for it. All calls write the rows
    that tracked mails write, so they count everywhere, once.
    """

    async def track_notification_sent(self, notification: NotificationMessage) -> None:
        """Notes that a message was sent.

        A message that no worker will send becomes `sent`. The pipeline notes its own messages
        itself; for them this adds only the row of engagement.
        """
        await sync_to_async(_sent)(notification.pk)

    async def track_notification_opened(
        self, notification_id: str, request_info: Mapping[str, Any]
    ) -> None:
        """Notes that a person opened a message; the first call counts.

        notification_id: of the message or its notification. An unknown one changes nothing.
        request_info: `device`, `user_agent` and `location`, each optional.
        """
        await sync_to_async(_engaged)(notification_id, OPEN_HUMAN, request_info)

    async def track_notification_clicked(self, notification_id: str, click_url: str) -> None:
        """Notes that a person clicked a link of a message; the first call counts.

        click_url is not stored: a URL may have personal data.
        """
        await sync_to_async(_engaged)(notification_id, CLICK_HUMAN, {})

    async def get_notification_metrics(
        self, start_date: datetime, end_date: datetime, channel: str | None = None
    ) -> dict[str, Any]:
        """Returns sent, delivered, opened, clicked and their rates over sent.

        It counts the messages sent on the days (UTC) of both times, the last included.
        """
        return await sync_to_async(_metrics)(start_date, end_date, channel)


def _sent(key: int) -> None:
    now = clock.now()
    with transaction.atomic():
        message = _locked().filter(pk=key).first()
        if message is None:
            return
        if message.status == MessageStatus.PENDING and message.batch_id is None:
            change_status(
                [key], MessageStatus.SENT, reason="tracked", at=now, fields={"sent_at": now}
            )
            message.refresh_from_db()
        _row_of(message)


def _locked() -> QuerySet[NotificationMessage]:
    """Returns messages, locked: one that is deleted meanwhile takes its row with it."""
    rows = NotificationMessage.objects.select_related("notification")
    return rows.select_for_update(no_key=True, of=("self",))


def _row_of(message: NotificationMessage) -> NotificationAnalytics:
    """Returns the row of a message, locked; it is made where there is none."""
    notification = message.notification
    cohort = cohort_of(
        queued_at=notification.created_at,
        sent_at=message.sent_at,
        delivered_at=message.delivered_at,
        channel=message.channel,
        template_version_id=notification.template_version_id,
        provider=message.provider,
        source=notification.source,
        variant=notification.variant,
    )
    rows = NotificationAnalytics.objects.select_for_update()
    row, created = rows.get_or_create(pk=message.pk, defaults=cohort)
    if not created and complete(row, cohort):
        row.save(update_fields=list(cohort))
    return row


def _engaged(identifier: str, bit: int, info: Mapping[str, Any]) -> None:
    now = clock.now()
    with transaction.atomic():
        try:
            message = _locked().get(pk=identifier)
        except (NotificationMessage.DoesNotExist, ValueError):
            return
        row = _row_of(message)
        fields = ["flags"]
        row.flags |= bit | _REPORTED[bit]
        if bit == OPEN_HUMAN and row.opened_at is None:
            row.opened_at = now
            row.opened_from_device = str(info.get("device", ""))[:50]
            row.user_agent = _VERSIONS.sub("", str(info.get("user_agent", "")))[:_LONGEST_AGENT]
            row.opened_from_location = dict(info.get("location") or {})
            fields += ["opened_at", "opened_from_device", "user_agent", "opened_from_location"]
        if bit == CLICK_HUMAN and row.clicked_at is None:
            row.clicked_at = now
            fields.append("clicked_at")
        row.save(update_fields=fields)


def _metrics(start: datetime, end: datetime, channel: str | None) -> dict[str, Any]:
    first, last = _day(start), _day(end)
    found = metrics_of(
        days_of(first, max(first, last)),
        interval=None,
        only={"channel": channel} if channel else {},
    )
    return {
        "sent": found.total_sent,
        "delivered": found.total_delivered,
        "opened": found.total_opened,
        "clicked": found.total_clicked,
        "open_rate": found.open_rate,
        "click_rate": found.click_rate,
        "delivery_rate": found.delivery_rate,
    }


def _day(moment: datetime) -> date:
    return clamp_moment(moment).astimezone(UTC).date()
