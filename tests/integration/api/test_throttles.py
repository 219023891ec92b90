"""A caller over its rate waits; callers under theirs do not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.db import OperationalError, transaction
from django.test import Client
from rest_framework.test import APIClient

from directory.models import User
from notifications.infra import clock
from notifications.infra.database.errors import is_unavailable
from notifications.models import ThrottleCount
from tests.integration.api.conftest import KeyClient, send_body
from tests.integration.factories import make_user

pytestmark = pytest.mark.django_db
API = "/api/v1"
GOOD, BAD = "correct horse 9", "wrong horse 9"
DOORS = ["api", "page"]


@pytest.fixture
def admin(frozen: Any) -> User:
    made = make_user(username="lovelace", is_staff=True)
    made.set_password(GOOD)
    made.save()
    return made


def sign_in(door: str, password: str, *, name: str = "lovelace", address: str = "192.0.2.1") -> Any:
    body = {"username": name, "password": password}
    client = Client(REMOTE_ADDR=address)
    if door == "page":
        return client.post("/account/login", {"login": name, "password": password})
    return client.post(f"{API}/auth/token", body, content_type="application/json")


def succeeded(answer: Any) -> bool:
    assert answer.status_code in (200, 302, 401, 429)
    return answer.status_code == 302 or b"access" in answer.content[:30]


@pytest.mark.parametrize("door", DOORS)
def test_failed_sign_ins_wait_longer_each_time(door: str, admin: User, frozen: Any) -> None:
    waits = []
    for _ in range(3):
        assert not succeeded(sign_in(door, BAD))
    for _ in range(11):
        refused = sign_in(door, GOOD)
        assert refused.status_code == 429
        waits.append(int(refused["Retry-After"]))
        frozen.forward(waits[-1] - 1)
        assert sign_in(door, GOOD).status_code == 429
        frozen.forward(1)
        assert not succeeded(sign_in(door, BAD))
    assert waits == [2, 4, 8, 16, 32, 64, 128, 256, 512, 900, 900]
    frozen.forward(900)
    assert succeeded(sign_in(door, GOOD))
    assert not succeeded(sign_in(door, BAD))
    frozen.forward(2)  # of the name; of the pair it has begun anew
    assert succeeded(sign_in(door, GOOD))


def test_the_refusal_is_a_problem_that_says_when(admin: User, api: APIClient) -> None:
    for _ in range(3):
        sign_in("api", BAD, address="127.0.0.1")
    refused = api.post(f"{API}/auth/token", {"username": "lovelace", "password": GOOD})
    assert (refused.status_code, refused.data["code"]) == (429, "throttled")
    assert refused["Content-Type"] == "application/problem+json"
    assert refused["Retry-After"] == "2"


@pytest.mark.parametrize("door", DOORS)
def test_failed_sign_ins_do_not_lock_out_others(door: str, admin: User, frozen: Any) -> None:
    for n in range(60):
        sign_in(door, BAD, address=f"198.51.100.{n}")
    assert succeeded(sign_in(door, GOOD))
    assert not succeeded(sign_in(door, BAD))
    refused = sign_in(door, GOOD)
    assert refused.status_code == 429
    assert int(refused["Retry-After"]) <= 2
    frozen.forward(2)
    assert succeeded(sign_in(door, GOOD))


def test_an_address_that_tries_many_names_waits_for_all_of_them(admin: User, frozen: Any) -> None:
    for n in range(20):
        assert sign_in("api", BAD, name=f"user{n}").status_code == 401
    assert sign_in("api", BAD, name="another").status_code == 429
    assert sign_in("api", GOOD).status_code == 429
    assert sign_in("api", GOOD, address="192.0.2.2").status_code == 200


def test_one_ipv6_network_is_one_address(admin: User) -> None:
    for n in range(3):
        assert sign_in("api", BAD, address=f"2001:db8::{n}").status_code == 401
    assert sign_in("api", GOOD, address="2001:db8::9").status_code == 429


def test_names_and_addresses_are_stored_as_hashes(admin: User) -> None:
    sign_in("api", BAD, name="LOVELACE")
    sign_in("api", BAD)
    stored = repr(list(ThrottleCount.objects.values()))
    assert ThrottleCount.objects.count() == 3  # case makes no other name
    assert "lovelace" not in stored
    assert "192.0.2" not in stored


def test_behind_a_trusted_proxy_each_client_counts_alone(
    admin: User, override_environment: Callable[..., None]
) -> None:
    override_environment(trusted_proxies=("10.0.0.0/8",))

    def by_proxy(client: str) -> int:
        body = {"username": "lovelace", "password": BAD}
        answer = Client(REMOTE_ADDR="10.0.0.1", headers={"X-Forwarded-For": client}).post(
            f"{API}/auth/token", body, content_type="application/json"
        )
        return answer.status_code

    assert [by_proxy(f"9.9.9.{n}, 192.0.2.1") for n in range(4)] == [401, 401, 401, 429]
    assert by_proxy("192.0.2.2") == 401


@pytest.mark.parametrize(("door", "field"), [("send", "person_sends"), ("bulk", "person_bulks")])
def test_a_users_hourly_limit_applies_to_each_route(
    frozen: Any,
    as_user: APIClient,
    user: User,
    template: Any,
    override_environment: Callable[..., None],
    door: str,
    field: str,
) -> None:
    override_environment(**{f"{field}_hourly": 2})
    assert [send(as_user, door, user) for _ in range(3)] == [True, True, False]
    body = bodies(user)[door]
    refused = as_user.post(f"{API}/notifications/{door}", body)
    assert (refused.status_code, refused.data["code"]) == (429, "throttled")
    assert refused["Retry-After"] == "3600"
    frozen.forward(3599)
    assert not send(as_user, door, user)
    frozen.forward(1)
    assert send(as_user, door, user)


def test_staff_and_services_have_limits_of_their_own(
    as_staff: APIClient,
    with_key: KeyClient,
    user: User,
    template: Any,
    override_environment: Callable[..., None],
) -> None:
    key = with_key("notifications:send")
    override_environment(person_sends_hourly=1)
    assert all(send(client, "send", user) for client in (as_staff, key) for _ in range(3))
    assert not ThrottleCount.objects.exists()  # no limit, nothing written
    override_environment(staff_sends_hourly=1, service_sends_hourly=2)
    assert [send(as_staff, "send", user) for _ in range(2)] == [True, False]
    assert [send(key, "send", user) for _ in range(3)] == [True, True, False]


def test_a_replayed_request_is_not_counted_again(
    as_user: APIClient, user: User, template: Any, override_environment: Callable[..., None]
) -> None:
    override_environment(person_sends_hourly=1)
    headers = {"Idempotency-Key": "one"}
    for _ in range(3):
        answer = as_user.post(f"{API}/notifications/send", send_body(user), headers=headers)
        assert answer.status_code == 201


def bodies(user: User) -> dict[str, Any]:
    one = send_body(user)
    recipients = [{"user_id": one.pop("user_id"), "context": one.pop("context")}]
    return {"send": send_body(user), "bulk": {**one, "recipients": recipients}}


def send(client: APIClient, door: str, user: User) -> bool:
    answer = client.post(f"{API}/notifications/{door}", bodies(user)[door])
    assert answer.status_code in (201, 202, 429), answer.content
    return bool(answer.status_code != 429)


@pytest.mark.parametrize("times", [1, 4])
def test_a_count_that_is_deleted_before_it_is_locked_is_created_again(
    times: int, monkeypatch: Any
) -> None:
    cleared = _clear_away(times, monkeypatch)
    with transaction.atomic():
        found = ThrottleCount.objects.locked(["a", "b"], at=clock.now())
    assert sorted(found) == ["a", "b"]
    assert len(cleared) == times


def test_counts_that_are_always_deleted_end_in_a_retryable_error(
    monkeypatch: Any,
) -> None:
    cleared = _clear_away(1_000, monkeypatch)
    with pytest.raises(OperationalError) as raised, transaction.atomic():
        ThrottleCount.objects.locked(["a"], at=clock.now())
    assert is_unavailable(raised.value)
    assert len(cleared) == 5


def _clear_away(times: int, monkeypatch: Any) -> list[int]:
    """Has upkeep come between the two statements, so often."""
    rows, cleared = ThrottleCount.objects, []
    lock = rows.select_for_update

    def select_for_update() -> Any:
        if len(cleared) < times:
            cleared.append(rows.all().delete()[0])
        return lock()

    monkeypatch.setattr(rows, "select_for_update", select_for_update)
    return cleared
