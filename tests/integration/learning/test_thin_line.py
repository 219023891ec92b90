"""From a person's clicks to their row, to the hour of a campaign, to the explanation."""

from __future__ import annotations

import pytest

from notifications.domain.callers import SYSTEM
from notifications.domain.learning.counts import HourCounts, by_hour
from notifications.features.analytics.rollup import roll_up_due
from notifications.models import (
    Broadcast,
    EngagementHours,
    EngagementPrior,
    LearningDelta,
    Notification,
)
from notifications.models.learning.hours import unpacked_cells
from notifications.services import NotificationService
from tests.integration.campaigns.factories import finish, go_on, make_campaign, make_news, schedule
from tests.integration.learning.conftest import hour_at, known, known_of_all, noon
from tests.integration.tracking.conftest import written

pytestmark = pytest.mark.django_db


def learned(person) -> dict[int, HourCounts]:
    return by_hour(unpacked_cells(EngagementHours.objects.get(user=person).cells))


def test_a_click_is_learned_for_the_hour_of_its_hand_over(
    learning, send_mail, reader, person, frozen
):
    mail = send_mail()
    hour = hour_at(person, frozen.now)
    frozen.forward(7200)
    reader.get(mail.links[0])
    assert written() == 1
    assert LearningDelta.objects.count() == 1
    roll_up_due()
    assert LearningDelta.objects.count() == 0
    assert learned(person) == {hour: HourCounts(handed=1, clicked=1, engaged=1)}
    roll_up_due()
    assert learned(person) == {hour: HourCounts(handed=1, clicked=1, engaged=1)}
    cells = EngagementPrior.objects.get(channel="email").cells
    assert by_hour(unpacked_cells(cells)) == learned(person)


def test_nothing_is_written_while_nothing_is_learned(send_mail, reader, frozen):
    mail = send_mail()
    frozen.forward(60)
    reader.get(mail.links[0])
    written()
    roll_up_due()
    for model in (LearningDelta, EngagementHours, EngagementPrior):
        assert not model.objects.exists()


def test_a_campaign_is_due_at_the_hour_of_each_person(sure, person, frozen):
    person.role, person.timezone = "student", "Europe/Paris"
    person.save()
    make_news()
    nine = 3 * 24 + 9  # Thursday
    known(person, "email", {nine: (8, 6), nine + 1: (4, 0)})
    known_of_all("email", {nine: (100, 10), 40: (100, 10)})
    made = make_campaign(
        channels=["email"],
        scheduled_at="2030-05-01T18:00:00Z",
        send_time="learned",
        send_window_hours=24,
    )
    schedule(made)
    frozen.forward(6 * 3600)
    go_on()
    sent = Broadcast.objects.get(campaign=made)
    assert sent.scheduled_at == noon(hours=19)  # nine o'clock in Paris
    assert not Notification.objects.filter(source=sent.source).exists()
    frozen.forward(13 * 3600)
    assert finish(made).status == "completed"
    row = Notification.objects.get(source=sent.source)
    assert row.variant == f"learn:{made.pk}:l-"
    explained = NotificationService().explain(identifier=row.uuid, caller=SYSTEM)
    decisions = [(each.event, each.reason) for each in explained.messages[0].decisions]
    assert decisions[1] == ("learned", "learned_hour:Thursday 09:00, 6/8, 38.7%")
    found = explained.learning
    assert found is not None
    assert found.channels is None
    assert found.send_time is not None
    assert found.send_time.place == "learned"
    assert found.send_time.hour == "Thursday 09:00"
    assert found.send_time.first_hour == "Wednesday 20:00"
    assert found.send_time.known == 12
    evidence = found.send_time.evidence
    assert (evidence.handed_over, evidence.engaged) == (8, 6)
    assert evidence.mean == pytest.approx((10 * evidence.prior + 6) / 18, abs=1e-4)
    assert found.explanation.startswith("Due on Thursday 09:00: of 8 messages in this hour")
