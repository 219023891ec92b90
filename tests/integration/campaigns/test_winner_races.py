"""Two processes decide, pause, cancel or pace one campaign with an A/B test at the same moment."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import connection, transaction

from notifications.domain.callers import SYSTEM
from notifications.features.broadcasts.delivery.launch import begin, create_next_messages
from notifications.features.campaigns import actions
from notifications.features.campaigns.variants.rest import release_rest
from notifications.features.experiments.schemas import ABTestDeclareBody
from notifications.features.experiments.service import ABTestService
from notifications.infra import clock
from notifications.models import Broadcast, Campaign, Notification, OperatorAction
from tests.integration.campaigns.factories import act, fresh, make_students
from tests.integration.campaigns.variant_factories import ab_test_row, make_tested, rest_of
from tests.integration.races import PATIENCE_S, Other, other, wait_until_blocked_or_done

__all__ = ["other"]
pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(connection.vendor == "sqlite", reason="SQLite has one writer"),
]


@pytest.fixture
def testing() -> Campaign:
    """A campaign whose test is at its deadline."""
    make_students(count=20)
    made = act("launch", make_tested())
    began = clock.now() - timedelta(hours=25)
    Campaign.objects.filter(pk=made.pk).update(started_at=began)
    return fresh(made)


def released(made: Campaign) -> bool:
    return release_rest(made.pk, now=clock.now())


def test_two_processes_release_the_rest_once(testing: Campaign, other: Other) -> None:
    with transaction.atomic():
        assert released(testing)
        work = other.start(lambda: released(testing))
        wait_until_blocked_or_done(work)
        assert not work.done()
    assert work.result(PATIENCE_S) is False
    assert OperatorAction.objects.filter(action="campaign.release").count() == 1
    assert rest_of(testing).status == "scheduled"


def test_a_cancellation_that_comes_first_releases_nothing(testing: Campaign, other: Other) -> None:
    with transaction.atomic():
        actions.cancel(actions.locked_campaign(testing.pk), now=clock.now())
        work = other.start(lambda: released(testing))
        wait_until_blocked_or_done(work)
        assert not work.done()
    assert work.result(PATIENCE_S) is False
    assert rest_of(testing).status == "cancelled"
    assert ab_test_row(testing).ended_by == "stopped"


def test_a_cancellation_that_comes_second_cancels_the_rest(testing: Campaign, other: Other) -> None:
    def cancel() -> None:
        actions.cancel(actions.locked_campaign(testing.pk), now=clock.now())

    with transaction.atomic():
        assert released(testing)
        work = other.start(cancel)
        wait_until_blocked_or_done(work)
        assert not work.done()
    assert work.exception(PATIENCE_S) is None
    assert rest_of(testing).status == "cancelled"
    assert ab_test_row(testing).ended_by == "automatic"


def test_a_pause_that_comes_first_releases_nothing(testing: Campaign, other: Other) -> None:
    with transaction.atomic():
        actions.pause(actions.locked_campaign(testing.pk))
        work = other.start(lambda: released(testing))
        wait_until_blocked_or_done(work)
    assert work.result(PATIENCE_S) is False
    assert (rest_of(testing).status, ab_test_row(testing).status) == ("draft", "running")


def test_the_winner_that_a_person_declares_meanwhile_counts(
    testing: Campaign, other: Other
) -> None:
    body = ABTestDeclareBody(winner="B", reason="shorter is nicer")
    with transaction.atomic():
        ABTestService().declare(identifier=ab_test_row(testing).pk, body=body, caller=SYSTEM)
        work = other.start(lambda: released(testing))
        wait_until_blocked_or_done(work)
        assert not work.done()
    assert work.result(PATIENCE_S) is True
    row = ab_test_row(testing)
    assert (row.winner_variant, row.ended_by) == ("B", "declared")
    assert rest_of(testing).template_version_id == row.settings["versions"]["B"]


@pytest.fixture
def paced() -> tuple[Campaign, Broadcast, Broadcast]:
    """A campaign of one message in five seconds, and both of its parts, about to go on."""
    make_students(count=20)
    made = act("launch", make_tested(per_minute=12))
    began = clock.now() - timedelta(hours=25)
    Campaign.objects.filter(pk=made.pk).update(started_at=began)
    released(made)
    begin(rest_of(made).pk, now=clock.now())
    Campaign.objects.filter(pk=made.pk).update(throttled_until=None)
    assert Notification.objects.count() == 1
    test_part = Broadcast.objects.get(campaign=made, part="test")
    return fresh(made), test_part, rest_of(made)


def test_two_parts_that_are_sent_at_once_share_the_limit(
    paced: tuple[Campaign, Broadcast, Broadcast], other: Other
) -> None:
    _, first, second = paced
    with transaction.atomic():
        create_next_messages(first.pk, 500)
        work = other.start(lambda: create_next_messages(second.pk, 500))
        assert work.result(PATIENCE_S) is True, "it does not wait for the lock of the campaign"
    assert create_next_messages(second.pk, 500) is True, "it is not time yet"
    assert Notification.objects.count() == 2


def test_a_pause_waits_for_a_part_and_no_part_waits_for_a_pause(
    paced: tuple[Campaign, Broadcast, Broadcast], other: Other
) -> None:
    made, first, second = paced
    with transaction.atomic():
        create_next_messages(first.pk, 500)
        work = other.start(lambda: actions.pause(actions.locked_campaign(made.pk)))
        wait_until_blocked_or_done(work)
        assert not work.done()
    assert work.exception(PATIENCE_S) is None
    assert fresh(made).status == "paused"
    with transaction.atomic():
        actions.locked_campaign(made.pk)
        part = other.start(lambda: create_next_messages(second.pk, 500))
        assert part.result(PATIENCE_S) is True
    assert Notification.objects.count() == 2
