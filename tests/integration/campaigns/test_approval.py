"""A second person releases a campaign: never who wrote, changed or sent it, nor an API key."""

from __future__ import annotations

from datetime import timedelta

import pytest

from directory.models import Segment, User
from notifications.domain.campaigns.lifecycle import CampaignStatus
from notifications.domain.errors import Conflict, Refused
from notifications.features.campaigns.schemas import CampaignScheduleBody
from notifications.features.campaigns.upkeep import maintain_campaigns
from notifications.models import Campaign, Category, NotificationTemplate
from tests.integration.campaigns.factories import (
    KEY,
    PATH,
    act,
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
    schedule,
    staff,
)
from tests.integration.factories import make_user

pytestmark = pytest.mark.django_db


@pytest.fixture
def author() -> User:
    return make_user(is_staff=True, role="teacher")


@pytest.fixture
def reviewer() -> User:
    return make_user(is_staff=True, role="teacher")


def test_a_launch_waits_for_another_person(frozen, author, reviewer):
    make_students(count=2)
    made = make_campaign(caller=staff(author), needs_approval=True)
    made = act("launch", made, caller=staff(author))
    assert (made.status, made.approval) == ("draft", "requested")
    go_on()
    assert messaged(made) == set()
    for refused in (staff(author), KEY):
        with pytest.raises(Refused):
            act("approve", made, caller=refused)
    made = act("approve", made, caller=staff(reviewer))
    assert (made.status, made.approval, made.approved_by_id) == (
        "running",
        "approved",
        reviewer.pk,
    )
    assert finish(made).status == "completed"
    assert counts(made) == {"sent": 2}


def test_a_schedule_waits_too_and_keeps_its_time(frozen, author, reviewer):
    make_students()
    values = {"needs_approval": True, "scheduled_at": "2030-05-01T13:00:00Z"}
    made = schedule(make_campaign(caller=staff(author), **values), caller=staff(author))
    assert (made.status, made.approval, made.begins_at) == ("draft", "requested", None)
    made = act("approve", made, caller=staff(reviewer))
    assert (made.status, made.begins_at) == ("scheduled", made.scheduled_at)
    frozen.forward(3600)
    assert finish(made).status == "completed"


def test_one_that_is_approved_after_its_time_begins_at_once(frozen, author, reviewer):
    make_students()
    values = {"needs_approval": True, "scheduled_at": "2030-05-01T13:00:00Z"}
    made = schedule(make_campaign(caller=staff(author), **values), caller=staff(author))
    frozen.forward(7200)
    assert act("approve", made, caller=staff(reviewer)).status == "running"


def test_while_it_waits_it_can_be_neither_launched_nor_scheduled(frozen, author):
    make_students()
    made = make_campaign(caller=staff(author), needs_approval=True)
    made = act("launch", made, caller=staff(author))
    with pytest.raises(Conflict) as caught:
        act("launch", made, caller=staff(author))
    assert caught.value.data == {"status": "draft", "approval": "requested"}


def test_a_rejected_one_is_a_draft_with_a_note(frozen, author, reviewer):
    make_students()
    made = make_campaign(caller=staff(author), needs_approval=True)
    with pytest.raises(Conflict):
        act("reject", made, caller=staff(reviewer), note="Too early")
    act("launch", made, caller=staff(author))
    made = act("reject", made, caller=staff(reviewer), note="Too early")
    assert (made.status, made.approval, made.review_note) == ("draft", "rejected", "Too early")
    made = act("launch", made, caller=staff(author))
    assert made.approval == "requested"


def test_a_change_withdraws_the_approval(frozen, author, reviewer):
    make_students()
    values = {"needs_approval": True, "scheduled_at": "2030-05-01T13:00:00Z"}
    made = schedule(make_campaign(caller=staff(author), **values), caller=staff(author))
    made = act("approve", made, caller=staff(reviewer))
    made = change(made, caller=staff(reviewer), context={"month": "June"})
    assert (made.status, made.approval, made.approved_by_id) == ("draft", "requested", None)
    with pytest.raises(Refused) as caught:  # the reviewer is an author now
        act("approve", made, caller=staff(reviewer))
    assert caught.value.code == "self_approval"


def test_a_large_audience_needs_it_whatever_the_campaign_says(
    frozen, author, reviewer, override_environment
):
    override_environment(broadcast_approval_threshold=2)
    make_students(count=3)
    made = act("launch", make_campaign(caller=staff(author)), caller=staff(author))
    assert made.approval == "requested"
    made = act("approve", made, caller=staff(reviewer))
    assert finish(made).status == "completed"
    assert counts(made) == {"sent": 3}


def test_an_audience_that_has_grown_since_needs_it_again(
    frozen, author, reviewer, override_environment
):
    override_environment(broadcast_approval_threshold=2)
    make_students(count=3)
    made = make_campaign(caller=staff(author), scheduled_at="2030-05-01T13:00:00Z")
    made = act("approve", schedule(made, caller=staff(author)), caller=staff(reviewer))
    assert made.status == "scheduled"
    make_students(count=3)
    frozen.forward(3600)
    maintain_campaigns(now=frozen.now)
    made = fresh(made)
    assert (made.status, made.approval, made.requested) == ("draft", "requested", "launch")
    assert finish(act("approve", made, caller=staff(reviewer))).status == "completed"
    assert counts(made) == {"sent": 6}


def test_a_copy_involves_the_authors_of_the_first(frozen, author, reviewer):
    make_students()
    made = make_campaign(caller=staff(author), needs_approval=True)
    act("duplicate", made, caller=staff(reviewer))
    copy = type(made).objects.latest("pk")
    assert copy.involved_user_ids == sorted([author.pk, reviewer.pk])
    act("launch", copy, caller=staff(reviewer))
    with pytest.raises(Refused):
        act("approve", copy, caller=staff(author))


def test_a_cancellation_ends_the_request(frozen, author):
    make_students()
    made = make_campaign(caller=staff(author), needs_approval=True)
    act("launch", made, caller=staff(author))
    made = act("cancel", made, caller=staff(author))
    assert (made.status, made.approval) == ("cancelled", "none")


class TestNeedsApproval:
    @pytest.mark.parametrize("status", ["draft", "scheduled"])
    def test_only_a_second_person_sets_it_to_false(self, frozen, author, reviewer, status):
        make_students()
        values = {"needs_approval": True, "scheduled_at": "2030-05-01T13:00:00Z"}
        made = make_campaign(caller=staff(author), **values)
        if status == "scheduled":
            act("approve", schedule(made, caller=staff(author)), caller=staff(reviewer))
        changer = make_user(is_staff=True, role="teacher")
        change(made, caller=staff(changer), context={"month": "June"})
        expected = ((staff(author), "self_approval"), (staff(changer), "self_approval"))
        for caller, code in (*expected, (KEY, "person_required")):
            with pytest.raises(Refused) as caught:
                change(made, caller=caller, needs_approval=False)
            assert caught.value.code == code
        assert fresh(made).needs_approval is True
        made = change(made, caller=staff(reviewer), needs_approval=False)
        assert made.needs_approval is False

    def test_all_set_it_to_true_and_leave_it_so(self, frozen, author):
        make_students()
        made = change(make_campaign(caller=staff(author)), needs_approval=True)
        assert change(made, needs_approval=True, name="June").needs_approval is True


class TestWhatWasApproved:
    @pytest.fixture
    def approved(self, frozen, author, reviewer) -> Campaign:
        """A scheduled campaign to a segment, without those of another."""
        make_students(count=3)
        to = make_segment("Students", field="role", op="eq", value="student")
        away = make_segment("Russian", field="locale", op="eq", value="ru")
        made = make_campaign(
            caller=staff(author),
            needs_approval=True,
            scheduled_at="2030-05-01T13:00:00Z",
            audience={"any": [{"rule": "segment", "segment_id": to.pk}]},
            exclude=[away.pk],
        )
        made = act("approve", schedule(made, caller=staff(author)), caller=staff(reviewer))
        assert (made.status, made.approval) == ("scheduled", "approved")
        frozen.forward(3600)
        return made

    def test_it_begins_while_nothing_differs(self, approved):
        assert finish(approved).status == "completed"

    @pytest.mark.parametrize("name", ["Students", "Russian"])
    def test_another_segment_needs_it_again(self, approved, reviewer, name):
        changed = {
            "Students": {"field": "role", "op": "in", "value": ["student", "parent"]},
            "Russian": {"field": "locale", "op": "eq", "value": "fr"},
        }
        Segment.objects.filter(name=name).update(criteria=changed[name])
        self._asks_again(approved, reviewer)

    def test_another_version_needs_it_again(self, approved, reviewer):
        first = NotificationTemplate.objects.get(path=PATH)
        other = make_news("news.other").current_version_id
        assert first.current_version_id != other
        NotificationTemplate.objects.filter(pk=first.pk).update(current_version_id=other)
        self._asks_again(approved, reviewer)

    def test_another_category_needs_it_again(self, approved, reviewer):
        course = Category.objects.get(key="course")
        NotificationTemplate.objects.filter(path=PATH).update(category=course)
        self._asks_again(approved, reviewer)

    def _asks_again(self, made: Campaign, reviewer: User) -> None:
        go_on()
        made = fresh(made)
        assert (made.status, made.approval, made.requested) == ("draft", "requested", "launch")
        assert messaged(made) == set()
        assert finish(act("approve", made, caller=staff(reviewer))).status == "completed"
        assert counts(made) == {"sent": 3}


def test_a_schedule_that_changes_an_approved_draft_withdraws_the_approval(frozen, author, reviewer):
    make_students()
    values = {"needs_approval": True, "scheduled_at": "2030-05-01T13:00:00Z"}
    made = schedule(make_campaign(caller=staff(author), **values), caller=staff(author))
    made = act("approve", made, caller=staff(reviewer))
    made.become(CampaignStatus.DRAFT, begins_at=None)  # as one that could not begin
    at = CampaignScheduleBody(scheduled_at=frozen.now + timedelta(hours=5))
    made = act("schedule", made, caller=staff(author), body=at)
    assert (made.status, made.approval, made.approved_by_id) == ("draft", "requested", None)
