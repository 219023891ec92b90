"""The report of a campaign: its messages, who engaged, and its effect against the holdout."""

from __future__ import annotations

from datetime import timedelta

import pytest

from notifications.domain.engagement import CLICK_HUMAN, CLICK_MACHINE, OPEN_HUMAN
from notifications.features.analytics.goal_schemas import EventBody, GoalBody
from notifications.features.analytics.goals import GoalService
from notifications.features.analytics.rollup import roll_up_due
from notifications.features.campaigns.report import campaign_report
from notifications.infra import clock
from notifications.models import (
    BroadcastRecipient,
    Campaign,
    NotificationAnalytics,
    NotificationMessage,
    UserNotificationPreference,
)
from tests.integration.analytics.test_goals import CALLER
from tests.integration.campaigns.factories import (
    act,
    finish,
    held_out,
    make_campaign,
    make_students,
    recipients,
)

pytestmark = pytest.mark.django_db


def report(made: Campaign):
    return campaign_report(made, now=clock.now())


def engage(made: Campaign, person: int, flags: int) -> None:
    """Stores what the tracking of a person's mail stores."""
    row = BroadcastRecipient.objects.get(broadcast__campaign=made, recipient_id=person)
    message = NotificationMessage.objects.get(notification_id=row.notification_id, channel="email")
    NotificationAnalytics.objects.create(
        notification=message,
        sent_at=message.sent_at,
        sent_quarter=message.sent_at.replace(minute=0, second=0, microsecond=0),
        channel="email",
        provider=message.provider or "",
        source=row.broadcast.source,
        template_version_id=made.template_version_id,
        opened_at=clock.now() if flags & OPEN_HUMAN else None,
        clicked_at=clock.now() if flags & CLICK_HUMAN else None,
        flags=flags,
    )


def buy(*people: int) -> None:
    events = [EventBody(user_id=person, name="bought") for person in people]
    assert GoalService().report(events=events, caller=CALLER).accepted == len(people)


def test_it_shows_messages_and_engagement_by_who_it_was(frozen):
    people = make_students(count=4)
    opted_out = make_students()[0]
    UserNotificationPreference.objects.create(user_id=opted_out, email_enabled=False)
    made = finish(act("launch", make_campaign(channels=["email"])))
    other = finish(act("launch", make_campaign(channels=["email"])))
    engage(made, people[0], OPEN_HUMAN | CLICK_HUMAN)
    engage(made, people[1], OPEN_HUMAN)
    engage(made, people[2], CLICK_MACHINE)
    for rolled_up in (False, True):
        if rolled_up:
            roll_up_due()
        found = report(made)
        assert found.messages.sent == 4
        assert (found.messages.opened, found.messages.clicked) == (2, 1)
        assert found.messages.engagement.machine.clicked == 1
        assert (found.messages.open_rate, found.messages.click_rate) == (0.5, 0.25)
        assert found.by_channel.keys() == {"email"}
        assert report(other).messages.opened == 0
    assert (found.users.recipients, found.users.sent, found.users.suppressed) == (5, 4, 1)
    assert sum(found.suppressed_reasons.values()) == 1
    assert (found.held_out, found.effects) == (0, [])


def test_its_effect_is_shown_against_the_holdout(frozen):
    GoalService().create(body=GoalBody(name="Bought", event="bought"), caller=CALLER)
    people = make_students(count=60)
    made = finish(act("launch", make_campaign(holdout_percent=50.0)))
    away, got = sorted(held_out(made)), sorted(recipients(made))
    frozen.forward(60)
    buy(*got[:10], *away[:2])
    buy(got[0], make_students()[0])  # twice by one person, and once by someone else
    (effect,) = report(made).effects
    assert (effect.goal, effect.recipients, effect.converted) == ("Bought", len(got), 10)
    assert (effect.held_out, effect.held_out_converted) == (len(away), 2)
    assert effect.rate == pytest.approx(10 / len(got))
    assert effect.difference == pytest.approx(effect.rate - effect.held_out_rate)
    assert effect.low is not None
    assert effect.high is not None
    assert effect.low < effect.difference < effect.high
    assert len(people) == len(got) + len(away)


def test_conversions_before_it_and_long_after_it_do_not_count(frozen):
    GoalService().create(body=GoalBody(name="Bought", event="bought"), caller=CALLER)
    people = make_students(count=20)
    buy(people[0])
    frozen.forward(60)
    made = finish(act("launch", make_campaign(holdout_percent=50.0)))
    frozen.forward(timedelta(days=31).total_seconds())
    buy(people[1])
    assert report(made).effects == []


def test_a_draft_has_an_empty_report(frozen):
    make_students()
    found = report(make_campaign())
    assert (found.users.recipients, found.messages.sent, found.by_channel) == (0, 0, {})
