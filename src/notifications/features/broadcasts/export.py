"""Exports a broadcast's recipients as CSV, with the keys of the list, a page at a time."""

from __future__ import annotations

from collections.abc import Iterator

from notifications.features.broadcasts.queries import recipient_responses
from notifications.features.broadcasts.schemas import BroadcastRecipientResponse
from notifications.infra.csv_text import csv_lines
from notifications.models import Broadcast, BroadcastRecipient

PAGE = 1_000
COLUMNS = (
    "id",
    "user_id",
    "user_name",
    "email",
    "telegram_id",
    "telegram_sent",
    "telegram_message_id",
    "status",
    "channels",
    "error_message",
    "sent_at",
)


def recipients_csv(broadcast: Broadcast, *, status: str = "", page: int = PAGE) -> Iterator[bytes]:
    """Yields the recipients as CSV by rising user id, `page` of them a part, the header first.

    status: only recipients of this state; empty for all. A recipient whose state changes during
    the export is shown as when it was read.
    """
    rows = BroadcastRecipient.objects.filter(broadcast=broadcast).order_by("recipient_id")
    if status:
        rows = rows.filter(state=status)
    lines: list[tuple[str, ...]] = [COLUMNS]
    after = -1
    while True:
        found = list(rows.filter(recipient_id__gt=after).values_list("pk", "recipient_id")[:page])
        lines += [_line(each) for each in recipient_responses([key for key, _ in found])]
        yield csv_lines(lines)
        if len(found) < page:
            return
        lines, after = [], found[-1][1]


def _line(row: BroadcastRecipientResponse) -> tuple[str, ...]:
    """Returns the cells of one recipient; channels as `email=sent telegram=failed`."""
    return (
        str(row.id),
        str(row.user_id),
        row.user_name,
        row.email,
        row.telegram_id,
        "true" if row.telegram_sent else "false",
        row.telegram_message_id or "",
        row.status,
        " ".join(f"{channel}={state}" for channel, state in row.channels.items()),
        row.error_message or "",
        row.sent_at.isoformat().replace("+00:00", "Z") if row.sent_at else "",
    )
