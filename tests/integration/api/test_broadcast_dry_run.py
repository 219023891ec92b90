"""Dry runs by HTTP: of a draft, and of a body that is not saved."""

from __future__ import annotations

import pytest

from notifications.models import Broadcast
from tests.integration.broadcasts.factories import make_broadcast, make_people
from tests.integration.factories import make_user

pytestmark = pytest.mark.django_db
URL = "/api/admin/broadcasts"


def test_a_draft_is_tried(as_staff):
    make_people(3)
    made = make_broadcast(target_group="custom", target_filter={"user_ids": make_people(2)})
    answer = as_staff.post(f"{URL}/{made.pk}/dry-run/")
    assert answer.status_code == 200
    data = answer.data["data"]
    assert (data["recipients"], data["complete"], data["needs_approval"]) == (2, True, False)
    assert data["channels"][0]["channel"] == "in_app"
    assert data["estimated_cost"] == {"amount": "0", "currency": "EUR"}
    assert len(data["samples"]) == 2
    made.refresh_from_db()
    assert made.status == "draft"


def test_a_body_is_tried_and_not_saved(as_staff, override_environment):
    override_environment(broadcast_approval_threshold=2)
    people = make_people(3)
    body = {
        "target_group": "custom",
        "target_filter": {"user_ids": people},
        "message": "Snow",
        "channels": ["telegram", "in_app"],
    }
    data = as_staff.post(f"{URL}/dry-run/", body).data["data"]
    assert (data["recipients"], data["send_now"], data["needs_approval"]) == (3, 3, True)
    assert data["channels"][0]["exclusions"] == {"no_contact_point": 3}
    assert not Broadcast.objects.exists()


def test_no_one_is_an_answer_too(as_staff):
    body = {"target_group": "all_tutors", "message": "Snow"}
    data = as_staff.post(f"{URL}/dry-run/", body).data["data"]
    assert (data["recipients"], data["examined"], data["complete"]) == (0, 0, True)
    assert (data["samples"], data["estimated_duration_seconds"]) == ([], 0)


def test_a_wrong_body_is_reported(as_staff):
    answer = as_staff.post(f"{URL}/dry-run/", {"target_group": "by_subject", "message": "Snow"})
    assert (answer.status_code, answer.data["code"]) == (400, "required")


@pytest.mark.parametrize("status", ["sending", "completed", "cancelled"])
def test_what_was_launched_is_not_tried(as_staff, status):
    made = make_broadcast(status=status)
    answer = as_staff.post(f"{URL}/{made.pk}/dry-run/")
    assert (answer.status_code, answer.data["code"]) == (400, "broadcast_status")


def test_unknown_people_of_a_list_are_reported_by_every_call_about_it(as_staff):
    make_user(external_id="p-7"), make_user(external_id="p-8", is_active=False)
    people = [*make_people(1), 999_999, "ext:p-9"]
    listed = {"user_ids": people, "external_ids": ["p-7", "p-8"]}
    body = {"target_group": "custom", "target_filter": listed, "message": "Snow"}
    wanted = (3, ["999999", "ext:p-9", "ext:p-8"])

    tried = as_staff.post(f"{URL}/dry-run/", body).data["data"]
    made = as_staff.post(f"{URL}/", body).data
    address = f"{URL}/{made['data']['id']}/"
    changed = as_staff.patch(address, {"message": "Ice"}).data
    sent = as_staff.post(f"{address}send/").data

    for reported in (tried, made, changed, sent):
        assert (reported["unknown_count"], reported["unknown_recipients"]) == wanted
    assert made["data"]["recipient_count"] == 2
