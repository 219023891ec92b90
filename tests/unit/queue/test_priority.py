"""The documented in-memory queue."""

from datetime import datetime, timedelta

import pytest

from notifications.queue import NotificationMessage, Priority, PriorityNotificationQueue

NOON = datetime(2030, 1, 1, 12, 0)


def message(priority=Priority.MEDIUM, at=NOON, **more):
    return NotificationMessage(
        priority=priority,
        user_id="user1",
        channel="push",
        template_id="template1",
        scheduled_at=at,
        **more,
    )


class TestPriorityNotificationQueue:
    def test_priority_ordering(self):
        queue = PriorityNotificationQueue()
        queue.push(message(Priority.LOW))
        queue.push(message(Priority.CRITICAL))

        assert queue.pop().priority == Priority.CRITICAL
        assert queue.pop().priority == Priority.LOW

    def test_the_earlier_schedule_goes_first_then_the_earlier_arrival(self):
        queue = PriorityNotificationQueue()
        late, first, second = message(at=NOON + timedelta(1)), message(), message()
        for each in (late, first, second):
            queue.push(each)

        assert [queue.pop().id for _ in range(3)] == [first.id, second.id, late.id]

    def test_pushing_again_replaces(self):
        queue = PriorityNotificationQueue()
        queue.push(message(Priority.LOW, id="a"))
        queue.push(message(Priority.CRITICAL, id="a"))

        assert len(queue) == 1
        assert queue.pop().priority == Priority.CRITICAL

    def test_a_removed_message_is_not_popped(self):
        queue = PriorityNotificationQueue()
        queue.push(message(id="a"))
        queue.remove_message("a")

        with pytest.raises(KeyError, match="empty"):
            queue.pop()
        with pytest.raises(KeyError):
            queue.remove_message("a")
