"""Why one person did not get it: nothing is said that is not known."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client

from notifications.infra import clock
from notifications.models import Broadcast, BroadcastRecipient, Campaign
from tests.integration.broadcasts.factories import launch, make_broadcast, make_people
from tests.integration.campaigns.factories import act, go_on, make_campaign
from tests.integration.console.test_broadcasts import text_of
from tests.integration.factories import make_user

pytestmark = pytest.mark.django_db
NOT_IN = "was not in the audience"
DELETED = "the recipients of that time have been deleted"


def sent(count: int = 2) -> tuple[Broadcast, str]:
    people = {"user_ids": make_people(count)}
    row = launch(make_broadcast(target_group="custom", target_filter=people))
    return row, f"/console/broadcasts/{row.pk}/recipients?find="


def test_a_group_of_a_campaign_leads_to_the_whole_campaign(operator: Client) -> None:
    row, path = sent()
    campaign = make_campaign()
    Broadcast.objects.filter(pk=row.pk).update(campaign=campaign)
    answer = operator.get(path + "someone")
    assert answer["Location"] == f"/console/campaigns/{campaign.pk}/recipients?find=someone"


def test_a_name_of_many_people_says_that_some_are_not_looked_up(operator: Client) -> None:
    _row, path = sent()
    for _ in range(26):
        make_user(first_name="Frederika")
    text = text_of(operator, path + "Frederika")
    assert "Only the first 25 are looked up" in text
    assert text.count(NOT_IN) == 25
    make_user(first_name="Oktavia")
    assert "are looked up" not in text_of(operator, path + "Oktavia")


def test_deleted_recipients_are_not_taken_for_people_outside_the_audience(
    operator: Client, override_environment: Any
) -> None:
    override_environment(facts_retention_days=90)
    other, (row, path) = make_user(first_name="Other"), sent()
    Broadcast.objects.update(completed_at=clock.now() - timedelta(days=89))
    assert NOT_IN in text_of(operator, path + other.username)
    Broadcast.objects.update(completed_at=clock.now() - timedelta(days=91))
    text = text_of(operator, path + other.username)
    assert DELETED in text
    assert NOT_IN not in text
    override_environment(facts_retention_days=365)
    assert NOT_IN in text_of(operator, path + other.username)
    BroadcastRecipient.objects.filter(broadcast=row).delete()
    Broadcast.objects.update(recipient_count=2)
    assert DELETED in text_of(operator, path + other.username)


def test_a_campaign_of_which_no_broadcast_is_left_says_so(operator: Client) -> None:
    other, people = make_user(first_name="Other"), make_people(2)
    row = act("launch", make_campaign(audience={"rule": "custom", "user_ids": people}))
    go_on()
    path = f"/console/campaigns/{row.pk}/recipients?find={other.username}"
    assert NOT_IN in text_of(operator, path)
    BroadcastRecipient.objects.all().delete()
    Campaign.objects.get().broadcasts.all().delete()
    assert DELETED in text_of(operator, path)
