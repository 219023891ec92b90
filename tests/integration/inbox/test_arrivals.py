"""A delivered message arrives in the inbox of its person: once, and counted once."""

from __future__ import annotations

from typing import Any

import pytest

from directory.models import User
from notifications.features.inbox.reading import ShownArrival, read_page, read_position
from notifications.models import InboxArrival, InboxCounter, Notification, NotificationMessage
from notifications.queue import batches
from notifications.queue.leases import NewBatch
from tests.integration.factories import make_messages
from tests.integration.inbox.conftest import arrivals_of, deliver

pytestmark = pytest.mark.django_db


def test_a_delivered_message_arrives_and_is_counted(person: User) -> None:
    messages = make_messages(3, channel="in_app", user=person)
    deliver()
    state = read_page(person.pk)
    assert (state.unread, state.position.seq) == (3, 3)
    assert [event.seq for event in state.events] == [3, 2, 1]
    first = state.events[-1]
    assert isinstance(first, ShownArrival)
    assert first.content == {"title": "Title", "body": "Body", "data": {}}
    assert first.uuid == Notification.objects.get(pk=messages[0].pk).uuid
    message = NotificationMessage.objects.get(pk=messages[0].pk)
    assert message.status == "delivered"
    assert message.content is None, "the text is stored once"
    assert (message.title, message.body) == ("Title", "Body")


def test_a_message_for_a_socket_is_sent_and_shown(person: User) -> None:
    make_messages(1, channel="websocket", user=person)
    deliver()
    assert NotificationMessage.objects.get().status == "sent"
    assert read_position(person.pk).unread == 1


@pytest.mark.parametrize("together", [True, False], ids=["in one slice", "one after another"])
def test_a_send_on_both_channels_arrives_once_and_counts_once(
    person: User, together: bool, frozen: Any
) -> None:
    (message,) = make_messages(1, channel="in_app", user=person)
    if not together:
        deliver()
    twin = message.pk + 1_000_000
    (batch_id,) = batches.insert([NewBatch("default", "websocket", "key:1", None, [twin])])
    NotificationMessage.objects.create(
        id=twin,
        notification_id=message.pk,
        user=person,
        channel="websocket",
        scheduled_at=message.scheduled_at,
        batch_id=batch_id,
    )
    deliver()
    assert NotificationMessage.objects.get(pk=twin).status == "sent"
    assert InboxArrival.objects.count() == 1
    counter = InboxCounter.objects.get(user_id=person.pk)
    assert (counter.unread, counter.seq) == (1, arrivals_of(person)[0].seq)


def test_a_message_to_an_address_or_another_channel_makes_no_arrival(person: User) -> None:
    make_messages(2, channel="email", user=person)
    deliver()
    assert not InboxArrival.objects.exists()
    assert not InboxCounter.objects.exists()


def test_positions_of_each_person_have_no_hole(person: User) -> None:
    from tests.integration.factories import make_user

    other = make_user()
    for _ in range(3):
        make_messages(2, channel="in_app", user=person)
        make_messages(1, channel="in_app", user=other)
    deliver()
    assert [row.seq for row in arrivals_of(person)] == [1, 2, 3, 4, 5, 6]
    assert [row.seq for row in arrivals_of(other)] == [1, 2, 3]
