"""Broadcasts and their recipients as the doors show them, page by page."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from django.db.models import QuerySet

from directory.models import User
from directory.references import PersonKey
from notifications.domain.broadcast_lifecycle import RecipientState, Tally
from notifications.domain.errors import NotFound
from notifications.features.broadcasts.delivery.progress import tally_of
from notifications.features.broadcasts.schemas import (
    BroadcastDetail,
    BroadcastErrorResponse,
    BroadcastList,
    BroadcastRecipientList,
    BroadcastRecipientResponse,
    BroadcastResponse,
)
from notifications.models import Broadcast, BroadcastRecipient
from notifications.models.fields import ListsText

PAGE_SIZE = 20
_COLUMNS_LEFT_OUT = ("error_log", "error_reasons", "pace")


def list_page(
    *,
    status: str = "",
    date_from: date | None = None,
    date_to: date | None = None,
    search: str = "",
    target_group: str = "",
    channel: str = "",
    created_by: PersonKey | None = None,
    page: int = 1,
    page_size: int = PAGE_SIZE,
) -> BroadcastList:
    """Broadcasts, the newest first. Both days are meant whole, in UTC; search looks for a part of
    the message.

    Raises:
        NotFound: unknown_user, for a created_by who is nobody.
    """
    equal = {"status": status, "target_group": target_group}
    rows = Broadcast.objects.filter(**{name: value for name, value in equal.items() if value})
    if channel:
        rows = rows.filter(ListsText("channels", channel))
    if created_by is not None:
        rows = rows.filter(created_by=_author(created_by))
    if date_from is not None:
        rows = rows.filter(created_at__gte=_midnight(date_from))
    if date_to is not None:
        rows = rows.filter(created_at__lt=_midnight(date_to) + timedelta(days=1))
    if search:
        rows = rows.filter(message__icontains=search)
    count = rows.count()
    shown = rows.select_related("created_by").defer(*_COLUMNS_LEFT_OUT)
    shown = _slice(shown.order_by("-created_at", "-pk"), page, page_size)
    return BroadcastList(
        results=[broadcast_answer(row) for row in shown], **_places(count, page, page_size)
    )


def recipient_page(
    broadcast: Broadcast, *, status: str = "", page: int = 1, page_size: int = PAGE_SIZE
) -> BroadcastRecipientList:
    """A broadcast's recipients by rising user id; all, or those of one state.

    How many they are is read from the broadcast's own counters, which are the sum of the rows.
    """
    rows = BroadcastRecipient.objects.filter(broadcast=broadcast)
    if status:
        rows = rows.filter(state=status)
    count = rows.count() if broadcast.job_id is None else _counted(broadcast.tally, status)
    # The join waits for the page: what is skipped costs a look at the index, no person's row.
    keys = list(_slice(rows.order_by("recipient_id").values_list("pk", flat=True), page, page_size))
    return BroadcastRecipientList(
        results=recipient_answers(keys), **_places(count, page, page_size)
    )


def detail(broadcast: Broadcast) -> BroadcastDetail:
    """A broadcast with the first page of its recipients."""
    first = recipient_page(broadcast)
    return BroadcastDetail(
        **_members(broadcast, tally_of(broadcast)),
        recipients=first.results,
        error_log=[
            BroadcastErrorResponse(
                recipient_id=entry.get("recipient_id"),
                error=str(entry.get("error", "")),
                timestamp=str(entry.get("timestamp", "")),
            )
            for entry in broadcast.error_log
        ],
        error_total=broadcast.error_total,
    )


def broadcast_answer(broadcast: Broadcast) -> BroadcastResponse:
    """A broadcast as lists show it."""
    return BroadcastResponse(**_members(broadcast, broadcast.tally))


def recipient_answers(keys: Sequence[int]) -> list[BroadcastRecipientResponse]:
    """The rows with these keys, by rising user id: two queries."""
    rows = list(BroadcastRecipient.objects.filter(pk__in=keys).order_by("recipient_id"))
    people = User.objects.in_bulk([row.recipient_id for row in rows])
    return [recipient_answer(row, people.get(row.recipient_id)) for row in rows]


def recipient_answer(row: BroadcastRecipient, person: User | None) -> BroadcastRecipientResponse:
    """One recipient; of a person who was erased only the id is left."""
    return BroadcastRecipientResponse(
        id=row.pk,
        user_id=row.recipient_id,
        user_name=name_of(person),
        email=person.email if person else "",
        telegram_id=str(person.telegram_id or "") if person else "",
        telegram_sent=row.telegram_sent,
        telegram_message_id=row.telegram_message_id,
        status=row.state,
        channels=row.channel_states or {},
        error_message=row.error or row.telegram_error or None,
        sent_at=row.sent_at,
    )


def name_of(person: User | None) -> str:
    """What a person is called in lists."""
    return (person.get_full_name() or person.username) if person else ""


def _members(broadcast: Broadcast, tally: Tally) -> dict[str, Any]:
    return {
        "id": broadcast.pk,
        "uuid": broadcast.uuid,
        "created_by": broadcast.created_by_id,
        "created_by_name": name_of(broadcast.created_by),
        "target_group": broadcast.target_group,
        "target_group_display": broadcast.get_target_group_display(),
        "target_filter": broadcast.target_filter,
        "title": broadcast.title,
        "message": broadcast.message,
        "category": broadcast.category,
        "priority": broadcast.priority,
        "channels": broadcast.channels,
        "delivery": broadcast.delivery,
        "status": broadcast.status,
        "status_display": broadcast.get_status_display(),
        "recipient_count": tally.total,
        "sent_count": tally.sent,
        "failed_count": tally.failed,
        "pending_count": max(0, tally.pending),
        "suppressed_count": tally.suppressed,
        "uncertain_count": tally.uncertain,
        "cancelled_count": tally.cancelled,
        "scheduled_at": broadcast.scheduled_at,
        "created_at": broadcast.created_at,
        "sent_at": broadcast.sent_at,
        "completed_at": broadcast.completed_at,
        "approved_by": broadcast.approved_by_id,
        "review_note": broadcast.review_note,
    }


def _counted(tally: Tally, status: str) -> int:
    if not status:
        return tally.total
    return tally.pending if status == RecipientState.PENDING else int(getattr(tally, status))


def _author(key: PersonKey) -> User:
    found = User.objects.find(key)
    if found is None:
        raise NotFound(f"there is no user {key}", code="unknown_user")
    return found


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), tzinfo=UTC)


def _slice(rows: QuerySet[Any, Any], page: int, page_size: int) -> QuerySet[Any, Any]:
    return rows[(page - 1) * page_size : page * page_size]


def _places(count: int, page: int, page_size: int) -> dict[str, Any]:
    """The documented form of a page's place."""
    pages = -(-count // page_size)
    return {
        "count": count,
        "next": page + 1 if page < pages else None,
        "previous": min(page - 1, pages) or None,
        "page": page,
        "page_size": page_size,
        "total_pages": pages,
    }
