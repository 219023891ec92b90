"""A campaign from draft to completed: its states, pauses and cancellations, and their counts."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from directory.models import User
from notifications.domain.errors import Conflict, InvalidRequest, NotFound
from notifications.features.broadcasts.delivery.upkeep import begin_due
from notifications.features.campaigns import placing
from notifications.features.campaigns.upkeep import end_if_sent, maintain_campaigns
from notifications.infra import clock
from notifications.models import AuditQueued, Broadcast, Campaign, Category, OperatorAction
from tests.integration.campaigns.factories import (
    KEY,
    SERVICE,
    act,
    body,
    change,
    counts,
    finish,
    fresh,
    go_on,
    make_campaign,
    make_news,
    make_segment,
    make_students,
    messaged,
    recipients,
    schedule,
)
from tests.integration.preferences.conftest import work

pytestmark = pytest.mark.django_db


def actions_of(campaign: Campaign) -> list[str]:
    rows = OperatorAction.objects.filter(target=f"campaign:{campaign.uuid}").order_by("pk")
    return [name.removeprefix("campaign.") for name in rows.values_list("action", flat=True)]


class TestThinLine:
    def test_a_campaign_reaches_everyone_of_a_segment_once(self, frozen):
        people = make_students(count=4)
        segment = make_segment("Students", field="role", op="eq", value="student")
        rule = {"rule": "segment", "segment_id": segment.pk}
        made = make_campaign(audience=rule, channels=["in_app", "email"])
        assert (made.status, made.audience_count) == ("draft", 4)

        made = act("launch", made)
        assert (made.status, made.placed_done) == ("running", True)
        made = finish(made)

        assert made.status == "completed"
        assert made.completed_at is not None
        assert recipients(made) == messaged(made) == set(people)
        assert counts(made) == {"sent": 4}
        assert actions_of(made) == ["create", "launch"]

    def test_it_shows_one_version_of_its_template_to_all(self, frozen, monkeypatch):
        monkeypatch.setattr(placing, "PLACE_BATCH", 2)
        make_students(count=5)
        template = make_news()
        first = template.current_version_id
        made = make_campaign()
        made = act("launch", made)
        assert made.template_version_id == first
        assert set(Broadcast.objects.values_list("template_version_id", flat=True)) == {first}
        assert Broadcast.objects.count() == 1


class TestStates:
    def test_each_action_says_which_state_forbids_it(self, frozen):
        make_students()
        made = make_campaign()
        for action in ("pause", "resume"):
            with pytest.raises(Conflict) as caught:
                act(action, made)
            assert (caught.value.code, caught.value.data["status"]) == ("campaign_status", "draft")
        made = finish(act("launch", made))
        for action in ("launch", "pause", "resume", "cancel", "delete"):
            with pytest.raises(Conflict) as caught:
                act(action, made) if action != "delete" else SERVICE.delete(
                    identifier=made.pk, caller=KEY, now=frozen.now
                )
            assert caught.value.data["status"] == "completed"
        with pytest.raises(Conflict):
            schedule(made)
        with pytest.raises(Conflict):
            change(made, name="June")

    def test_a_scheduled_campaign_begins_at_its_time(self, frozen):
        make_students(count=2)
        made = make_campaign(scheduled_at="2030-05-01T13:00:00Z")
        made = schedule(made)
        assert (made.status, made.begins_at) == ("scheduled", frozen.now + timedelta(hours=1))
        assert maintain_campaigns(now=frozen.now) == {"begun": 0, "ended": 0}
        frozen.forward(3600)
        go_on()
        assert finish(made).status == "completed"
        assert counts(made) == {"sent": 2}

    def test_a_change_of_the_time_reschedules_and_null_makes_a_draft(self, frozen):
        make_students()
        made = schedule(make_campaign(scheduled_at="2030-05-01T13:00:00Z"))
        made = change(made, scheduled_at="2030-05-01T14:00:00Z")
        assert made.begins_at == frozen.now + timedelta(hours=2)
        made = change(made, scheduled_at=None)
        assert (made.status, made.begins_at) == ("draft", None)
        with pytest.raises(InvalidRequest) as caught:
            schedule(made)
        assert caught.value.code == "required"

    def test_one_that_cannot_begin_becomes_a_draft_with_the_reason(self, frozen):
        people = make_students()
        made = schedule(make_campaign(scheduled_at="2030-05-01T13:00:00Z"))
        User.objects.filter(pk__in=people).update(is_active=False)
        frozen.forward(3600)
        maintain_campaigns(now=frozen.now)
        made = fresh(made)
        assert made.status == "draft"
        assert "no active user" in made.error

    def test_drafts_are_deleted_and_copied(self, frozen):
        make_students()
        made = make_campaign(holdout_percent=5.0, utm={"utm_source": "a"}, per_minute=60)
        copy = SERVICE.duplicate(identifier=made.uuid, caller=KEY, now=frozen.now)
        assert (copy.name, copy.status) == ("May (copy)", "draft")
        assert (copy.holdout_percent, copy.utm, copy.per_minute) == (5.0, {"utm_source": "a"}, 60)
        SERVICE.delete(identifier=made.pk, caller=KEY, now=frozen.now)
        with pytest.raises(NotFound):
            SERVICE.get(identifier=made.pk, caller=KEY)


class TestPausing:
    def test_a_pause_holds_what_is_not_sent_and_a_resume_sends_it_once(self, frozen):
        people = make_students(count=3)
        made = act("launch", make_campaign())
        made = act("pause", made)
        assert made.status == "paused"
        go_on()
        assert counts(made) == {"pending": 3}
        made = act("resume", made)
        frozen.forward(60)  # a message that met the pause is looked at again a little later
        made = finish(made)
        assert made.status == "completed"
        assert counts(made) == {"sent": 3}
        assert messaged(made) == set(people)

    def test_a_pause_while_the_audience_is_placed(self, frozen, monkeypatch):
        monkeypatch.setattr(placing, "PLACE_BATCH", 2)
        people = make_students(count=5)
        made = make_campaign()
        monkeypatch.setattr("notifications.features.campaigns.service._INLINE_S", -1.0)
        made = act("launch", made)
        assert (made.placed_done, made.placed_after) == (False, people[1])
        made = act("pause", made)
        assert placing.place_audience(made.pk) is False
        assert counts(made) == {"pending": 5}
        made = act("resume", made)
        assert finish(made).status == "completed"
        assert recipients(made) == set(people)
        assert counts(made) == {"sent": 5}

    def test_a_broadcast_that_cannot_begin_pauses_the_campaign(self, frozen):
        make_students(count=2)
        made = make_campaign(scheduled_at="2030-05-01T13:00:00", per_timezone=True)
        made = act("launch", made)
        Broadcast.objects.update(category="gone")
        frozen.forward(3600)
        begin_due(now=frozen.now)
        assert end_if_sent(made.pk, now=frozen.now) is False
        made = fresh(made)
        assert made.status == "paused"
        assert "gone" in made.error
        Broadcast.objects.update(category="announcement")
        assert finish(act("resume", made)).status == "completed"
        assert counts(made) == {"sent": 2}


class TestCancelling:
    def test_a_cancellation_counts_who_was_not_sent(self, frozen):
        make_students(count=3)
        made = act("launch", make_campaign())
        made = act("cancel", made)
        assert made.status == "cancelled"
        go_on()
        assert counts(made) == {"cancelled": 3}
        with pytest.raises(Conflict):
            act("resume", made)

    def test_a_person_who_was_sent_before_stays_sent(self, frozen):
        make_students(count=4)
        made = make_campaign(per_minute=12)
        made = act("launch", made)
        while work():
            pass
        made = act("cancel", made)
        go_on()
        found = counts(made)
        assert found == {"sent": 1, "cancelled": 3}

    def test_one_whose_audience_is_being_placed(self, frozen, monkeypatch):
        monkeypatch.setattr(placing, "PLACE_BATCH", 2)
        monkeypatch.setattr("notifications.features.campaigns.service._INLINE_S", -1.0)
        make_students(count=5)
        made = act("launch", make_campaign())
        made = act("cancel", made)
        assert placing.place_audience(made.pk) is False
        go_on()
        assert counts(made) == {"cancelled": 5}
        assert messaged(made) == set()


class TestPace:
    def test_a_limit_a_minute_is_held(self, frozen):
        make_students(count=6)
        made = act("launch", make_campaign(per_minute=24))
        go_on()
        assert counts(made) == {"sent": 2, "pending": 4}
        frozen.forward(4)
        go_on()
        assert counts(made) == {"sent": 2, "pending": 4}
        frozen.forward(1)
        go_on()
        assert counts(made) == {"sent": 4, "pending": 2}
        frozen.forward(5)
        go_on()
        assert counts(made) == {"sent": 6}
        frozen.forward(5)
        assert finish(made).status == "completed"

    def test_it_is_one_for_all_time_zones(self, frozen):
        make_students("UTC", "Europe/Paris", "Asia/Tokyo", count=3)
        local = {"scheduled_at": "2030-05-02T09:00:00", "per_timezone": True}
        made = act("launch", make_campaign(per_minute=24, **local))
        assert Broadcast.objects.filter(campaign=made).count() == 3
        frozen.forward(86_400)
        sent = 0
        for _ in range(5):
            go_on()
            found = counts(made).get("sent", 0)
            assert found - sent <= 2, "two in five seconds, whatever the number of zones"
            sent = found
            frozen.forward(5)
        assert counts(made) == {"sent": 9}


class TestFailures:
    """A campaign whose rounds raise an exception that is no error of its content."""

    @pytest.mark.parametrize("scheduled", [True, False])
    def test_it_is_tried_again_soon_and_says_why(self, frozen, monkeypatch, scheduled):
        make_students(count=2)
        made = make_campaign(scheduled_at="2030-05-01T12:00:10Z")
        if scheduled:
            made = schedule(made)
            frozen.forward(10)
        else:
            monkeypatch.setattr("notifications.features.campaigns.service._INLINE_S", -1.0)
            made = act("launch", made)
        for name in ("place_audience", "actions.start"):
            monkeypatch.setattr(f"notifications.features.campaigns.upkeep.{name}", _raise)
        for tries, wait in ((1, 60), (2, 300), (3, 900), (4, 900), (5, 900)):
            maintain_campaigns(now=frozen.now)
            found = fresh(made).error
            assert found.startswith(f"attempt {tries} failed: OSError at "), found
            at = (frozen.now + timedelta(seconds=wait)).isoformat(timespec="seconds")
            assert found.endswith(f"next at {at}")
            frozen.forward(wait - 1)
            maintain_campaigns(now=frozen.now)
            assert fresh(made).error == found, "it waits"
            frozen.forward(1)
        monkeypatch.undo()
        made = finish(made)
        assert (made.status, made.error) == ("completed", "")


def _raise(*_args, **_values):
    raise OSError("a person's address")


@pytest.mark.parametrize(
    ("values", "path", "code"),
    [
        ({"audience": {"rule": "nothing"}}, "audience.rule", "unknown_rule"),
        ({"audience": {"rule": "all_tutors"}}, "audience", "no_recipients"),
        ({"template_path": "no.such"}, "template_path", "unknown_template"),
        ({"channels": ["sms"]}, "channels", "channel_not_in_template"),
        ({"channels": ["email", "email"]}, "channels", "duplicate_channel"),
        ({"context": {}}, "context", "missing_variable"),
        ({"category": "nothing"}, "category", "unknown_category"),
        ({"exclude": [999]}, "exclude[0]", "unknown_segment"),
        ({"utm": {"other": "x"}}, "utm.other", "unknown_field"),
        ({"scheduled_at": "2030-04-01T12:00:00Z"}, "scheduled_at", "in_the_past"),
        ({"scheduled_at": "2031-05-02T12:00:01Z"}, "scheduled_at", "time_out_of_range"),
        (
            {"scheduled_at": "2031-05-02T12:00:00", "per_timezone": True},
            "scheduled_at",
            "time_out_of_range",
        ),
        ({"scheduled_at": "2030-06-01T12:00:00"}, "scheduled_at", "invalid"),
        (
            {"scheduled_at": "2030-06-01T12:00:00Z", "per_timezone": True},
            "scheduled_at",
            "invalid",
        ),
        ({"holdout_percent": 95}, "holdout_percent", "wrong_type"),
        ({"per_minute": 0}, "per_minute", "wrong_type"),
    ],
)
def test_errors_name_the_field(frozen, values: dict[str, Any], path: str, code: str):
    make_students()
    make_news()
    with pytest.raises(InvalidRequest) as caught:
        SERVICE.create(body=body(**values), caller=KEY, now=clock.now())
    assert [(each.path, each.code) for each in caught.value.errors] == [(path, code)]


def test_without_a_category_that_of_the_template_counts(frozen):
    make_students()
    make_news("news.june", category=Category.objects.get(key="course"))
    make_news("news.july", category=None)
    for path, expected in (("news.june", "course"), ("news.july", "marketing")):
        made = act("launch", make_campaign(template_path=path))
        assert made.category == expected
    assert AuditQueued.objects.exists()
