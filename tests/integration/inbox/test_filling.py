"""Inboxes after an upgrade, and unread numbers after a fault."""

from __future__ import annotations

import pytest

from directory.models import User
from notifications.features.inbox.filling import count_missing, fill_inboxes, recount
from notifications.features.inbox.reading import ShownArrival, read_page, read_since
from notifications.infra import clock
from notifications.models import InboxArrival, InboxCounter, NotificationMessage
from tests.integration.factories import make_messages, make_user
from tests.integration.inbox.conftest import deliver

pytestmark = pytest.mark.django_db


def deliver_as_before(count: int, user: User) -> list[NotificationMessage]:
    """Messages that an older release delivered: the text is theirs, and there is no arrival."""
    messages = make_messages(count, channel="in_app", user=user, in_batch=False)
    for message in messages:
        message.status, message.delivered_at = "delivered", clock.now()
        message.content = {"title": "Old", "body": f"Text {message.pk}", "data": {}}
        message.save()
    return messages


def test_old_messages_stand_behind_new_ones_as_read(person: User) -> None:
    old = deliver_as_before(3, person)
    make_messages(1, channel="in_app", user=person)
    deliver()
    place = read_page(person.pk).position
    assert count_missing() == 3
    assert fill_inboxes(lambda _: None) == 3
    page = read_page(person.pk)
    found = [event for event in page.events if isinstance(event, ShownArrival)]
    assert [event.seq for event in found] == [1, 0, -1, -2]
    assert [event.content["body"] for event in found[1:]] == [
        f"Text {message.pk}" for message in reversed(old)
    ]
    assert all(event.read_at for event in found[1:])
    assert (page.unread, page.position) == (1, place), "it is no event"
    assert read_since({person.pk: place})[person.pk].events == []


def test_filling_again_makes_nothing(person: User) -> None:
    deliver_as_before(2, person)
    fill_inboxes(lambda _: None)
    assert count_missing() == 0
    assert fill_inboxes(lambda _: None) == 0
    deliver_as_before(1, person)
    assert fill_inboxes(lambda _: None) == 1, "it goes on where it ended"
    assert sorted(InboxArrival.objects.values_list("seq", flat=True)) == [-2, -1, 0]


def test_a_wrong_number_is_corrected(person: User) -> None:
    other = make_user()
    for user in (person, other):
        make_messages(2, channel="in_app", user=user)
    deliver()
    InboxCounter.objects.filter(user_id=person.pk).update(unread=9)
    assert recount(lambda _: None) == 1
    assert InboxCounter.objects.get(user_id=person.pk).unread == 2
    assert recount(lambda _: None) == 0
