"""Reads broadcasts and their recipients for the API, page by page."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from django.db.models import Prefetch, QuerySet

from directory.models import User
from directory.references import PersonKey
from notifications.domain.broadcast_lifecycle import RecipientCounts, RecipientState
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
_DEFERRED_COLUMNS = ("error_log", "error_reasons", "pace")


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
    """Returns a page of broadcasts, the newest first.

    date_from, date_to: whole days in UTC, both included. search: a part of the message.

    Raises:
        NotFound: unknown_user, where created_by is no user.
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
    shown = with_authors(rows).defer(*_DEFERRED_COLUMNS)
    shown = _slice(shown.order_by("-created_at", "-pk"), page, page_size)
    return BroadcastList(
        results=[broadcast_response(row) for row in shown], **_page_fields(count, page, page_size)
    )


def with_authors(rows: QuerySet[Broadcast]) -> QuerySet[Broadcast]:
    """Returns a query that reads the authors, and the keys of their names, for all rows at once."""
    return rows.prefetch_related(Prefetch("created_by", queryset=User.objects.all()))


def recipient_page(
    broadcast: Broadcast, *, status: str = "", page: int = 1, page_size: int = PAGE_SIZE
) -> BroadcastRecipientList:
    """Returns a page of recipients by rising user id: all, or those of one state.

    Their number is read from the broadcast's counters, which are the sums over the rows.
    """
    rows = BroadcastRecipient.objects.filter(broadcast=broadcast)
    if status:
        rows = rows.filter(state=status)
    count = rows.count() if broadcast.job_id is None else _count_of_state(broadcast.tally, status)
    # The keys come first and the join later, so that skipped rows are read from the index alone.
    keys = list(_slice(rows.order_by("recipient_id").values_list("pk", flat=True), page, page_size))
    return BroadcastRecipientList(
        results=recipient_responses(keys), **_page_fields(count, page, page_size)
    )


def detail(broadcast: Broadcast) -> BroadcastDetail:
    """Returns a broadcast with the first page of its recipients."""
    first = recipient_page(broadcast)
    return BroadcastDetail(
        **_broadcast_fields(broadcast, tally_of(broadcast)),
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


def broadcast_response(broadcast: Broadcast) -> BroadcastResponse:
    """Returns a broadcast as lists show it."""
    return BroadcastResponse(**_broadcast_fields(broadcast, broadcast.tally))


def recipient_responses(keys: Sequence[int]) -> list[BroadcastRecipientResponse]:
    """Returns the recipients with these keys by rising user id, with two queries."""
    rows = list(BroadcastRecipient.objects.filter(pk__in=keys).order_by("recipient_id"))
    people = User.objects.in_bulk([row.recipient_id for row in rows])
    return [recipient_response(row, people.get(row.recipient_id)) for row in rows]


def recipient_response(row: BroadcastRecipient, person: User | None) -> BroadcastRecipientResponse:
    """Returns one recipient; only the id where the person was erased."""
    return BroadcastRecipientResponse(
        id=row.pk,
        user_id=row.recipient_id,
        user_name=display_name(person),
        email=person.email if person else "",
        telegram_id=str(person.telegram_id or "") if person else "",
        telegram_sent=row.telegram_sent,
        telegram_message_id=row.telegram_message_id,
        status=row.state,
        channels=row.channel_states or {},
        error_message=row.error or row.telegram_error or None,
        sent_at=row.sent_at,
    )


def display_name(person: User | None) -> str:
    """Returns the name of a person for lists."""
    return (person.get_full_name() or person.username) if person else ""


def _broadcast_fields(broadcast: Broadcast, tally: RecipientCounts) -> dict[str, Any]:
    return {
        "id": broadcast.pk,
        "uuid": broadcast.uuid,
        "created_by": broadcast.created_by_id,
        "created_by_name": display_name(broadcast.created_by),
        "target_group": broadcast.target_group,
        "target_group_display": broadcast.get_target_group_display(),
        "target_filter": broadcast.target_filter,
        "title": broadcast.title,
        "message": broadcast.message,
        "category": broadcast.category,
        "priority": broadcast.priority,
        "channels": broadcast.channels,
        "delivery": broadcast.delivery,
        "per_minute": broadcast.per_minute,
        "track_opens": broadcast.options.get("track_opens"),
        "track_clicks": broadcast.options.get("track_clicks"),
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


def _count_of_state(tally: RecipientCounts, status: str) -> int:
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


def _page_fields(count: int, page: int, page_size: int) -> dict[str, Any]:
    """Returns the documented fields that describe a page."""
    pages = -(-count // page_size)
    return {
        "count": count,
        "next": page + 1 if page < pages else None,
        "previous": min(page - 1, pages) or None,
        "page": page,
        "page_size": page_size,
        "total_pages": pages,
    }
