"""Dry runs count before a launch what the launch will do."""

from __future__ import annotations

from datetime import time, timedelta
from typing import Any

import pytest

from directory.audiences import Audience
from directory.models import ContactPoint, Device, Suppression, User
from notifications.engine import shared_rows
from notifications.features.broadcasts.dry_run import dry_run
from notifications.infra import clock
from notifications.models import (
    Broadcast,
    BroadcastRecipient,
    Category,
    KillSwitch,
    Notification,
    NotificationCategoryPreference,
    NotificationMessage,
    ProviderFlow,
    UserNotificationPreference,
)
from notifications.models.providers.provider_flow import now_us
from tests.integration.broadcasts.factories import (
    deliver,
    launch,
    maintain,
    make_broadcast,
    make_people,
    states,
)

pytestmark = pytest.mark.django_db


def tried(broadcast: Broadcast | None = None, **values: Any) -> Any:
    found = dry_run(broadcast or make_broadcast(**values), now=clock.now())
    assert found.success
    return found.data


def with_address(people: list[int], kind: str = "email", state: str = "active") -> None:
    for person in people:
        ContactPoint.objects.update_or_create(
            user_id=person, kind=kind, defaults={"address": f"{kind}{person}@x.io", "state": state}
        )


def set_preferences(person: int, **values: Any) -> None:
    UserNotificationPreference.objects.create(user_id=person, **values)


def test_all_are_sent_to_where_nothing_prevents_it():
    make_people(7)
    found = tried()
    assert (found.recipients, found.examined, found.complete) == (7, 7, True)
    assert (found.send_now, found.delayed, found.excluded) == (7, 0, 0)
    (channel,) = found.channels
    assert (channel.channel, channel.messages, channel.calls) == ("in_app", 7, 7)
    assert channel.providers == ["in_app"]


def test_nothing_is_written():
    make_people(3)
    tried()
    assert not BroadcastRecipient.objects.exists()
    assert not Notification.objects.exists()
    assert not NotificationMessage.objects.exists()


def test_exclusions_have_the_reasons_of_real_sends():
    people = make_people(6)
    with_address(people[1:])
    ContactPoint.objects.filter(user_id=people[1]).update(state="bounced")
    Suppression.objects.create(
        kind="email",
        address=ContactPoint.objects.get(user_id=people[2]).address,
        reason="complaint",
    )
    set_preferences(people[3], notifications_enabled=False)
    set_preferences(people[4], email_enabled=False)
    made = make_broadcast(channels=["email"])
    found = tried(made)
    assert found.exclusions == {
        "no_contact_point": 1,
        "contact_bounced": 1,
        "address_suppressed": 1,
        "notifications_off": 1,
        "channel_off": 1,
    }
    assert (found.excluded, found.send_now) == (5, 1)
    assert found.channels[0].exclusions == found.exclusions


def test_consent_is_checked_where_the_category_requires_it():
    people = make_people(3)
    set_preferences(people[0], data_processing_consent=True, marketing_enabled=True)
    found = tried(category="marketing")
    assert Category.objects.get(key="marketing").legal_basis == "consent"
    assert found.exclusions == {"no_consent": 2}
    assert found.send_now == 1


def test_quiet_hours_and_digests_delay_but_do_not_exclude(frozen):
    people = make_people(4)
    set_preferences(
        people[0],
        quiet_hours_enabled=True,
        quiet_hours_start=time(11),
        quiet_hours_end=time(15),
        timezone="UTC",
    )
    set_preferences(people[1], digest_frequency="daily")
    found = tried()
    assert (found.send_now, found.delayed, found.excluded) == (2, 2, 0)
    assert found.delays == {"quiet_hours": 1, "digest_daily": 1}
    assert found.delayed_until > clock.now() + timedelta(hours=2)
    assert found.channels[0].messages == 4


def test_a_scheduled_broadcast_is_dry_run_for_its_time(frozen):
    (person,) = make_people(1)
    set_preferences(
        person,
        quiet_hours_enabled=True,
        quiet_hours_start=time(22),
        quiet_hours_end=time(23),
        timezone="UTC",
    )
    assert tried().send_now == 1
    night = clock.now() + timedelta(hours=10, minutes=30)
    assert tried(status="scheduled", scheduled_at=night).delays == {"quiet_hours": 1}


def test_kill_switches_delay():
    make_people(2)
    KillSwitch.objects.create(
        scope="channel", value="in_app", reason="test", actor="t", created_at=clock.now()
    )
    assert tried().delays == {"kill_switch:channel:in_app": 2}


def test_category_choices_and_reached_limits_count_for_each_person():
    people = make_people(4)
    NotificationCategoryPreference.objects.create(
        user_id=people[0], category="announcement", in_app_enabled=False
    )
    Category.objects.filter(key="announcement").update(caps=[{"limit": 1, "window_s": 3600}])
    first = make_broadcast(target_group="custom", target_filter={"user_ids": people[1:2]})
    launch(first)
    deliver()
    shared_rows.forget()
    found = tried()
    assert found.exclusions == {"category_channel_off": 1, "frequency_cap:announcement": 1}
    assert found.send_now == 2


def test_in_order_the_next_channel_reaches_whom_the_previous_cannot():
    people = make_people(5)
    with_address(people[:2])
    made = make_broadcast(channels=["email", "in_app"], delivery="first")
    found = tried(made)
    email, inbox = found.channels
    assert (email.send_now, email.exclusions) == (2, {"no_contact_point": 3})
    assert (inbox.send_now, found.send_now, found.excluded) == (3, 5, 0)


def test_with_all_channels_each_person_is_sent_to_on_every_open_one():
    people = make_people(5)
    with_address(people[:2])
    found = tried(channels=["email", "in_app"])
    assert [channel.messages for channel in found.channels] == [2, 5]
    assert (found.send_now, found.excluded) == (5, 0)


def test_a_push_is_a_call_for_each_device(override_environment):
    override_environment(push_provider="fcm", fcm_credentials="/none.json")
    people = make_people(2)
    for number, person in enumerate([people[0], people[0], people[1]]):
        Device.objects.create(user_id=person, token=f"t{number}", kind="fcm", platform="android")
    found = tried(channels=["push"])
    assert (found.channels[0].messages, found.channels[0].calls) == (2, 3)
    assert found.channels[0].providers == ["fcm"]


def test_the_duration_follows_from_the_current_limits(override_environment):
    override_environment(email_provider="smtp", rate_limits=("smtp=2/s",))
    with_address(make_people(20))
    made = make_broadcast(channels=["email"])
    found = tried(made)
    assert found.channels[0].rate_per_second == pytest.approx(1.923, abs=0.001)
    assert found.estimated_duration_seconds == 11, "20 calls at two a second, evenly and never late"
    ProviderFlow.objects.create(service="smtp", open_until=now_us() + 30_000_000)
    assert tried(made).estimated_duration_seconds in (40, 41), "the breaker holds it half a minute"


def test_the_cost_is_by_channel_and_an_sms_costs_its_segments(override_environment):
    override_environment(channel_prices=("sms=0.045", "email=0.0001"), price_currency="USD")
    people = make_people(10)
    with_address(people[:4], "phone")
    for person in people[:4]:
        set_preferences(person, sms_enabled=True)
    with_address(people)
    found = tried(channels=["sms", "email"], title="", message="x" * 200)
    assert [channel.estimated_cost for channel in found.channels] == ["0.360", "0.0010"]
    assert (found.estimated_cost.amount, found.estimated_cost.currency) == ("0.3610", "USD")


def test_three_samples_show_what_each_person_would_receive():
    make_people(9)
    found = tried(title="Notice", message="Snow everywhere")
    assert len(found.samples) == 3
    sample = found.samples[0]
    assert (sample.title, sample.body, sample.channel) == ("Notice", "Snow everywhere", "in_app")
    assert (sample.user_name, sample.decision) == ("Ada", "send")


def test_samples_are_of_several_channels():
    with_address(make_people(9))
    found = tried(channels=["email", "in_app"])
    assert [sample.channel for sample in found.samples] == ["email", "email", "in_app"]


def test_listed_people_who_do_not_exist_are_named():
    people = make_people(2)
    User.objects.filter(pk=people[1]).update(is_active=False)
    found = tried(target_group="custom", target_filter={"user_ids": [*people, 99_999]})
    assert found.recipients == 1
    assert found.unknown_count == 2
    assert set(found.unknown_recipients) == {str(people[1]), "99999"}


def test_a_dry_run_that_takes_too_long_estimates_the_rest(monkeypatch, override_environment):
    override_environment(channel_prices=("in_app=1",))
    make_people(12)
    made = make_broadcast()
    whole = Audience.stream
    monkeypatch.setattr(Audience, "stream", lambda self: whole(self, page=4))
    found = dry_run(made, now=clock.now(), seconds=0).data
    assert (found.recipients, found.examined, found.complete) == (12, 4, False)
    assert found.send_now == 4
    assert found.estimated_cost.amount == "12"


def test_the_counts_equal_those_of_the_launch(frozen):
    people = make_people(8)
    set_preferences(people[0], notifications_enabled=False)
    set_preferences(people[1], in_app_enabled=False)
    made = make_broadcast()
    found = tried(made)
    launch(made)
    deliver()
    maintain(made)
    assert states(made) == {"sent": found.send_now, "suppressed": found.excluded}
