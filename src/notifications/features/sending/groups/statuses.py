"""Reads the status of many notifications at once: the statements of one request serve them all."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from uuid import UUID

from notifications.domain.callers import Caller
from notifications.domain.identifiers import key_of, parse_identifier
from notifications.domain.lifecycle import MessageStatus, best_status
from notifications.features.sending.queries import may_see
from notifications.features.sending.schemas import MessageResponse, StatusResponse
from notifications.models import unpack_keys
from notifications.models.hot_statuses import MessageRow, StatusRow, load_statuses


def status_group(requests: Sequence[tuple[Caller, object]]) -> list[StatusResponse | None]:
    """Returns the status of each notification; None where it does not exist for the caller.

    Args:
        requests: callers, each with the id or uuid of a notification.
    """
    named = [parse_identifier(identifier) for _, identifier in requests]
    keys = [key_of(each) if isinstance(each, UUID) else each for each in named]
    wanted = {key for key in keys if key is not None}
    if not wanted:
        return [None] * len(requests)
    rows, messages = load_statuses(sorted(wanted))
    found = {row.id: row for row in rows}
    of_notification: dict[int, list[MessageRow]] = defaultdict(list)
    for message in messages:
        of_notification[message.notification_id].append(message)
    shown = {row.id: _response(row, of_notification[row.id]) for row in rows}
    return [
        shown[row.id] if row is not None and _may_get(row, name, caller) else None
        for (caller, _), name, row in zip(
            requests, named, (found.get(key or 0) for key in keys), strict=True
        )
    ]


def _may_get(row: StatusRow, name: int | UUID | None, caller: Caller) -> bool:
    """Whether the name is the notification's, and the caller may see it."""
    return name in (row.id, row.uuid) and may_see(caller, row.user_id)


def _response(row: StatusRow, messages: Sequence[MessageRow]) -> StatusResponse:
    states = [_message_response(message) for message in messages]
    return StatusResponse(
        id=row.uuid,
        status=best_status(each.status for each in states) if states else MessageStatus.PENDING,
        priority=row.priority,
        category=row.category,
        template_path=row.template_path,
        created_at=row.created_at,
        scheduled_at=row.scheduled_at,
        expires_at=row.expires_at,
        is_read=row.is_read,
        messages=states,
    )


def _message_response(row: MessageRow) -> MessageResponse:
    in_flight = bool(row.journal) and row.id in unpack_keys(row.journal or "")
    return MessageResponse(
        channel=row.channel,
        status=MessageStatus.PROCESSING if in_flight else row.status,
        attempts=row.attempts,
        max_attempts=row.max_attempts,
        scheduled_at=row.scheduled_at,
        sent_at=row.sent_at,
        delivered_at=row.delivered_at,
        provider=row.provider,
        provider_message_id=row.provider_message_id,
        last_error=row.last_error,
    )
