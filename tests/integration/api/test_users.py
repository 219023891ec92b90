"""People, synchronized by the owning platform."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any
from uuid import UUID, uuid4

import pytest
from rest_framework.test import APIClient

from directory.models import Device, Group, User
from notifications.features.privacy.steps import erase_due
from notifications.infra import clock
from notifications.models import ConsentRecord, NotificationMessage
from tests.integration.factories import make_messages, make_user

pytestmark = pytest.mark.django_db
USERS = "/api/v1/users"
BULK = f"{USERS}/bulk"


@pytest.fixture
def sync(with_key: Callable[..., APIClient]) -> APIClient:
    return with_key("users:write", "users:read")


def put(client: APIClient, uuid: UUID, **record: Any) -> Any:
    return client.put(f"{USERS}/{uuid}", record)


def lines(client: APIClient, *records: Any) -> Any:
    text = "\n".join(r if isinstance(r, str) else json.dumps(r) for r in records)
    return client.generic("POST", BULK, text.encode(), "application/x-ndjson")


class TestPut:
    def test_a_person_is_made_whole_and_changed_in_part(self, sync: APIClient) -> None:
        key = uuid4()
        made = put(
            sync,
            key,
            external_id="p-7",
            username="ada",
            first_name="Ada",
            role="teacher",
            locale="ru-RU",
            timezone="Asia/Tokyo",
            contact_points={"email": "ada@EXAMPLE.org", "phone": "+49 151 12345678"},
            attributes={"grade": 7, "city": "Bonn"},
            groups=["Algebra", "Choir"],
            devices=[{"token": "t-1", "platform": "ios"}],
            data_processing_consent=True,
        )

        assert made.status_code == 201
        assert made.data["uuid"] == str(key)
        assert (made.data["locale"], made.data["role"]) == ("ru_RU", "teacher")
        points = {point["kind"]: point["address"] for point in made.data["contact_points"]}
        assert points == {"email": "ada@example.org", "phone": "+4915112345678"}
        assert [group["name"] for group in made.data["groups"]] == ["Algebra", "Choir"]
        user = User.objects.get(uuid=key)
        assert Device.objects.get(user=user).token == "t-1"
        assert ConsentRecord.objects.get(user_id=user.pk).granted is True

        changed = put(sync, key, attributes={"grade": 8}, groups=["Choir"])

        assert changed.status_code == 200
        assert changed.data["attributes"] == {"grade": 8, "city": "Bonn"}
        assert [group["name"] for group in changed.data["groups"]] == ["Choir"]
        assert changed.data["first_name"] == "Ada"
        assert Group.objects.filter(name="Algebra").exists()

    def test_putting_the_same_twice_changes_nothing(self, sync: APIClient) -> None:
        key = uuid4()
        first = put(sync, key, username="bo", email="bo@example.org", groups=["A"])
        second = put(sync, key, username="bo", email="bo@example.org", groups=["A"])

        assert (first.status_code, second.status_code) == (201, 200)
        assert first.data == second.data

    def test_every_wrong_field_is_named(self, sync: APIClient) -> None:
        answer = put(
            sync,
            uuid4(),
            email="unknown",
            timezone="Mars/Base",
            role="king",
            shoe=44,
            groups=[7],
            devices=[{"token": ""}],
            contact_points={"fax": "1"},
        )

        assert answer.status_code == 400
        assert {error["path"] for error in answer.data["errors"]} == {
            "email",
            "timezone",
            "role",
            "shoe",
            "groups",
            "devices",
            "contact_points",
        }
        assert not User.objects.filter(email="unknown").exists()

    def test_somebody_elses_name_is_a_conflict(self, sync: APIClient) -> None:
        make_user(username="taken", external_id="x-1")

        answer = put(sync, uuid4(), username="taken")

        assert (answer.status_code, answer.data["code"]) == (409, "identity_conflict")

    def test_an_unknown_group_is_named_and_nothing_is_written(self, sync: APIClient) -> None:
        key = uuid4()

        answer = put(sync, key, username="cy", groups=[str(uuid4())])

        assert (answer.status_code, answer.data["code"]) == (400, "unknown_group")
        assert not User.objects.filter(uuid=key).exists()

    @pytest.mark.parametrize(
        ("address", "record", "code"),
        [
            ("17", {}, "invalid_uuid"),
            (str(UUID(int=7)), {"uuid": str(UUID(int=8))}, "uuid_mismatch"),
        ],
    )
    def test_the_address_is_the_identity(
        self, sync: APIClient, address: str, record: dict[str, Any], code: str
    ) -> None:
        answer = sync.put(f"{USERS}/{address}", {"username": "dee", **record})

        assert (answer.status_code, answer.data["code"]) == (400, code)

    def test_a_token_moves_to_who_holds_the_device_now(self, sync: APIClient) -> None:
        first, second = uuid4(), uuid4()
        put(sync, first, username="e1", devices=[{"token": "same"}])
        put(sync, second, username="e2", devices=[{"token": "same"}])

        assert Device.objects.get(token="same").user.uuid == second


class TestBulk:
    def test_good_lines_go_in_and_bad_ones_are_reported(self, sync: APIClient) -> None:
        answer = lines(
            sync,
            {"username": "u1", "email": "u1@example.org"},
            "{broken",
            {"username": "u2", "timezone": "Nowhere/Land"},
            [1, 2],
            {"external_id": "x9", "groups": ["G"]},
            {"username": "u1", "first_name": "Una"},
        )

        assert answer.status_code == 200
        assert (answer.data["created"], answer.data["updated"]) == (2, 1)
        assert [each["index"] for each in answer.data["rejected"]] == [1, 2, 3]
        assert {each["code"] for each in answer.data["rejected"]} == {"invalid_record"}
        assert User.objects.get(username="u1").first_name == "Una"

    @pytest.mark.parametrize("wrap", [lambda some: some, lambda some: {"users": some}])
    def test_arrays_and_objects_say_the_same(self, sync: APIClient, wrap: Any) -> None:
        answer = sync.post(BULK, wrap([{"username": f"w{n}"} for n in range(3)]))

        assert (answer.status_code, answer.data["created"]) == (200, 3)

    def test_repeating_is_safe(self, sync: APIClient) -> None:
        records = [{"username": f"r{n}", "groups": ["R"]} for n in range(20)]
        lines(sync, *records)

        again = lines(sync, *records)

        assert (again.data["created"], again.data["unchanged"]) == (0, 20)
        assert Group.objects.get(name="R").memberships.count() == 20

    def test_records_may_name_one_user_by_different_keys(self, sync: APIClient) -> None:
        lines(sync, {"username": "k1", "external_id": "key-1"})

        answer = lines(
            sync,
            {"external_id": "key-1", "first_name": "One"},
            {"username": "k1", "first_name": "Two"},
        )

        assert (answer.status_code, answer.data["updated"]) == (200, 2)
        assert User.objects.get(external_id="key-1").first_name == "Two"

    @pytest.mark.parametrize(
        ("body", "code"),
        [(b'{"users": 3}', "required"), (b'{"people": []}', "required"), (b"[1,", "invalid_json")],
    )
    def test_a_body_that_is_no_list_is_refused(
        self, sync: APIClient, body: bytes, code: str
    ) -> None:
        answer = sync.generic("POST", BULK, body, "application/json")

        assert (answer.status_code, answer.data["code"]) == (400, code)

    def test_hostile_lines_do_no_harm(self, sync: APIClient) -> None:
        answer = lines(
            sync,
            '{"username": "nul\\u0000"}',
            '{"username": "' + "x" * 200 + '"}',
            '{"username": "deep", "attributes": ' + '{"a":' * 900 + "1" + "}" * 900 + "}",
            '{"username": "half\\ud800"}',
            '{"username": "fine"}',
        )

        assert answer.status_code == 200
        assert answer.data["created"] + len(answer.data["rejected"]) == 5
        assert User.objects.filter(username="fine").exists()

    def test_ten_thousand_go_in_one_call_and_no_more(
        self, sync: APIClient, monkeypatch: Any
    ) -> None:
        monkeypatch.setattr("notifications.features.people.service.MAX_USERS", 3)

        answer = lines(sync, *({"username": f"m{n}"} for n in range(4)))

        assert (answer.status_code, answer.data["code"]) == (400, "too_many")


class TestReading:
    def test_people_are_found_and_paged(self, sync: APIClient) -> None:
        for n in range(3):
            make_user(username=f"find{n}", role="teacher", last_name=f"Okafor{n}")

        first = sync.get(USERS, {"role": "teacher", "limit": 2})
        rest = sync.get(first.data["next"])

        assert [row["username"] for row in first.data["results"]] == ["find0", "find1"]
        assert [row["username"] for row in rest.data["results"]] == ["find2"]
        assert len(sync.get(USERS, {"search": "okaFOR1"}).data["results"]) == 1
        assert len(sync.get(USERS, {"username": "find2"}).data["results"]) == 1

    def test_a_person_reads_himself_and_no_one_else(self, as_user: APIClient, user: User) -> None:
        other = make_user()

        assert as_user.get(f"{USERS}/{user.uuid}").data["username"] == user.username
        assert as_user.get(f"{USERS}/{other.pk}").status_code == 403

    def test_who_is_not_there_is_404(self, sync: APIClient) -> None:
        assert sync.get(f"{USERS}/{uuid4()}").data["code"] == "unknown_user"


class TestDelete:
    def test_it_is_an_erasure_under_its_scope(
        self, sync: APIClient, with_key: Callable[..., APIClient]
    ) -> None:
        (message,) = make_messages(1)
        user = message.user
        assert sync.delete(f"{USERS}/{user.uuid}").data["code"] == "missing_scope"

        eraser = with_key("privacy:erase")
        answer = eraser.delete(f"{USERS}/{user.uuid}?reason=asked")
        assert (answer.status_code, answer.data["state"]) == (202, "requested")
        assert eraser.delete(f"{USERS}/{user.uuid}").data["code"] == "erasure_open"

        erase_due(now=clock.now())
        assert not NotificationMessage.objects.filter(pk=message.pk).exists()
        certificate = eraser.get(f"/api/v1/privacy/certificates/{answer.data['certificate_id']}")
        assert (certificate.data["state"], certificate.data["reason"]) == ("done", "asked")
        assert sync.get(f"{USERS}/{user.uuid}").status_code == 404

    def test_staff_are_erased_by_staff_only(
        self, with_key: Callable[..., APIClient], staff: User
    ) -> None:
        answer = with_key("privacy:erase").delete(f"{USERS}/{staff.uuid}")

        assert (answer.status_code, answer.data["code"]) == (403, "staff_protected")
