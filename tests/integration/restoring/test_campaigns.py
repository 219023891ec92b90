"""Campaigns of a backup: what may have been sent since is sent only by a person's decision."""

from __future__ import annotations

from typing import Any

import pytest

from notifications.features.restoring.settle import hold_open
from notifications.infra import clock
from tests.integration.campaigns.factories import (
    act,
    counts,
    fresh,
    go_on,
    make_campaign,
    make_students,
    messaged,
    schedule,
)
from tests.integration.campaigns.variant_factories import in_test, make_tested, rest_of

pytestmark = pytest.mark.django_db
HOUR = 3_600


def test_a_campaign_whose_rest_waits_is_paused_with_the_reason(frozen: Any) -> None:
    everyone = set(make_students(count=30))
    made = act("launch", make_tested())
    go_on()
    tested = messaged(made)
    assert tested == set(in_test(made)) < everyone
    assert hold_open(now=clock.now()).campaigns == 1
    made = fresh(made)
    assert made.status == "paused"
    assert "may have been sent since" in made.error

    frozen.forward(25 * HOUR)  # the deadline of the test
    go_on()
    assert rest_of(made).status == "draft"
    assert messaged(made) == tested

    act("resume", made)
    go_on()
    go_on()
    assert messaged(made) == everyone


def test_a_scheduled_campaign_whose_time_has_passed_is_a_draft(frozen: Any) -> None:
    make_students(count=3)
    due = schedule(make_campaign(scheduled_at="2030-05-01T13:00:00Z"))
    later = schedule(make_campaign(scheduled_at="2030-05-01T15:00:00Z"))
    frozen.forward(2 * HOUR)
    assert hold_open(now=clock.now()).campaigns == 1
    go_on()
    due, later = fresh(due), fresh(later)
    assert (due.status, due.begins_at, messaged(due)) == ("draft", None, set())
    assert "may have been sent since" in due.error
    assert (later.status, later.error) == ("scheduled", "")


def test_a_running_campaign_is_paused_with_its_broadcast(frozen: Any) -> None:
    make_students(count=3)
    made = act("launch", make_campaign())
    assert hold_open(now=clock.now()).campaigns == 1
    go_on()
    assert (fresh(made).status, counts(made)) == ("paused", {"pending": 3})
