"""Helpers that create, launch and deliver broadcasts for tests."""

from __future__ import annotations

import asyncio
from typing import Any

from directory.models import User
from notifications.domain.lifecycle import MessageStatus
from notifications.engine.runs import deliver_rows
from notifications.features.broadcasts.delivery import launch as broadcast_launch
from notifications.features.broadcasts.delivery.upkeep import maintain_broadcasts
from notifications.infra import clock
from notifications.models import (
    Broadcast,
    BroadcastChange,
    BroadcastRecipient,
    DeliveryBatch,
    NotificationMessage,
    change_status,
)
from notifications.queue import batches


def make_broadcast(**values: Any) -> Broadcast:
    values.setdefault("target_group", "all_students")
    values.setdefault("title", "School is closed")
    values.setdefault("message", "Snow everywhere")
    values.setdefault("channels", ["in_app"])
    return Broadcast.objects.create(**values)


def make_people(count: int, *, role: str = "student", prefix: str = "s") -> list[int]:
    first = User.objects.count()
    made = User.objects.bulk_create(
        [
            User(
                username=f"{prefix}{first + number}",
                email=f"{prefix}{first + number}@example.com",
                first_name="Ada",
                role=role,
                password="!",
            )
            for number in range(count)
        ]
    )
    return [user.pk for user in made]


def launch(broadcast: Broadcast) -> Broadcast:
    broadcast_launch.begin(broadcast.pk, now=clock.now())
    assert broadcast_launch.continue_launch(broadcast.pk)
    broadcast.refresh_from_db()
    return broadcast


def deliver(lane: str = "bulk") -> None:
    """Delivers what is due on row channels."""
    while leases := batches.lease(owner="w", lane=lane, seconds=60):
        deliver_rows(leases, owner="w")


def maintain(broadcast: Broadcast) -> Broadcast:
    maintain_broadcasts(now=clock.now())
    broadcast.refresh_from_db()
    return broadcast


def settle_messages(
    broadcast: Broadcast,
    status: MessageStatus,
    people: list[int],
    *,
    channel: str = "",
    error: str = "",
) -> None:
    """Gives messages a final status as a provider's response would, and removes them from the
    queue."""
    rows = NotificationMessage.objects.filter(
        notification__source=broadcast.source, user_id__in=people
    )
    rows = rows.filter(channel=channel) if channel else rows
    fields = {"last_error": error} if error else {}
    if status in (MessageStatus.SENT, MessageStatus.DELIVERED):
        fields["sent_at"] = clock.now()
    moved = change_status([row.pk for row in rows], status, reason="test", fields=fields)
    changed = NotificationMessage.objects.filter(pk__in=moved).values_list("notification_id")
    BroadcastChange.objects.append((broadcast.source, key) for (key,) in changed)
    open_keys = set(
        NotificationMessage.objects.filter(
            notification__source=broadcast.source, status="pending"
        ).values_list("batch_id", flat=True)
    )
    DeliveryBatch.objects.filter(source=broadcast.source).exclude(pk__in=open_keys).delete()


def states(broadcast: Broadcast) -> dict[str, int]:
    """Returns how many recipients are in each state, counted from their rows."""
    found: dict[str, int] = {}
    for state in BroadcastRecipient.objects.filter(broadcast=broadcast).values_list(
        "state", flat=True
    ):
        found[state] = found.get(state, 0) + 1
    return found


def drive(coroutine: Any) -> Any:
    return asyncio.run(coroutine)
