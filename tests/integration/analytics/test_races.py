"""Events, clicks and rollups of several processes at the same moment."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import connection, transaction

from notifications.domain.analytics.counts import Cohort
from notifications.features.analytics import attribution
from notifications.features.analytics.goal_schemas import EventBody
from notifications.features.analytics.goals import GoalService
from notifications.features.analytics.recount import begin_again
from notifications.features.analytics.rollup import roll_up_due
from notifications.models import Conversion, MetricDelta, MetricState, PersonEvent
from tests.integration.analytics.test_goals import (
    CALLER,
    DAY,
    converted,
    engaged,
    goal,
    person,
    report,
)
from tests.integration.races import PATIENCE_S, Other, other, wait_until_blocked_or_done

__all__ = ["goal", "other", "person"]
pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(connection.vendor == "sqlite", reason="SQLite has one writer"),
]


def test_a_click_and_a_conversion_that_commit_together_find_each_other(
    goal, person, frozen, other: Other
) -> None:
    def click() -> int:
        row = engaged(person, frozen, clicked=DAY)
        roll_up_due()
        return row.pk

    with transaction.atomic():
        report(person)
        message_id = other.start(click).result(PATIENCE_S)
        assert Conversion.objects.get().message_id is None, "neither saw the other"
    assert Conversion.objects.get().message_id == message_id
    assert converted() == {message_id: True}


def test_two_attributions_at_once_end_with_the_last_click(
    goal, person, frozen, other: Other, monkeypatch
) -> None:
    report(person)
    first = engaged(person, frozen, clicked=2 * DAY)
    read, works = attribution.touches_of, []

    def click() -> int:
        row = engaged(person, frozen, clicked=DAY)
        roll_up_due()
        return row.pk

    def read_and_wait(conversions):
        found = read(conversions)
        monkeypatch.setattr(attribution, "touches_of", read)
        works.append(other.start(click))
        wait_until_blocked_or_done(works[0])
        return found

    monkeypatch.setattr(attribution, "touches_of", read_and_wait)
    attribution.settle(Conversion.objects.all())

    last = works[0].result(PATIENCE_S)
    assert Conversion.objects.get().message_id == last
    assert converted() == {first.pk: False, last: True}


def test_two_calls_with_the_same_keys_do_not_block_each_other(person, other: Other) -> None:
    def event(key: str) -> EventBody:
        return EventBody(user_id=person.pk, name="bought", idempotency_key=key)

    with transaction.atomic():
        report(person, key="a")
        work = other.start(
            lambda: GoalService().report(events=[event("b"), event("a")], caller=CALLER)
        )
        wait_until_blocked_or_done(work)
        report(person, key="b")
    assert work.result(PATIENCE_S).accepted == 2
    assert PersonEvent.objects.count() == 2


def test_a_recount_of_everything_begins_after_the_deltas_that_it_deletes(
    frozen, other: Other
) -> None:
    with transaction.atomic():
        MetricDelta.objects.append({frozen.now: {Cohort("email", None, "", "", ""): {"sent": 1}}})
        work = other.start(begin_again)
        wait_until_blocked_or_done(work)
        frozen.now += timedelta(seconds=1)
    work.result(PATIENCE_S)
    assert not MetricDelta.objects.exists()
    assert MetricState.objects.get().counts_since == frozen.now
