"""A priority queue in memory, under the documented names, for callers that order work themselves.

The service's own queue is the database (queue/batches.py). Nothing in this one survives a crash.
"""

from __future__ import annotations

import heapq
import itertools
import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from notifications.domain.channels import Priority
from notifications.infra import clock

__all__ = ["NotificationMessage", "Priority", "PriorityNotificationQueue"]


@dataclass
class NotificationMessage:
    """A message in a `PriorityNotificationQueue`.

    scheduled_at: when it is due, now if not given. A time without a zone is UTC.
    """

    priority: Priority
    user_id: str
    channel: str
    template_id: str
    payload: dict[str, Any] = field(default_factory=dict)
    scheduled_at: datetime = field(default_factory=clock.now)
    attempts: int = 0
    max_attempts: int = 3
    id: str = field(default_factory=lambda: str(uuid.uuid4()))

    def __lt__(self, other: NotificationMessage) -> bool:
        return (self.priority, _due(self)) < (other.priority, _due(other))


def _due(message: NotificationMessage) -> datetime:
    due = message.scheduled_at
    return due if due.tzinfo else due.replace(tzinfo=UTC)


class PriorityNotificationQueue:
    """Orders by priority, then by schedule, then by arrival. Not for use by several threads."""

    def __init__(self) -> None:
        self._heap: list[tuple[Priority, datetime, int, NotificationMessage]] = []
        self._arrival: dict[str, int] = {}
        self._counter = itertools.count()

    def __len__(self) -> int:
        return len(self._arrival)

    def push(self, message: NotificationMessage) -> None:
        """Adds a message. It replaces a message with the same id."""
        arrival = next(self._counter)
        self._arrival[message.id] = arrival
        heapq.heappush(self._heap, (message.priority, _due(message), arrival, message))

    def pop(self) -> NotificationMessage:
        """Removes and returns the first message.

        Raises:
            KeyError: when the queue is empty.
        """
        while self._heap:
            _, _, arrival, message = heapq.heappop(self._heap)
            if self._arrival.get(message.id) == arrival:  # else it was removed or replaced
                del self._arrival[message.id]
                return message
        raise KeyError("pop from an empty priority queue")

    def remove_message(self, message_id: str) -> None:
        """Removes a message.

        Raises:
            KeyError: when there is no such message.
        """
        del self._arrival[message_id]
