"""An approver is another person than the author, whatever keys, tokens and sessions they have."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from rest_framework.authtoken.models import Token
from rest_framework.test import APIClient

from directory.models import User
from notifications.features.access.authentication import issue_access
from notifications.features.broadcasts.delivery.upkeep import begin_due
from notifications.infra import clock
from notifications.models import ApiKey, Broadcast
from tests.integration.api.conftest import bearer
from tests.integration.broadcasts.factories import make_people
from tests.integration.factories import make_user

pytestmark = [pytest.mark.django_db, pytest.mark.once]
URL = "/api/admin/broadcasts"
BODY = {"target_group": "all_students", "message": "Snow", "channels": ["in_app"]}
SCOPES = ["broadcasts", "api-keys:write"]


@pytest.fixture(autouse=True)
def _great(override_environment: Any) -> None:
    override_environment(broadcast_approval_threshold=2)
    make_people(3)


@pytest.fixture
def one(db: None) -> User:
    return make_user(is_staff=True)


@pytest.fixture
def other(db: None) -> User:
    return make_user(is_staff=True)


def by_jwt(user: User) -> APIClient:
    return bearer(issue_access(user, now=clock.now()))


def by_token(user: User) -> APIClient:
    client = APIClient()
    token, _ = Token.objects.get_or_create(user=user)
    client.credentials(HTTP_AUTHORIZATION=f"Token {token.key}")
    return client


def by_session(user: User) -> APIClient:
    client = APIClient()
    client.force_authenticate(user=user)
    return client


def by_key(user: User) -> APIClient:
    return bearer(ApiKey.make(name="theirs", scopes=SCOPES, owner_id=user.pk)[1])


def by_key_of_a_key(user: User) -> APIClient:
    made = by_key(user).post("/api/v1/api-keys", {"name": "second", "scopes": ["broadcasts"]})
    return bearer(made.data["key"])


def by_rotated_key(user: User) -> APIClient:
    """A key without a creator, whose text this person was shown."""
    key = ApiKey.make(name="unowned", scopes=["broadcasts"])[0]
    return bearer(by_jwt(user).post(f"/api/v1/api-keys/{key.pk}/rotate").data["key"])


WAYS = [by_jwt, by_token, by_session, by_key, by_key_of_a_key, by_rotated_key]
PERSONAL = [by_jwt, by_token, by_session]
Way = Callable[[User], APIClient]


def make(client: APIClient, **more: Any) -> int:
    return int(client.post(f"{URL}/", {**BODY, **more}, format="json").data["data"]["id"])


def assert_refused(user: User, number: int) -> None:
    for way in PERSONAL:
        answer = way(user).post(f"{URL}/{number}/approve/")
        assert (answer.status_code, answer.data["code"]) == (403, "self_approval"), way
    for way in (by_key, by_key_of_a_key, by_rotated_key):
        answer = way(user).post(f"{URL}/{number}/approve/")
        assert (answer.status_code, answer.data["code"]) == (403, "person_required"), way
    assert Broadcast.objects.get().status == "awaiting_approval"


@pytest.mark.parametrize("way", WAYS)
def test_the_author_does_not_approve(way: Way, one: User, other: User) -> None:
    number = make(way(one), send_immediately=True)

    assert_refused(one, number)
    assert by_jwt(other).post(f"{URL}/{number}/approve/").status_code == 200


@pytest.mark.parametrize("way", WAYS)
def test_the_one_who_changed_it_does_not_approve(way: Way, one: User, other: User) -> None:
    number = make(by_jwt(one))
    way(other).patch(f"{URL}/{number}/", {"message": "Ice"}, format="json")
    by_jwt(one).post(f"{URL}/{number}/send/")

    assert_refused(other, number)
    third = make_user(is_staff=True)
    assert by_jwt(third).post(f"{URL}/{number}/approve/").status_code == 200


@pytest.mark.parametrize("way", WAYS)
def test_the_one_who_sent_it_does_not_approve(way: Way, one: User, other: User) -> None:
    number = make(by_jwt(one))
    way(other).post(f"{URL}/{number}/send/")

    assert_refused(other, number)
    assert_refused(one, number)


def test_a_key_that_was_renewed_since_was_still_theirs(one: User, other: User) -> None:
    key, text = ApiKey.make(name="theirs", scopes=SCOPES, owner_id=one.pk)
    number = make(bearer(text), send_immediately=True)
    by_jwt(other).post(f"/api/v1/api-keys/{key.pk}/rotate")
    ApiKey.objects.filter(pk=key.pk).update(owner_id=None)

    assert_refused(one, number)
    assert by_jwt(other).post(f"{URL}/{number}/approve/").status_code == 200


def test_a_hand_in_it_outlives_a_rejection(one: User, other: User) -> None:
    number = make(by_jwt(one))
    by_jwt(other).patch(f"{URL}/{number}/", {"message": "Ice"}, format="json")
    by_jwt(one).post(f"{URL}/{number}/send/")
    by_jwt(make_user(is_staff=True)).post(f"{URL}/{number}/reject/", {"note": "Which?"})
    by_jwt(one).post(f"{URL}/{number}/send/")

    assert_refused(other, number)


def test_an_approval_is_for_the_audience_that_was_seen(one: User, other: User, frozen: Any) -> None:
    """A group, a segment or roles may grow between the approval and the time it goes."""
    at = frozen.now + timedelta(hours=2)
    number = make(by_jwt(one), scheduled_at=at.isoformat())
    by_jwt(one).post(f"{URL}/{number}/send/")
    assert by_jwt(other).post(f"{URL}/{number}/approve/").status_code == 200
    assert Broadcast.objects.get().approved_count == 5  # with the two members of staff
    make_people(5)
    frozen.forward(3 * 3600)

    begin_due(now=frozen.now)

    assert Broadcast.objects.get().status == "awaiting_approval"
    assert by_jwt(other).post(f"{URL}/{number}/approve/").status_code == 200
    assert Broadcast.objects.get().status in ("sending", "completed")


def test_an_approved_audience_may_grow_a_little(one: User, other: User, frozen: Any) -> None:
    make_people(20)
    at = frozen.now + timedelta(hours=2)
    number = make(by_jwt(one), scheduled_at=at.isoformat())
    by_jwt(other).post(f"{URL}/{number}/approve/")
    make_people(1)
    frozen.forward(3 * 3600)

    begin_due(now=frozen.now)

    assert Broadcast.objects.get().status != "awaiting_approval"
