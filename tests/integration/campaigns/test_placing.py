"""Who gets a campaign: the holdout and excluded segments get nothing, everyone else one message."""

from __future__ import annotations

import pytest
from structlog.testing import capture_logs

from directory.models import Group, ListMembership, Segment, User
from notifications.domain.campaigns.lifecycle import is_held_out
from notifications.domain.errors import FieldError, InvalidRequest, NotFound
from notifications.features.campaigns import placing
from notifications.features.campaigns.recipients import recipients_of
from notifications.models import CampaignHoldout, Notification
from tests.integration.campaigns.factories import (
    act,
    change,
    counts,
    finish,
    held_out,
    make_campaign,
    make_news,
    make_segment,
    make_students,
    messaged,
    recipients,
)
from tests.integration.factories import delete_row, make_user
from tests.integration.lists.factories import make_list, make_subscriber

pytestmark = pytest.mark.django_db


class TestHoldout:
    def test_no_person_of_it_is_sent_anything(self, frozen, monkeypatch):
        monkeypatch.setattr(placing, "PLACE_BATCH", 7)
        people = set(make_students(count=40))
        made = finish(act("launch", make_campaign(holdout_percent=50.0)))
        away = held_out(made)
        assert made.status == "completed"
        assert 0 < len(away) < 40
        assert made.held_out_count == len(away)
        assert away == {p for p in people if is_held_out(str(made.uuid), p, 50.0)}
        assert recipients(made) == messaged(made) == people - away
        assert not Notification.objects.filter(user_id__in=away).exists()
        assert counts(made) == {"sent": 40 - len(away)}
        listed = recipients_of(made, status="held_out", limit=100)
        assert [each.user_id for each in listed] == sorted(away)

    def test_a_campaign_whose_people_are_all_held_out_is_completed(self, frozen, monkeypatch):
        monkeypatch.setattr("notifications.models.sources.campaign.is_held_out", lambda *_: True)
        make_students(count=3)
        made = finish(act("launch", make_campaign(holdout_percent=10.0)))
        assert (made.status, made.held_out_count, counts(made)) == ("completed", 3, {})

    def test_placing_again_holds_out_the_same_people(self, frozen):
        make_students(count=20)
        made = act("launch", make_campaign(holdout_percent=50.0))
        before = held_out(made), recipients(made)
        type(made).objects.update(placed_after=0, placed_done=False)
        placing.place_audience(made.pk)
        assert (held_out(made), recipients(made)) == before

    def test_an_erased_person_leaves_it(self, frozen):
        make_students(count=20)
        made = act("launch", make_campaign(holdout_percent=50.0))
        delete_row(next(iter(held_out(made))))
        assert CampaignHoldout.objects.count() == made.held_out_count - 1


class TestExclusions:
    def test_people_of_excluded_segments_get_nothing(self, frozen):
        away = [
            make_user(role="student", locale="ru").pk,
            make_user(role="student", locale="fr").pk,
        ]
        people = make_students(count=3)
        russian = make_segment("Russian", field="locale", op="eq", value="ru")
        french = make_segment("French", field="locale", op="eq", value="fr")
        made = make_campaign(exclude=[russian.pk, str(french.uuid)])
        assert made.audience_count == 3
        made = finish(act("launch", made))
        assert recipients(made) == messaged(made) == set(people)
        assert not Notification.objects.filter(user_id__in=away).exists()

    def test_those_count_who_are_in_the_segment_when_it_begins(self, frozen):
        people = make_students(count=3)
        segment = make_segment("Russian", field="locale", op="eq", value="ru")
        made = make_campaign(exclude=[segment.pk])
        User.objects.filter(pk=people[0]).update(locale="ru")
        made = finish(act("launch", made))
        assert recipients(made) == set(people[1:])

    @pytest.mark.parametrize("is_deleted", [False, True])
    @pytest.mark.parametrize("is_paused", [False, True])
    def test_a_segment_that_changes_meanwhile_adds_no_one(
        self, frozen, monkeypatch, is_deleted, is_paused
    ):
        monkeypatch.setattr(placing, "PLACE_BATCH", 1)
        monkeypatch.setattr("notifications.features.campaigns.service._INLINE_S", -1.0)
        people = make_students(count=3)
        make_user(role="student", locale="ru")
        make_user(role="teacher")
        to = make_segment("Students", field="role", op="eq", value="student")
        away = make_segment("Russian", field="locale", op="eq", value="ru")
        rule = {"rule": "segment", "segment_id": str(to.uuid)}
        made = act("launch", make_campaign(audience=rule, exclude=[away.pk]))
        assert made.placed_done is False
        if is_paused:
            made = act("pause", made)
        if is_deleted:
            Segment.objects.all().delete()
        else:
            Segment.objects.update(criteria={"field": "role", "op": "ne", "value": "parent"})
        if is_paused:
            made = act("resume", made)
        made = finish(made)
        assert (made.status, made.error) == ("completed", "")
        assert recipients(made) == messaged(made) == set(people)

    def test_a_group_that_is_deleted_meanwhile_pauses_it(self, frozen, monkeypatch):
        monkeypatch.setattr(placing, "PLACE_BATCH", 1)
        monkeypatch.setattr("notifications.features.campaigns.service._INLINE_S", -1.0)
        make_students(count=3)
        group = Group.objects.create(name="Away")
        rule = {"from": {"rule": "all_students"}, "except": {"rule": "group", "group_id": group.pk}}
        made = act("launch", make_campaign(audience=rule))
        group.delete()
        made = finish(made)
        assert made.status == "paused"
        assert "group" in made.error

    @pytest.mark.parametrize("error", [RuntimeError, InvalidRequest])
    def test_an_error_after_the_commit_is_left_to_the_loop(self, frozen, monkeypatch, error):
        """A client that reads an error would launch again what has begun."""

        def fail(*_given: object, **_named: object) -> bool:
            raise error([FieldError("audience", "unknown_group", "it is gone")])

        people = make_students(count=3)
        monkeypatch.setattr("notifications.features.campaigns.service.place_audience", fail)
        made = make_campaign()
        with capture_logs() as events:
            assert act("launch", made).status == "running"
        reason = "audience: it is gone" if error is InvalidRequest else "RuntimeError"
        left = [each for each in events if each["event"] == "campaign.left_to_loop"]
        assert [(each["campaign"], each["error"]) for each in left] == [(made.pk, reason)]
        assert finish(made).status == "completed"
        assert messaged(made) == set(people)


class TestLists:
    def test_a_person_who_leaves_the_list_before_the_send_gets_nothing(self, frozen):
        found = make_list()
        stays, leaves = make_subscriber(found), make_subscriber(found)
        made = act(
            "launch",
            make_campaign(audience={"rule": "list", "list_id": found.pk}, channels=["email"]),
        )
        ListMembership.objects.filter(user=leaves).update(state="unsubscribed")
        made = finish(made)
        assert counts(made) == {"sent": 1, "suppressed": 1}
        sent = recipients_of(made, status="sent")
        assert [each.user_id for each in sent] == [stays.pk]

    def test_pages_go_on_after_the_last_person(self, frozen):
        people = make_students(count=5)
        made = act("launch", make_campaign())
        first = recipients_of(made, limit=3)
        assert [each.user_id for each in first] == people[:3]
        rest = recipients_of(made, after=first[-1].user_id, limit=3)
        assert [each.user_id for each in rest] == people[3:]


def test_a_campaign_names_its_segments_by_id(frozen):
    make_students()
    make_news()
    segment = make_segment("Russian", field="locale", op="eq", value="ru")
    made = make_campaign(exclude=[segment.pk, segment.pk])
    assert made.exclude == [str(segment.uuid)]
    assert change(made, exclude=[]).exclude == []
    with pytest.raises(NotFound):
        act("launch", type(made)(pk=10**6))
