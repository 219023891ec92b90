"""Two actions on one campaign at the same moment: the second sees the first."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

import pytest
from django.db import connection, transaction

from notifications.domain.errors import Conflict
from notifications.features.broadcasts.delivery.launch import begin
from notifications.features.campaigns import actions
from notifications.features.campaigns.placing import place_audience
from notifications.features.campaigns.upkeep import maintain_campaigns
from notifications.infra import clock
from notifications.models import Broadcast, BroadcastRecipient, Campaign
from tests.integration.campaigns.factories import act, fresh, make_campaign, make_students
from tests.integration.races import PATIENCE_S, Other, other, wait_until_blocked_or_done

__all__ = ["other"]
pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(connection.vendor == "sqlite", reason="SQLite has one writer"),
]


@pytest.fixture
def made() -> Campaign:
    make_students(count=3)
    return make_campaign()


def locked(do: Callable[[Campaign], None], made: Campaign) -> None:
    do(actions.locked_campaign(made.pk))


def launched(row: Campaign) -> None:
    actions.launch(row, now=clock.now())


def cancelled(row: Campaign) -> None:
    actions.cancel(row, now=clock.now())


def test_two_launches_begin_it_once(made: Campaign, other: Other) -> None:
    with transaction.atomic():
        locked(launched, made)
        work = other.start(lambda: locked(launched, made))
        wait_until_blocked_or_done(work)
        assert not work.done()
    assert isinstance(work.exception(PATIENCE_S), Conflict)
    place_audience(made.pk)
    assert BroadcastRecipient.objects.count() == 3


def test_a_cancellation_that_comes_during_a_launch_cancels_it(made: Campaign, other: Other) -> None:
    with transaction.atomic():
        locked(launched, made)
        work = other.start(lambda: locked(cancelled, made))
        wait_until_blocked_or_done(work)
        assert not work.done()
    assert work.exception(PATIENCE_S) is None
    assert fresh(made).status == "cancelled"
    assert place_audience(made.pk) is False
    assert not Broadcast.objects.exists()


def test_a_launch_that_comes_during_a_cancellation_is_refused(made: Campaign, other: Other) -> None:
    with transaction.atomic():
        locked(cancelled, made)
        work = other.start(lambda: locked(launched, made))
        wait_until_blocked_or_done(work)
    found = work.exception(PATIENCE_S)
    assert isinstance(found, Conflict)
    assert found.data["status"] == "cancelled"


def test_a_broadcast_that_begins_during_a_pause_stays_where_it_is(
    made: Campaign, other: Other
) -> None:
    later = waiting(made)
    with transaction.atomic():
        locked(lambda row: actions.pause(row), made)
        work = other.start(lambda: begin(later.pk, now=clock.now()))
        wait_until_blocked_or_done(work)
        assert not work.done()
    assert isinstance(work.exception(PATIENCE_S), Conflict)
    later.refresh_from_db()
    assert later.status == "scheduled"


def test_a_pause_that_comes_while_a_broadcast_begins_pauses_it(
    made: Campaign, other: Other
) -> None:
    later = waiting(made)
    with transaction.atomic():
        begin(later.pk, now=clock.now())
        work = other.start(lambda: locked(lambda row: actions.pause(row), made))
        wait_until_blocked_or_done(work)
        assert not work.done()
    assert work.exception(PATIENCE_S) is None
    later.refresh_from_db()
    assert later.status == "paused"


def waiting(made: Campaign) -> Broadcast:
    """Launches a campaign at a local time that comes later; returns its broadcast."""
    local = (clock.now() + timedelta(days=2)).replace(tzinfo=None, microsecond=0)
    Campaign.objects.filter(pk=made.pk).update(local_time=local.isoformat())
    act("launch", made)
    return Broadcast.objects.get()


def test_two_processes_that_place_an_audience_place_everyone_once(
    made: Campaign, other: Other
) -> None:
    with transaction.atomic():
        locked(launched, made)
    with transaction.atomic():
        row = actions.locked_campaign(made.pk)
        work = other.start(lambda: place_audience(made.pk))
        wait_until_blocked_or_done(work)
        assert not work.done()
        place_audience(row.pk)
    assert work.exception(PATIENCE_S) is None
    assert BroadcastRecipient.objects.count() == 3
    assert Broadcast.objects.count() == 1


def test_two_rounds_begin_a_due_campaign_once(made: Campaign, other: Other) -> None:
    now = clock.now()
    Campaign.objects.filter(pk=made.pk).update(status="scheduled", begins_at=now)
    with transaction.atomic():
        assert maintain_campaigns(now=now)["begun"] == 1
        work = other.start(lambda: maintain_campaigns(now=now))
        wait_until_blocked_or_done(work)
    assert work.result(PATIENCE_S)["begun"] == 0
    assert isinstance(fresh(made).started_at, datetime)
    assert BroadcastRecipient.objects.count() == 3
