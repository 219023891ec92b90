"""Lists notifications by cursor, newest first; each call reads a limited number of rows.

A user, a correlation id and a job are found by an index. Every other filter is compared with the
rows from the newest on, 20,000 a call. The next call continues where the last one stopped.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from django.db.models import Exists, OuterRef, Q, QuerySet

from notifications.domain.callers import Caller
from notifications.domain.channels import Channel
from notifications.domain.errors import FieldError, InvalidRequest
from notifications.domain.lifecycle import BEST_FIRST, MessageStatus, best_status
from notifications.engine.shared_rows import category_by_key
from notifications.features.access.persons import person_for
from notifications.features.sending.schemas import ChannelState, NotificationRow
from notifications.intake.fields import Fields
from notifications.models import (
    DeliveryBatch,
    Notification,
    NotificationMessage,
    NotificationTemplate,
    unpack_keys,
)

READ = "notifications:read"
MAX_ROWS_SCANNED = 20_000
"""The most rows that one call reads for a filter without an index."""
STATUSES = tuple(str(each) for each in BEST_FIRST if each is not MessageStatus.PROCESSING)
CHANNELS = tuple(Channel)
_SLACK = timedelta(days=1)
"""Keys are in order of time, but transactions at the same time may commit in another order."""
_EXACT = ("source", "correlation_id", "scheduled_status")


class NotificationPage(NamedTuple):
    """One page of a list of notifications."""

    #: The notifications, newest first.
    rows: list[NotificationRow]
    #: The next call continues below this key; None at the end of the list.
    next_below: int | None
    #: The creation time of the last row that this call read; None at the end of the list.
    scanned_until: datetime | None


def list_notifications(
    *, caller: Caller, filters: Mapping[str, Any], after: int = 0, limit: int = 50
) -> NotificationPage:
    """Returns the notifications that the caller may see: all with notifications:read, else its own.

    filters: user (a key), status, channel, category, template (a path), source, correlation_id,
    scheduled_status, from and to (times of acceptance; `to` is exclusive). after: the list
    continues below this key; 0: from the newest.

    Raises:
        InvalidRequest: unknown_category, unknown_template, or not a time.
        NotFound: unknown_user.
        Refused: missing_scope, for the notifications of another user.
    """
    rows = Notification.objects.select_related("category", "template_version__template")
    rows, indexed = rows.order_by("-pk"), bool(filters.get("correlation_id"))
    # A list shows no text. Each sealed column would cost a read of its person's key.
    rows = rows.defer("address", "text", "context")
    filters = {**filters, **_times(filters)}
    user = _whose(caller, filters)
    if user is not None:
        rows = rows.filter(user_id=user)
    rows = rows.filter(_plain(filters))
    for wanted in _of_messages(filters):
        rows = rows.filter(wanted)
    lowest, highest = _between(filters)
    if user is not None:
        own = {name for name, value in filters.items() if value and name != "user"}
        return _scan_person(rows, user=user, after=after, limit=limit, narrowed=bool(own))
    top = min((key for key in (after, highest) if key), default=0)
    narrowed = any(filters.values()) and not indexed
    bottom = max(lowest, _horizon(top)) if narrowed else lowest
    return _scan(rows, top=top, bottom=bottom, lowest=lowest, limit=limit)


def may_see(caller: Caller, user_id: int | None) -> bool:
    """Whether the caller may see a notification for this user."""
    return caller.may(READ) or (user_id is not None and user_id == caller.user_id)


def rows_of(found: Sequence[Notification]) -> list[NotificationRow]:
    """Builds the rows of a list: two more queries for any number of notifications."""
    messages: dict[int, list[NotificationMessage]] = {each.pk: [] for each in found}
    plain = NotificationMessage.objects.defer("content")
    for message in plain.filter(notification_id__in=list(messages)):
        messages[message.notification_id].append(message)
    pending = [m for some in messages.values() for m in some if m.status == MessageStatus.PENDING]
    held = _keys_in_flight(pending)
    return [_row(each, messages[each.pk], held) for each in found]


def _keys_in_flight(pending: Sequence[NotificationMessage]) -> set[int]:
    ids = {message.batch_id for message in pending if message.batch_id}
    journals = DeliveryBatch.objects.filter(pk__in=ids).values_list("journal", flat=True)
    return {key for journal in journals for key in unpack_keys(journal or "")}


def _row(
    found: Notification, messages: Sequence[NotificationMessage], held: set[int]
) -> NotificationRow:
    states = [
        ChannelState(
            channel=each.channel,
            status=str(MessageStatus.PROCESSING if each.pk in held else each.status),
            last_error=each.last_error,
        )
        for each in sorted(messages, key=lambda message: message.pk)
    ]
    version = found.template_version
    return NotificationRow(
        id=found.uuid,
        user_id=found.user_id,
        status=str(best_status(each.status for each in states)) if states else "pending",
        type=found.type,
        category=found.category.key,
        template_path=version.template.path if version else None,
        priority=found.priority,
        source=found.source,
        correlation_id=found.correlation_id,
        created_at=found.created_at,
        scheduled_at=found.scheduled_at,
        scheduled_status=found.scheduled_status,
        expires_at=found.expires_at,
        is_read=found.is_read,
        channels=states,
    )


def _times(filters: Mapping[str, Any]) -> dict[str, datetime | None]:
    fields = Fields(filters)
    found = {"start": fields.moment("from"), "end": fields.moment("to")}
    fields.raise_errors()
    return found


def _whose(caller: Caller, filters: Mapping[str, Any]) -> int | None:
    """Returns the user whose rows are requested; None for all users.

    It is the user in the filter, or the caller where the caller may see no other user's rows.
    """
    if filters.get("user") is not None:
        return person_for(caller, filters["user"], scope=READ).pk
    return None if caller.may(READ) else caller.user_id or 0


def _plain(filters: Mapping[str, Any]) -> Q:
    """Builds the filters on the notification's own columns."""
    found = Q(**{name: filters[name] for name in _EXACT if filters.get(name)})
    if key := filters.get("category"):
        category = category_by_key(key)
        if category is None:
            raise _unknown("category", f"there is no category {key}")
        found &= Q(category_id=category.id)
    if path := filters.get("template"):
        if not NotificationTemplate.objects.filter(path=path).exists():
            raise _unknown("template", f"there is no template {path}")
        found &= Q(template_version__template__path=path)
    if filters.get("start"):
        found &= Q(created_at__gte=filters["start"])
    if filters.get("end"):
        found &= Q(created_at__lt=filters["end"])
    return found


def _of_messages(filters: Mapping[str, Any]) -> list[Q]:
    """Builds the filters on messages. A notification has the status of its best message."""
    messages = NotificationMessage.objects.filter(notification_id=OuterRef("pk"))
    found: list[Q] = []
    if channel := filters.get("channel"):
        found.append(Q(Exists(messages.filter(channel=channel))))
    if status := filters.get("status"):
        better = BEST_FIRST[: BEST_FIRST.index(MessageStatus(status))]
        found.append(Q(Exists(messages.filter(status=status))))
        found.append(~Q(Exists(messages.filter(status__in=better))))
    return found


def _unknown(name: str, detail: str) -> InvalidRequest:
    return InvalidRequest([FieldError(name, f"unknown_{name}", detail)], detail)


def _between(filters: Mapping[str, Any]) -> tuple[int, int]:
    """Returns the lowest and highest key of the requested times; 0 where a side is open."""
    start, end = filters.get("start"), filters.get("end")
    return (_key_at(start - _SLACK) if start else 0, _key_at(end + _SLACK) if end else 0)


def _key_at(moment: datetime) -> int:
    """Returns the lowest key whose row was created at or after a moment, by binary search."""
    keys = Notification.objects.order_by("pk").values_list("pk", "created_at")
    first, last = keys.first(), keys.last()
    if first is None or last is None:
        return 0
    low, high = first[0], last[0] + 1
    while low < high:
        middle = (low + high) // 2
        row = keys.filter(pk__gte=middle).first()
        if row is None or row[1] >= moment:
            high = middle
        else:
            low = row[0] + 1
    return low


def _horizon(top: int) -> int:
    """Returns the key of the last row that a call reads; 0 where it reads all rows."""
    keys = Notification.objects.order_by("-pk").values_list("pk", flat=True)
    keys = keys.filter(pk__lt=top) if top else keys
    return next(iter(keys[MAX_ROWS_SCANNED - 1 : MAX_ROWS_SCANNED]), 0)


def _scan_person(
    rows: QuerySet[Notification], *, user: int, after: int, limit: int, narrowed: bool
) -> NotificationPage:
    """Returns a page of one user's rows, in the order of the index that finds them.

    narrowed: other filters hide rows, so the rows that are read are counted.
    """
    began = _beyond(after)
    rows = rows.filter(began).order_by("-created_at", "-pk")
    last: tuple[int, datetime] | None = None
    if narrowed:
        own = Notification.objects.filter(began, user_id=user).order_by("-created_at", "-pk")
        read = own.values_list("pk", "created_at")
        last = next(iter(read[MAX_ROWS_SCANNED - 1 : MAX_ROWS_SCANNED]), None)
    if last is not None:
        rows = rows.filter(Q(created_at__gt=last[1]) | Q(created_at=last[1], pk__gte=last[0]))
    found = list(rows[: limit + 1])
    if len(found) > limit:
        end = found[limit - 1]
        return NotificationPage(rows_of(found[:limit]), end.pk, end.created_at)
    return NotificationPage(rows_of(found), *(last or (None, None)))


def _beyond(after: int) -> Q:
    """Returns the filter of the rows that follow this one in a user's list; 0: all."""
    if not after:
        return Q()
    mark = Notification.objects.filter(pk=after).values_list("created_at", flat=True).first()
    if mark is None:
        return Q(pk__lt=after)
    return Q(created_at__lt=mark) | Q(created_at=mark, pk__lt=after)


def _scan(
    rows: QuerySet[Notification], *, top: int, bottom: int, lowest: int, limit: int
) -> NotificationPage:
    """Returns up to `limit` rows below the key `top` and not below `bottom`."""
    rows = rows.filter(pk__gte=bottom)
    if top:
        rows = rows.filter(pk__lt=top)
    found = list(rows[: limit + 1])
    if len(found) > limit:
        last = found[limit - 1]
        return NotificationPage(rows_of(found[:limit]), last.pk, last.created_at)
    if bottom <= lowest:
        return NotificationPage(rows_of(found), None, None)
    until = Notification.objects.filter(pk=bottom).values_list("created_at", flat=True).first()
    return NotificationPage(rows_of(found), bottom, until)
