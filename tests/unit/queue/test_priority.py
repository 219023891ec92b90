"""The documented in-memory queue."""

from datetime import UTC, datetime, timedelta

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

    def test_positional_arguments_stand_in_the_documented_order(self):
        made = NotificationMessage(Priority.HIGH, "u", "email", "t", {"a": 1}, NOON, 1, 5, "id")

        assert (made.payload, made.scheduled_at) == ({"a": 1}, NOON)
        assert (made.attempts, made.max_attempts, made.id) == (1, 5, "id")
        assert NotificationMessage(Priority.LOW, "u", "email", "t").attempts == 0

    def test_times_with_and_without_a_zone_are_compared_as_utc(self):
        queue = PriorityNotificationQueue()
        later = message(at=datetime(2030, 1, 1, 12, 1, tzinfo=UTC))
        queue.push(later)
        queue.push(message(id="first"))

        assert message() < later
        assert not later < message()
        assert message(Priority.HIGH, at=NOON + timedelta(1)) < later
        assert queue.pop().id == "first"

    def test_a_removed_message_is_not_popped(self):
        queue = PriorityNotificationQueue()
        queue.push(message(id="a"))
        queue.remove_message("a")

        with pytest.raises(KeyError, match="empty"):
            queue.pop()
        with pytest.raises(KeyError):
            queue.remove_message("a")
