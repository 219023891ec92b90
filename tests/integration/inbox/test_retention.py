"""Old arrivals and changes go; open clients and those that were away stay right."""

from __future__ import annotations

from datetime import timedelta

import pytest

from directory.models import User
from notifications.features.inbox import actions
from notifications.features.inbox.reading import ShownChange, read_page, read_since
from notifications.features.retention.service import RetentionService
from notifications.infra import clock
from notifications.models import ChangeKind, InboxArrival, InboxChange, InboxCounter
from tests.integration.factories import make_messages
from tests.integration.inbox.conftest import arrivals_of, deliver

pytestmark = pytest.mark.django_db


@pytest.fixture
def aged(person: User) -> User:
    """A person with an old read arrival, an old unread one and a new one."""
    make_messages(3, channel="in_app", user=person)
    deliver()
    first, second, _ = arrivals_of(person)
    actions.act(person.pk, [first.pk], ChangeKind.READ)
    old = clock.now() - timedelta(days=200)
    InboxArrival.objects.filter(pk__in=[first.pk, second.pk]).update(arrived_at=old)
    return person


def run() -> None:
    RetentionService().run()


def test_what_is_unread_is_archived_as_an_event_and_deleted(aged: User) -> None:
    place = read_page(aged.pk).position
    second = arrivals_of(aged)[1]
    run()
    assert InboxArrival.objects.count() == 1
    assert InboxCounter.objects.get(user_id=aged.pk).unread == 1
    (event,) = read_since({aged.pk: place})[aged.pk].events
    assert isinstance(event, ShownChange)
    assert (event.kind, event.terms["ids"]) == ("archived", [str(second.uuid)])


def test_who_is_behind_deleted_changes_gets_a_snapshot(aged: User) -> None:
    place = read_page(aged.pk).position
    before = place._replace(seq=place.seq - 1)
    InboxChange.objects.update(at=clock.now() - timedelta(days=40))
    run()
    assert not InboxChange.objects.filter(seq__lte=place.seq).exists()
    assert not read_since({aged.pk: before})[aged.pk].continues
    assert read_since({aged.pk: place})[aged.pk].continues
