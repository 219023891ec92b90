"""Puts delivered messages into the inbox of their person, in the transaction that records them."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from notifications.domain.channels import ROW_CHANNELS
from notifications.domain.lifecycle import REACHED
from notifications.infra.process import inbox_wakeups
from notifications.models import InboxEpoch
from notifications.models.inbox.hot import NewArrival, insert_arrivals
from notifications.recording.outcomes import Outcome


def shows(outcome: Outcome) -> bool:
    """Whether an inbox shows the message once it is recorded."""
    message = outcome.message
    return (
        message.channel in ROW_CHANNELS
        and outcome.status in REACHED
        and message.user_id is not None
    )


def write_arrivals(outcomes: Sequence[Outcome], took: Collection[int]) -> None:
    """Makes the arrivals of messages that took their outcome: one a notification.

    The first of a notification's in_app and websocket messages makes it.
    """
    rows: dict[int, NewArrival] = {}
    for outcome in outcomes:
        message = outcome.message
        if message.id in took and shows(outcome) and message.user_id is not None:
            rows.setdefault(
                message.notification_id,
                NewArrival(
                    message.notification_id,
                    str(message.uuid).replace("-", ""),
                    message.user_id,
                    message.category_id,
                    message.priority,
                    outcome.content,
                    outcome.at,
                ),
            )
    if not rows:
        return
    InboxEpoch.objects.copy_beat()
    inbox_wakeups.announce(insert_arrivals(list(rows.values())))
