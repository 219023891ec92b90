"""Audiences and segments by HTTP, and bulk sends to an audience."""

from __future__ import annotations

from typing import Any

import pytest
from rest_framework.test import APIClient

from directory.models import Segment, User
from notifications.features.sending import bulk
from notifications.models import Job, Notification, OperatorAction
from tests.integration.api.conftest import KeyClient
from tests.integration.factories import make_user

pytestmark = pytest.mark.django_db
COUNT = "/api/v1/audiences/count"
PREVIEW = "/api/v1/audiences/preview"
SEGMENTS = "/api/v1/segments"
BULK = "/api/v1/notifications/bulk"
GOLD = {"field": "subscription_tier", "op": "eq", "value": "gold"}


@pytest.fixture
def reader(with_key: KeyClient) -> APIClient:
    return with_key("users:read")


@pytest.fixture
def writer(with_key: KeyClient) -> APIClient:
    return with_key("users:read", "segments:write")


def errors(response: Any) -> list[tuple[str, str]]:
    assert response.status_code == 400, response.data
    return [(each["path"], each["code"]) for each in response.data["errors"]]


class TestLooking:
    def test_an_audience_is_counted_and_reported_in_words(self, reader: APIClient) -> None:
        one = make_user(role="tutor")
        gone = make_user(is_active=False)
        rule = {
            "any": [
                {"rule": "all_tutors"},
                {"rule": "custom", "user_ids": [one.pk, gone.pk, 10**12]},
            ]
        }

        response = reader.post(COUNT, {"audience": rule})

        assert response.status_code == 200
        assert response.data == {
            "count": 1,
            "description": "all tutors or 2 listed people",
            "missing_count": 2,
            "missing": [
                {
                    "user_id": gone.pk,
                    "reason": "inactive_user",
                    "path": "audience.any[1].user_ids",
                },
                {
                    "user_id": 10**12,
                    "reason": "unknown_user",
                    "path": "audience.any[1].user_ids",
                },
            ],
        }

    def test_a_hundred_of_the_missing_are_shown(self, reader: APIClient) -> None:
        rule = {"rule": "custom", "user_ids": list(range(10**12, 10**12 + 250))}

        response = reader.post(COUNT, {"audience": rule})

        assert (response.data["count"], response.data["missing_count"]) == (0, 250)
        assert len(response.data["missing"]) == 100

    @pytest.mark.parametrize("path", [COUNT, PREVIEW])
    def test_faults_are_reported_at_their_place(self, reader: APIClient, path: str) -> None:
        rule = {
            "any": [{"rule": "by_subject"}, {"rule": "segment", "criteria": {"all": [GOLD, 5]}}]
        }

        assert errors(reader.post(path, {"audience": rule})) == [
            ("audience.any[0].subject_id", "required"),
            ("audience.any[1].criteria.all[1]", "wrong_type"),
        ]
        assert errors(reader.post(path, {})) == [("audience", "required")]
        assert errors(reader.post(path, {"audience": "all"})) == [("audience", "wrong_type")]

    def test_people_are_shown_page_by_page(self, reader: APIClient) -> None:
        made = [make_user(role="parent") for _ in range(5)]
        seen: list[dict[str, Any]] = []
        address: str | None = f"{PREVIEW}?limit=2"
        while address:
            response = reader.post(address, {"audience": {"rule": "all_parents"}})
            assert response.status_code == 200
            seen += response.data["results"]
            address = response.data["next"]

        assert [person["id"] for person in seen] == [user.pk for user in made]
        assert seen[0] == {
            "id": made[0].pk,
            "uuid": str(made[0].uuid),
            "username": made[0].username,
            "first_name": "Ada",
            "last_name": "",
            "role": "parent",
            "locale": "en",
            "timezone": "UTC",
        }


class TestSegments:
    def test_a_segment_is_saved_read_replaced_and_removed(self, writer: APIClient) -> None:
        made = writer.post(SEGMENTS, {"name": "Gold", "criteria": GOLD})
        assert made.status_code == 201
        key = made.data["id"]
        assert made.data["criteria"] == GOLD
        assert made.data["words"] == "subscription_tier is “gold”"
        assert writer.get(f"{SEGMENTS}/{key}").data == made.data
        assert writer.get(f"{SEGMENTS}/{made.data['key']}").data["id"] == key
        assert writer.get(SEGMENTS).data["results"] == [made.data]

        changed = writer.put(
            f"{SEGMENTS}/{key}", {"name": "Not gold", "criteria": {"not": GOLD}, "description": "!"}
        )
        assert changed.status_code == 200
        assert (changed.data["name"], changed.data["description"]) == ("Not gold", "!")
        assert changed.data["words"] == "not (subscription_tier is “gold”)"

        assert writer.delete(f"{SEGMENTS}/{key}").status_code == 204
        gone = writer.get(f"{SEGMENTS}/{key}")
        assert (gone.status_code, gone.data["code"]) == (404, "unknown_segment")
        assert [action.action for action in OperatorAction.objects.order_by("pk")] == [
            "segment.created",
            "segment.changed",
            "segment.deleted",
        ]

    def test_segments_are_paged(self, writer: APIClient) -> None:
        for number in range(3):
            Segment.objects.create(name=f"Segment {number}", criteria=GOLD)
        first = writer.get(f"{SEGMENTS}?limit=2").data
        second = writer.get(first["next"]).data
        names = [each["name"] for page in (first, second) for each in page["results"]]
        assert names == ["Segment 0", "Segment 1", "Segment 2"]
        assert second["next"] is None

    def test_wrong_criteria_are_not_saved(self, writer: APIClient) -> None:
        body = {"name": "Odd", "criteria": {"any": [GOLD, {**GOLD, "op": "like"}]}}
        assert errors(writer.post(SEGMENTS, body)) == [("criteria.any[1].op", "invalid")]
        body["criteria"] = {"field": "groups", "op": "eq", "value": 77}
        assert errors(writer.post(SEGMENTS, body)) == [("criteria.value", "unknown_group")]
        body["criteria"] = {"field": "opened", "op": "exists"}
        assert errors(writer.post(SEGMENTS, body)) == [("criteria.field", "unsupported")]
        assert not Segment.objects.exists()

    def test_a_name_is_taken_once(self, writer: APIClient) -> None:
        writer.post(SEGMENTS, {"name": "Gold", "criteria": GOLD})
        other = writer.post(SEGMENTS, {"name": "Other", "criteria": GOLD}).data["id"]
        for again in (
            writer.post(SEGMENTS, {"name": "Gold", "criteria": GOLD}),
            writer.put(f"{SEGMENTS}/{other}", {"name": "Gold", "criteria": GOLD}),
        ):
            assert (again.status_code, again.data["code"]) == (409, "segment_name_taken")
        assert Segment.objects.count() == 2

    def test_readers_change_nothing(self, reader: APIClient) -> None:
        response = reader.post(SEGMENTS, {"name": "Gold", "criteria": GOLD})
        assert (response.status_code, response.data["scope"]) == (403, "segments:write")


@pytest.mark.usefixtures("template")
class TestBulk:
    def body(self, rule: Any, **changes: Any) -> dict[str, Any]:
        return {
            "template_path": "test.hello",
            "audience": rule,
            "channel": "in_app",
            "context": {"amount": 5},
            **changes,
        }

    def test_an_audience_is_reported_instead_of_recipients(self, with_key: KeyClient) -> None:
        reported = [make_user(role="parent") for _ in range(3)]
        gone = make_user(role="parent", is_active=False)
        rule = {"any": [{"rule": "all_parents"}, {"rule": "custom", "user_ids": [gone.pk]}]}

        response = with_key("notifications:send").post(BULK, self.body(rule))

        assert response.status_code == 202
        assert response.data["accepted"] == 3
        assert response.data["rejected"] == [
            {
                "index": 0,
                "code": "inactive_user",
                "detail": f"audience.any[1].user_ids: there is no active user {gone.pk}",
            }
        ]
        assert sorted(Notification.objects.values_list("user_id", flat=True)) == [
            user.pk for user in reported
        ]
        job = Job.objects.get()
        assert (job.total, job.accepted) == (4, 3)

    def test_an_audience_of_no_one_is_a_job_that_is_done(self, with_key: KeyClient) -> None:
        response = with_key("notifications:send").post(BULK, self.body({"rule": "all_parents"}))

        assert (response.status_code, response.data["accepted"]) == (202, 0)
        assert not Notification.objects.exists()

    def test_more_than_a_call_takes_is_refused_whole(
        self, with_key: KeyClient, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(bulk, "MAX_RECIPIENTS", 2)
        for _ in range(3):
            make_user(role="parent")

        response = with_key("notifications:send").post(BULK, self.body({"rule": "all_parents"}))

        assert errors(response) == [("audience", "too_many_recipients")]
        assert "has 3 people" in response.data["detail"]
        assert not Job.objects.exists()

    @pytest.mark.parametrize(
        ("changes", "expected"),
        [
            ({"audience": {}}, [("audience", "invalid")]),
            ({"audience": 5}, [("audience", "wrong_type")]),
            ({"audience": {"rule": "group"}}, [("audience.group_id", "required")]),
            ({"audience": {"rule": "group", "group_id": 9}},
             [("audience.group_id", "unknown_group")]),
            ({"recipients": [{"user_id": 1}]}, [("audience", "invalid")]),
            ({"audience": None}, [("recipients", "required")]),
            ({"channel": None}, [("channel", "required")]),
        ],
    )  # fmt: skip
    def test_wrong_audiences_are_reported_and_no_one_is(
        self, with_key: KeyClient, changes: dict[str, Any], expected: list[tuple[str, str]]
    ) -> None:
        body = self.body({"rule": "all"}, **changes)

        assert errors(with_key("notifications:send").post(BULK, body)) == expected
        assert not Job.objects.exists()

    def test_people_without_the_scope_draw_no_audience(
        self, as_user: APIClient, user: User
    ) -> None:
        response = as_user.post(BULK, self.body({"rule": "custom", "user_ids": [user.pk]}))

        assert (response.status_code, response.data["code"]) == (403, "missing_scope")
        assert response.data["scope"] == "notifications:send"
