"""`Idempotency-Key`: one effect and one answer, also for twins that come at the same instant."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from django.db import OperationalError, connection, connections, transaction
from rest_framework.test import APIClient

from directory.models import ContactPoint, User
from notifications.api.routes import ROUTES
from notifications.domain.errors import Conflict
from notifications.features.access import idempotency
from notifications.features.access.idempotency import (
    IdempotentRequest,
    StoredResponse,
    respond_once,
)
from notifications.features.access.service import IssuedKeyResponse
from notifications.infra import clock
from notifications.models import ApiKey, IdempotencyKey, KillSwitch, Notification
from tests.integration.api.conftest import KeyClient, bearer, send_body
from tests.integration.factories import make_template, make_user

pytestmark = pytest.mark.usefixtures("way_in")
SEND = "/api/v1/notifications/send"


def post(client: APIClient, body: Any, *, key: str = "key-1", path: str = SEND) -> Any:
    return client.post(path, body, headers={"Idempotency-Key": key})


@pytest.mark.django_db
@pytest.mark.usefixtures("template")
class TestRepeating:
    def test_a_duplicate_request_gets_the_stored_response(
        self, as_user: APIClient, user: User
    ) -> None:
        first = post(as_user, send_body(user))
        again = post(as_user, send_body(user))

        assert (first.status_code, again.status_code) == (201, 201)
        assert again.content == first.content
        assert again["Content-Type"] == first["Content-Type"]
        assert "Idempotency-Replayed" not in first
        assert again["Idempotency-Replayed"] == "true"
        assert Notification.objects.count() == 1

    @pytest.mark.parametrize(
        ("path", "body", "secret"),
        [
            ("/api/v1/api-keys", {"name": "shop", "scopes": ["users:read"]}, "key"),
            ("/api/v1/api-keys/{key}/rotate", {}, "key"),
            ("/api/v1/webhooks", {"url": "https://example.com/x"}, "secret"),
            ("/api/v1/webhooks/{hook}/rotate", {}, "secret"),
        ],
    )
    def test_a_secret_is_shown_once_and_not_stored(
        self, as_staff: APIClient, path: str, body: Any, secret: str
    ) -> None:
        key = ApiKey.make(name="old", scopes=[])[0].pk
        hook = post(as_staff, {"url": "https://example.com/"}, path="/api/v1/webhooks").data["id"]
        named = path.format(key=key, hook=hook)

        first = post(as_staff, body, path=named, key="two")
        again = post(as_staff, body, path=named, key="two")

        assert again["Idempotency-Replayed"] == "true"
        assert len(first.json()[secret]) > 20
        assert again.json() == {**first.json(), secret: None}
        assert first.json()[secret] not in repr([r.answer for r in IdempotencyKey.objects.all()])

    def test_no_replayed_response_holds_a_secret(self) -> None:
        """A field that is shown once is named with its route, else a repetition shows it again."""
        words = ("secret", "token", "password", "access", "refresh", "ticket")
        found = {
            (route.name, name)
            for route in ROUTES
            if route.idempotent
            for shape in route.responses.values()
            if shape is not None
            for name in shape.__struct_fields__
            if name in words or (name == "key" and shape is IssuedKeyResponse)
        }

        assert found == {(route.name, name) for route in ROUTES for name in route.secrets}

    def test_the_order_of_fields_does_not_matter(self, as_user: APIClient, user: User) -> None:
        post(as_user, send_body(user))
        turned = dict(reversed(send_body(user).items()))

        assert post(as_user, turned)["Idempotency-Replayed"] == "true"

    def test_a_slash_at_the_end_does_not_matter(self, as_user: APIClient, user: User) -> None:
        post(as_user, send_body(user))

        assert post(as_user, send_body(user), path=f"{SEND}/")["Idempotency-Replayed"] == "true"

    def test_another_body_is_a_mismatch(self, as_user: APIClient, user: User) -> None:
        post(as_user, send_body(user))
        response = post(as_user, send_body(user, context={"amount": 6}))

        assert (response.status_code, response.data["code"]) == (422, "idempotency_mismatch")
        assert "new key" in response.data["detail"]
        assert Notification.objects.count() == 1

    def test_another_thing_in_the_path_is_a_mismatch(self, as_staff: APIClient) -> None:
        keys = [ApiKey.make(name=name, scopes=[])[0].pk for name in ("a", "b")]
        post(as_staff, {}, path=f"/api/v1/api-keys/{keys[0]}/rotate")
        response = post(as_staff, {}, path=f"/api/v1/api-keys/{keys[1]}/rotate")

        assert (response.status_code, response.data["code"]) == (422, "idempotency_mismatch")

    def test_another_caller_route_or_key_is_another_request(
        self, as_user: APIClient, with_key: KeyClient, user: User
    ) -> None:
        recipients = {
            "template_path": "test.hello",
            "channel": "in_app",
            "recipients": [{"user_id": user.pk, "context": {"amount": 1}}],
        }
        answers = [
            post(as_user, send_body(user)),
            post(as_user, send_body(user), key="key-2"),
            post(with_key("notifications:send"), send_body(user)),
            post(as_user, recipients, path="/api/v1/notifications/bulk"),
        ]

        assert [answer.status_code for answer in answers] == [201, 201, 201, 202]
        assert not any("Idempotency-Replayed" in answer for answer in answers)

    def test_without_a_key_every_request_counts(self, as_user: APIClient, user: User) -> None:
        as_user.post(SEND, send_body(user))
        as_user.post(SEND, send_body(user))

        assert Notification.objects.count() == 2
        assert not IdempotencyKey.objects.exists()

    def test_an_invalid_request_may_be_corrected_under_its_key(
        self, as_user: APIClient, user: User
    ) -> None:
        assert post(as_user, send_body(user, channel="pigeon")).status_code == 400
        assert not IdempotencyKey.objects.exists()
        assert post(as_user, send_body(user)).status_code == 201

    def test_a_response_for_an_unknown_user_is_not_stored(
        self, as_staff: APIClient, user: User
    ) -> None:
        assert post(as_staff, send_body(user, user_id=999_999)).status_code == 404
        assert not IdempotencyKey.objects.exists()

    def test_an_opt_out_refusal_is_stored(self, as_user: APIClient, user: User) -> None:
        points = ContactPoint.objects.filter(user=user, kind="email")
        points.update(state="unsubscribed")
        first = post(as_user, send_body(user, channel="email"))
        points.update(state="active")
        again = post(as_user, send_body(user, channel="email"))

        assert (first.status_code, first.data["code"]) == (403, "opted_out")
        assert (again.status_code, again.content) == (403, first.content)
        assert again["Content-Type"] == "application/problem+json"
        assert again["Idempotency-Replayed"] == "true"

    def test_a_missing_scope_is_not_stored(self, as_user: APIClient) -> None:
        assert post(as_user, send_body(make_user())).status_code == 403
        assert not IdempotencyKey.objects.exists()

    def test_an_internal_error_is_not_stored_and_leaves_nothing(
        self, as_user: APIClient, user: User, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        as_user.raise_request_exception = False
        for name in ("store_response", "store_many"):
            monkeypatch.setattr(type(IdempotencyKey.objects), name, _fail)

        response = post(as_user, send_body(user))

        assert (response.status_code, response.data["code"]) == (500, "internal_error")
        assert not Notification.objects.exists()
        assert IdempotencyKey.objects.count() == 0

    def test_a_response_is_replayed_for_a_day(self, as_user: APIClient, user: User) -> None:
        post(as_user, send_body(user))
        made = IdempotencyKey.objects.get().created_at

        with clock.reading(lambda: made + timedelta(hours=24, seconds=-1)):
            idempotency_now = post(bearer_for(user), send_body(user))
        with clock.reading(lambda: made + timedelta(hours=24)):
            later = post(bearer_for(user), send_body(user, context={"amount": 9}))

        assert idempotency_now["Idempotency-Replayed"] == "true"
        assert later.status_code == 201
        assert "Idempotency-Replayed" not in later
        assert Notification.objects.count() == 2
        assert IdempotencyKey.objects.get().created_at == made + timedelta(hours=24)

    def test_stored_responses_are_sealed(self, as_staff: APIClient) -> None:
        body = {"name": "a rather long name", "scopes": ["*"]}
        made = post(as_staff, body, path="/api/v1/api-keys")
        with connection.cursor() as cursor:
            cursor.execute("SELECT answer FROM notifications_idempotencykey")
            stored = bytes(cursor.fetchone()[0])

        assert b"rather long" not in stored
        again = post(as_staff, body, path="/api/v1/api-keys")
        assert again.data["name"] == made.data["name"]


def bearer_for(user: User) -> APIClient:
    """A client of `user` whose authentication no clock can end."""
    client = APIClient()
    client.force_authenticate(user=user)
    return client


def _fail(*_: Any, **__: Any) -> None:
    raise ZeroDivisionError


def in_threads(*works: Callable[[], Any]) -> list[Any]:
    """Runs the works at once, each on a connection of its own."""
    gate = threading.Barrier(len(works))

    def run(work: Callable[[], Any]) -> Any:
        gate.wait(10)
        try:
            return work()
        finally:
            connections.close_all()

    with ThreadPoolExecutor(len(works)) as pool:
        return list(pool.map(run, works))


@pytest.mark.django_db(transaction=True)
class TestTwins:
    def test_concurrent_duplicates_have_one_effect_and_one_response(self) -> None:
        make_template("test.hello")
        user = make_user()
        _, text = ApiKey.make(name="a", scopes=["notifications:send"])

        answers = in_threads(*[lambda: post(bearer(text), send_body(user))] * 4)

        assert [answer.status_code for answer in answers] == [201] * 4
        assert len({answer.content for answer in answers}) == 1
        assert sum("Idempotency-Replayed" in answer for answer in answers) == 3
        assert Notification.objects.count() == 1

    def test_concurrent_requests_with_different_bodies_have_one_effect(self) -> None:
        _, text = ApiKey.make(name="a", scopes=["operations"])
        bodies = [
            {"scope": "channel", "value": name, "reason": "test"} for name in ("email", "sms")
        ]

        answers = in_threads(
            *[
                lambda body=body: post(bearer(text), body, path="/api/v1/kill-switch")
                for body in bodies
            ]
        )

        assert sorted(answer.status_code for answer in answers) == [201, 422]
        assert KillSwitch.objects.count() == 1

    def test_a_lock_that_the_work_waits_for_is_not_a_duplicate(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(idempotency, "_is_lock_timeout", lambda _: True)

        def fail() -> StoredResponse:
            raise OperationalError("database is locked")

        with pytest.raises(OperationalError):
            respond_once(_claim(), now=clock.now(), work=fail)

    def test_the_duplicate_of_a_failed_request_does_the_work(self) -> None:
        begun, go_on = threading.Event(), threading.Event()

        def fail() -> StoredResponse:
            begun.set()
            go_on.wait(5)
            raise Conflict("correct it")

        def first() -> str:
            with pytest.raises(Conflict):
                respond_once(_claim(), now=clock.now(), work=fail)
            return "failed"

        def second() -> bytes:
            begun.wait(5)
            threading.Timer(0.2, go_on.set).start()
            return respond_once(_claim(), now=clock.now(), work=lambda: _answer(b"done"))[0].body

        assert in_threads(first, second) == ["failed", b"done"]

    def test_duplicates_that_find_an_expired_response_do_the_work_once(self) -> None:
        long_ago = clock.now() - timedelta(days=3)
        respond_once(_claim(), now=long_ago, work=lambda: _answer(b"old"))
        done: list[int] = []

        def work() -> StoredResponse:
            done.append(1)
            return _answer(b"new")

        answers = in_threads(*[lambda: respond_once(_claim(), now=clock.now(), work=work)] * 3)

        assert len(done) == 1
        assert [answer.body for answer, _ in answers] == [b"new"] * 3
        assert sorted(replayed for _, replayed in answers) == [False, True, True]


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Twins wait a fifth of a second instead of five."""
    monkeypatch.setattr(idempotency, "DUPLICATE_WAIT_MS", 200)


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("impatient")
def test_a_duplicate_that_waits_too_long_is_asked_to_retry() -> None:
    if connection.vendor != "postgresql":
        pytest.skip("SQLite has one writer at a time: a twin queues before it begins")
    with transaction.atomic():
        respond_once(_claim(), now=clock.now(), work=lambda: _answer(b"first"))
        (refused,) = in_threads(_refusal)
        with connection.cursor() as cursor:
            cursor.execute("SHOW lock_timeout")
            assert cursor.fetchone()[0] == "5s", "the work itself waits as everything does"

    assert refused.code == "idempotency_in_progress"
    assert refused.data["retry_after"] == 1


def _refusal() -> Conflict:
    with pytest.raises(Conflict) as caught:
        respond_once(_claim(), now=clock.now(), work=lambda: _answer(b"second"))
    return caught.value


def _claim() -> IdempotentRequest:
    return IdempotentRequest(principal="key:1", method="POST", route="/x", key="k", body_hash="h")


def _answer(body: bytes) -> StoredResponse:
    return StoredResponse(200, "application/json", body)
