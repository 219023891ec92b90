"""A platform names people by its own ids at every door, and nothing takes one id for another."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, get_args, get_type_hints
from uuid import uuid4

import msgspec
import pytest
from rest_framework.test import APIClient

from directory.lookup import find_people
from directory.models import User
from directory.references import ExternalId, read_person
from notifications.api.routes import ROUTES
from notifications.features.privacy.steps import erase_due
from notifications.infra import clock
from notifications.models import Notification
from tests.integration.factories import delete_row, make_template, make_user

pytestmark = pytest.mark.django_db
API = "/api/v1"
SEND = {"template_path": "test.hello", "channel": "in_app", "context": {"amount": 1}}


@pytest.fixture
def platform(with_key: Callable[..., APIClient]) -> APIClient:
    return with_key("*")


@pytest.fixture
def ada() -> User:
    return make_user(external_id="p-7")


def fields_of(shape: Any) -> set[str]:
    """The names of a shape's fields, with those of the shapes inside it."""
    found = set(shape.__struct_fields__)
    for hint in get_type_hints(shape).values():
        for part in (hint, *get_args(hint), *(p for a in get_args(hint) for p in get_args(a))):
            if isinstance(part, type) and issubclass(part, msgspec.Struct):
                found |= fields_of(part)
    return found


def test_every_door_that_takes_a_user_id_takes_an_external_id() -> None:
    doors = 0
    for route in ROUTES:
        queries = {query.name for query in route.query}
        body = fields_of(route.body) if route.body else set()
        for names in (queries, body):
            if "user_id" in names:
                doors += 1
                assert "external_id" in names, route.name
    assert doors >= 14


@pytest.mark.parametrize("named", [{"external_id": "p-7"}, {"user_id": "ext:p-7"}])
def test_a_send_goes_to_the_platforms_id(
    named: dict[str, Any], platform: APIClient, ada: User
) -> None:
    make_template()
    sent = platform.post(f"{API}/notifications/send", {**SEND, **named}, format="json")
    body = {**SEND, "recipients": [named, {"external_id": "p-8"}, {"user_id": "ext:p-8"}]}
    bulk = platform.post(f"{API}/notifications/bulk", body, format="json")

    assert sent.status_code == 201, sent.content
    assert bulk.data["accepted"] == 1
    assert {row["code"] for row in bulk.data["rejected"]} == {"unknown_user"}
    assert "ext:p-8" in bulk.data["rejected"][0]["detail"]
    assert set(Notification.objects.values_list("user_id", flat=True)) == {ada.pk}


def test_a_schedule_takes_the_platforms_ids(as_staff: APIClient, ada: User) -> None:
    body = {
        "recipients": ["ext:p-7", "ext:p-8"],
        "title": "T",
        "message": "M",
        "scheduled_at": "2150-01-01T00:00:00Z",
    }
    made = as_staff.post("/api/notifications/schedule", body, format="json").json()

    assert (made["count"], made["unknown"]) == (1, ["ext:p-8"])
    assert Notification.objects.get().user_id == ada.pk


@pytest.mark.parametrize("path", ["preferences", "consents", "devices", "preferences/link"])
@pytest.mark.parametrize("query", ["external_id=p-7", "user_id=ext:p-7", "user_id={0.pk}"])
def test_a_query_names_whose(path: str, query: str, platform: APIClient, ada: User) -> None:
    assert platform.get(f"{API}/{path}?{query.format(ada)}").status_code == 200
    unknown = platform.get(f"{API}/{path}?external_id=p-8")
    assert (unknown.status_code, unknown.json()["code"]) == (404, "unknown_user")
    both = platform.get(f"{API}/{path}?external_id=p-7&user_id={ada.pk}")
    assert (both.status_code, both.json()["code"]) == (400, "invalid")


@pytest.mark.parametrize("named", [{"external_id": "p-7"}, {"user_id": "ext:p-7"}])
def test_a_body_names_whose(named: dict[str, Any], platform: APIClient, ada: User) -> None:
    device = {"token": "t-1", "platform": "ios"}
    consent = {"purpose": "marketing", "granted": True, "wording": "yes"}
    for path, body in (("devices", device), ("consents", consent)):
        made = platform.post(f"{API}/{path}", {**body, **named}, format="json")
        assert made.status_code == 201, made.content
    assert ada.devices.count() == 1


def test_a_person_is_made_read_and_removed_by_the_platforms_id(platform: APIClient) -> None:
    address = f"{API}/users/ext:p-7"
    made = platform.put(address, {"username": "ada"}, format="json")
    again = platform.put(address, {"first_name": "Ada"}, format="json")
    other = platform.put(address, {"external_id": "p-8"}, format="json")

    assert (made.status_code, again.status_code, other.status_code) == (201, 200, 400)
    assert platform.get(address).json()["external_id"] == "p-7"
    assert platform.delete(address).status_code == 202
    erase_due(now=clock.now())
    assert platform.get(address).json()["code"] == "unknown_user"


def test_an_audience_lists_the_platforms_ids(platform: APIClient, ada: User) -> None:
    beth = make_user()
    rule = {"rule": "custom", "user_ids": [beth.pk, "ext:p-8"], "external_ids": ["p-7", "p-9"]}
    reported = platform.post(f"{API}/audiences/count", {"audience": rule}, format="json").json()

    assert reported["count"] == 2
    assert [each["user_id"] for each in reported["missing"]] == ["ext:p-8", "ext:p-9"]
    for named in ({"tutor_id": "ext:p-7"}, {"external_id": "p-7"}):
        body = {"audience": {"rule": "by_tutor", **named}}
        problem = platform.post(f"{API}/audiences/count", body, format="json").json()
        assert problem["code"] == "unknown_tutor", problem  # it is a student who was found


# nothing guesses

AMBIGUOUS = ["7", " 7 ", "p-7", "", "ext:", "ext:" + "x" * 101, "EXT:p-7", 7.0, True, ["p-7"]]


@pytest.mark.parametrize("value", AMBIGUOUS)
def test_a_value_that_says_no_kind_of_id_is_refused_at_every_body(
    value: Any, platform: APIClient
) -> None:
    make_template()
    delete_row(7)
    make_user(pk=7, external_id="12")
    send = platform.post(f"{API}/notifications/send", {**SEND, "user_id": value}, format="json")
    body = {**SEND, "recipients": [{"user_id": value}]}
    bulk = platform.post(f"{API}/notifications/bulk", body, format="json").json()
    rule = {"audience": {"rule": "custom", "user_ids": [value]}}
    count = platform.post(f"{API}/audiences/count", rule, format="json")

    assert (send.status_code, send.json()["code"]) == (400, "invalid_user")
    assert "ext:" in send.json()["detail"] + str(send.json().get("errors"))
    assert [row["code"] for row in bulk["rejected"]] == ["invalid_user"]
    assert count.status_code == 400
    if isinstance(value, str):
        device = {"token": "t-1", "platform": "ios", "user_id": value}
        answer = platform.post(f"{API}/devices", device, format="json")
        assert (answer.status_code, answer.json()["code"]) == (400, "invalid_user")


@pytest.mark.parametrize("value", ["", "x" * 101, "a\x00", 7])
def test_an_external_id_that_is_none_is_reported(value: Any, platform: APIClient) -> None:
    make_template()
    answer = platform.post(
        f"{API}/notifications/send", {**SEND, "external_id": value}, format="json"
    )
    assert answer.status_code == 400


def test_a_number_is_ours_and_a_text_of_digits_the_platforms() -> None:
    ours = make_user()
    theirs = make_user(external_id=str(ours.pk))

    found = find_people([ours.pk, str(ours.pk), ExternalId(str(ours.pk))])

    assert found == {
        ours.pk: ours.pk,
        str(ours.pk): theirs.pk,
        ExternalId(str(ours.pk)): theirs.pk,
    }


def test_a_text_that_is_one_persons_name_and_anothers_id_names_no_one(platform: APIClient) -> None:
    make_user(username="ada"), make_user(external_id="ada")
    group = platform.post(f"{API}/groups", {"name": "Choir"}, format="json").json()["id"]
    body = {"members": ["ada", "ext:ada"]}
    answer = platform.put(f"{API}/groups/{group}/members", body, format="json").json()

    assert (answer["added"], answer["unknown"]) == (1, ["ada"])


def test_a_uuid_of_ours_outranks_nothing_that_says_its_kind() -> None:
    ours = make_user()
    theirs = make_user(external_id=str(ours.uuid))
    assert User.objects.find(read_person(str(ours.uuid)) or 0) == ours
    assert User.objects.find(read_person(f"ext:{ours.uuid}") or 0) == theirs
    assert User.objects.find(ExternalId(str(uuid4()))) is None
