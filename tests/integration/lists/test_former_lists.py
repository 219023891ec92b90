"""Who leaves a list after the launch gets nothing, by whatever rule the list was named.

And a list that a campaign or broadcast names is not deleted meanwhile.
"""

from __future__ import annotations

from typing import Any

import pytest

from directory.audiences import Audience, list_of
from directory.models import SubscriberList
from notifications.domain.callers import SYSTEM
from notifications.domain.errors import Conflict
from notifications.features.broadcasts.delivery import batches
from notifications.features.broadcasts.delivery.launch import begin, write_snapshot
from notifications.features.lists.joining import leave
from notifications.features.lists.service import ListService
from notifications.infra import clock
from notifications.models import Broadcast, Campaign, Notification, NotificationMessage
from notifications.services import NotificationService
from notifications.services.broadcast import BroadcastService
from tests.integration.campaigns.factories import (
    act,
    counts,
    go_on,
    make_campaign,
    make_news,
    make_segment,
    schedule,
)
from tests.integration.factories import make_user
from tests.integration.lists.factories import KEY, make_list, make_subscriber, write_to
from tests.integration.preferences.conftest import work

pytestmark = pytest.mark.django_db


@pytest.fixture
def found() -> SubscriberList:
    return make_list()


def lists_test(op: str, *lists: SubscriberList) -> dict[str, Any]:
    values = [each.pk for each in lists]
    many = op in ("in", "not_in")
    return {"field": "lists", "op": op, "value": values if many else values[0]}


def by_criteria(criteria: dict[str, Any]) -> dict[str, Any]:
    return {"rule": "segment", "criteria": criteria}


def leave_list(found: SubscriberList, person: int) -> None:
    leave(found, person, caller=SYSTEM, source="api")


class TestSegmentsOnAList:
    def test_which_criteria_hold_people_of_one_list(self, found):
        other = make_list()
        student = {"field": "role", "op": "eq", "value": "student"}

        def list_id(criteria: dict[str, Any]) -> int | None:
            return list_of(Audience.of(by_criteria(criteria), now=clock.now()).rule)

        on, off = lists_test("eq", found), lists_test("ne", found)
        assert list_id(on) == list_id(lists_test("in", found)) == found.pk
        assert list_id({"all": [student, on]}) == found.pk
        assert list_id({"any": [on, {"all": [on, student]}]}) == found.pk
        assert list_id({"not": off}) == list_id({"not": {"not": on}}) == found.pk
        assert list_id({"not": {"any": [student, off]}}) == found.pk
        for neither in (
            off,
            student,
            {"any": [on, student]},
            {"not": on},
            {"not": {"all": [student, off]}},
            lists_test("in", found, other),
            {"field": "lists", "op": "exists", "value": True},
        ):
            assert list_id(neither) is None, neither

    def test_who_left_after_the_launch_of_a_campaign_gets_nothing(self, found, frozen):
        stays, leaves = make_subscriber(found).pk, make_subscriber(found).pk
        segment = make_segment("Readers", **lists_test("eq", found))
        audience = {"rule": "segment", "segment_id": str(segment.uuid)}
        made = act("launch", make_campaign(audience=audience))
        leave_list(found, leaves)
        go_on()
        assert counts(made) == {"sent": 1, "suppressed": 1}
        states = dict(NotificationMessage.objects.values_list("user_id", "status"))
        assert (states[stays], states[leaves]) == ("delivered", "suppressed")

    def test_nor_of_a_bulk_call(self, found, frozen):
        make_news()
        person = make_subscriber(found).pk
        body = {
            "template_path": "news.may",
            "channel": "in_app",
            "context": {"month": "May"},
            "audience": by_criteria(lists_test("in", found)),
        }
        NotificationService().send_bulk(body=body, caller=SYSTEM)
        leave_list(found, person)
        while work():
            pass
        assert NotificationMessage.objects.get().status == "suppressed"


class TestDocumentedCalls:
    def test_a_draft_to_a_list_that_is_sent_to_a_role(self, found, frozen):
        make_subscriber(found, role="teacher")
        student = make_user(role="student")
        made = write_to(found, channels=["in_app"])
        BroadcastService.create_batch_recipients(made.pk, [student.pk])
        sent = BroadcastService.send_to_group_batch(made.pk, "all_students")
        assert (sent["sent_count"], sent["total_recipients"]) == (1, 1)
        made.refresh_from_db()
        assert (made.list_id, made.in_archive) == (None, False)

    def test_a_draft_to_everyone_that_is_sent_to_a_list(self, found, frozen):
        make_subscriber(found)
        made = write_to(
            found, channels=["in_app"], target_group="all", target_filter={}, status="draft"
        )
        BroadcastService.send_to_group_batch(made.pk, "list", {"list_id": found.pk})
        made.refresh_from_db()
        assert made.list_id == found.pk

    def test_a_list_that_is_added_to_a_running_broadcast_decides_about_its_people(
        self, found, frozen
    ):
        student = make_user(role="student")
        member = make_subscriber(found, role="teacher")
        made = write_to(found, channels=["in_app"], target_group="all_students", target_filter={})
        BroadcastService.send_to_group_batch(made.pk, "all_students")
        Broadcast.objects.filter(pk=made.pk).update(status="sending", completed_at=None)
        BroadcastService.send_to_group_batch(made.pk, "list", {"list_id": found.pk})
        texts = dict(Notification.objects.values_list("user_id", "options"))
        assert "list" in str(texts[member.pk])
        assert "list" not in str(texts[student.pk])

    def test_a_role_that_is_added_to_a_running_broadcast_to_a_list(self, found, frozen):
        member = make_subscriber(found, role="teacher")
        student = make_user(role="student")
        made = write_to(found, channels=["in_app"])
        BroadcastService.send_to_group_batch(made.pk, "list", {"list_id": found.pk})
        Broadcast.objects.filter(pk=made.pk).update(status="sending", completed_at=None)
        BroadcastService.send_to_group_batch(made.pk, "all_students")
        states = dict(NotificationMessage.objects.values_list("user_id", "status"))
        assert states[member.pk] == states[student.pk] == "delivered"

    @pytest.mark.parametrize("status", ["sending", "paused", "cancelled"])
    def test_the_former_list_decides_while_its_people_wait(
        self, found, frozen, monkeypatch, status
    ):
        """The broadcast is paused, or its pace ends, after the call has read it."""
        make_subscriber(found)
        make_user(role="student")
        made = write_to(found, channels=["in_app"], per_minute=1)
        begin(made.pk, now=frozen.now)
        write_snapshot(made.pk)

        def change(*_given: object) -> None:
            Broadcast.objects.filter(pk=made.pk).update(status=status)

        monkeypatch.setattr(batches, "_message_all", change)
        with pytest.raises(ValueError, match="Cannot send broadcast"):
            BroadcastService.send_to_group_batch(made.pk, "all_students")
        made.refresh_from_db()
        assert (made.list_id, made.recipient_count) == (found.pk, 1)


class TestDeletion:
    def delete(self, found: SubscriberList) -> str:
        with pytest.raises(Conflict) as caught:
            ListService().delete(identifier=found.pk, caller=KEY)
        assert caught.value.code == "list_in_use"
        return caught.value.detail

    def audiences(self, found: SubscriberList) -> list[dict[str, Any]]:
        segment = make_segment("Readers", **lists_test("eq", found))
        on, everyone = {"rule": "list", "list_id": str(found.uuid)}, {"rule": "all"}
        return [
            on,
            {"rule": "list", "list_id": found.pk},
            {"any": [everyone, on]},
            {"from": everyone, "except": on},
            by_criteria({"not": lists_test("in", found)}),
            {"any": [everyone, {"rule": "segment", "segment_id": segment.pk}]},
        ]

    @pytest.mark.parametrize("place", range(6))
    def test_a_scheduled_campaign_holds_its_list(self, found, frozen, place):
        make_subscriber(found), make_user()
        audience = self.audiences(found)[place]
        made = make_campaign(audience=audience, scheduled_at="2030-05-02T12:00:00Z")
        schedule(made)
        detail = self.delete(found)
        assert "campaign 'May'" in detail
        assert str(made.uuid) in detail
        act("cancel", made)
        ListService().delete(identifier=found.pk, caller=KEY)

    def test_so_does_one_that_excludes_it_and_one_that_is_sent(self, found, frozen):
        make_subscriber(found), make_user()
        segment = make_segment("Readers", **lists_test("eq", found))
        made = make_campaign(audience={"rule": "all"}, exclude=[str(segment.uuid)])
        assert "campaign 'May'" in self.delete(found)
        act("cancel", made)
        running = act("launch", make_campaign(audience={"rule": "list", "list_id": found.pk}))
        assert "campaign 'May'" in self.delete(found)
        Campaign.objects.filter(pk=running.pk).update(status="completed")
        ListService().delete(identifier=found.pk, caller=KEY)

    def test_a_broadcast_to_several_groups_holds_it(self, found, frozen):
        make_subscriber(found)
        rule = {"any": [{"rule": "all_students"}, {"rule": "list", "list_id": found.pk}]}
        made = write_to(found, target_group="composed", target_filter=rule)
        assert made.list_id is None
        assert f"broadcast {made.pk}" in self.delete(found)

    def test_others_do_not(self, found, frozen):
        other = make_list()
        make_subscriber(other)
        make_campaign(audience={"rule": "list", "list_id": other.pk})
        ListService().delete(identifier=found.pk, caller=KEY)

    def test_it_names_five_of_many(self, found, frozen):
        make_subscriber(found)
        for number in range(7):
            make_campaign(name=f"C{number}", audience={"rule": "list", "list_id": found.pk})
        assert self.delete(found).count("campaign '") == 5
