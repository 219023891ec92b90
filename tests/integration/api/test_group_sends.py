"""Sends in a group: the same responses and rows as one after another."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any
from uuid import UUID

import pytest
from django.db import OperationalError
from rest_framework.test import APIClient

from carillon.serving import grouped_routes
from carillon.serving.grouped_routes import GROUPED, Call
from directory.models import User
from notifications.domain.errors import TemplateFault
from notifications.features.sending.groups import accept, sends
from notifications.infra.database.commits import CommitAborted, CommitUncertain
from notifications.models import (
    DeliveryBatch,
    IdempotencyKey,
    Notification,
    NotificationMessage,
    NotificationTemplate,
    unpack_keys,
)
from notifications.rendering.language.meter import LIMIT
from notifications.rendering.versions import mark_proved
from tests.integration.api.conftest import KeyClient, send_body
from tests.integration.api.group_way import shown_by_client
from tests.integration.factories import make_user

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("template")]
SEND = "/api/v1/notifications/send"
ROUTE = GROUPED["POST", SEND]
answer_group = ROUTE.respond


@pytest.fixture
def service(with_key: KeyClient) -> APIClient:
    return with_key("notifications:send")


def call(client: APIClient, body: Any, **headers: str) -> Call:
    text = client._credentials["HTTP_AUTHORIZATION"]
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Call({"authorization": text, **headers}, raw)


def test_a_group_shares_batches_by_place(service: APIClient) -> None:
    people = [make_user(username=f"p{n}", email=f"p{n}@example.org") for n in range(3)]
    calls = [call(service, send_body(person)) for person in people]
    calls.append(call(service, send_body(people[0], priority="low")))
    answers = answer_group(calls)
    assert [answer and answer[0] for answer in answers] == [201] * 4
    assert sorted(DeliveryBatch.objects.values_list("lane", "size")) == [
        ("bulk", 1),
        ("default", 3),
    ]
    members = {key for row in DeliveryBatch.objects.all() for key in unpack_keys(row.members)}
    assert members == set(NotificationMessage.objects.values_list("pk", flat=True))
    ids = [UUID(json.loads(answer[2])["id"]) for answer in answers if answer]
    found = {row.uuid: row.user_id for row in Notification.objects.all()}
    assert [found[key] for key in ids] == [person.pk for person in (*people, people[0])]


@pytest.mark.parametrize(
    "changes",
    [
        {"template_path": "no.such"},
        {"user_id": 987654321},
        {"context": {}},
        {"channel": "nonsense"},
        {"channel": "sms"},
        {"priority": 1},
        {"unknown": 1},
        {"options": {"bypass_preferences": True}},
        {"options": {"provider": "none"}},
    ],
)
def test_a_request_that_is_to_be_refused_leaves_the_group(
    changes: dict[str, Any], service: APIClient, user: User
) -> None:
    body = send_body(user)
    answers = answer_group([call(service, {**body, **changes}), call(service, body)])
    assert answers[0] is None
    assert answers[1] is not None
    assert Notification.objects.count() == 1


@pytest.mark.parametrize("raw", [b"", b"[]", b"{", b'{"a": 1, "a": 2}', b'"\xff"'])
def test_a_body_that_is_none_leaves_the_group(raw: bytes, service: APIClient) -> None:
    assert answer_group([call(service, raw)]) == [None]


def test_of_one_key_in_a_group_one_request_is_accepted(service: APIClient, user: User) -> None:
    body = send_body(user)
    one, other = answer_group(
        [call(service, body, idempotency_key="k"), call(service, body, idempotency_key="k")]
    )
    assert one is not None
    assert other is None
    assert Notification.objects.count() == IdempotencyKey.objects.count() == 1
    repeated = service.post(SEND, body, headers={"Idempotency-Key": "k"})
    assert repeated["Idempotency-Replayed"] == "true"
    assert repeated.content == shown_by_client(one).content
    assert answer_group([call(service, body, idempotency_key="k")]) == [None]
    assert Notification.objects.count() == 1


def test_an_unproved_version_is_rendered_alone(
    service: APIClient, user: User, template: NotificationTemplate
) -> None:
    mark_proved(template.current_version_id or 0, is_proved=False)
    assert answer_group([call(service, send_body(user))]) == [None]
    mark_proved(template.current_version_id or 0)
    assert answer_group([call(service, send_body(user))]) != [None]


def test_a_version_that_took_too_much_is_rendered_alone_for_a_minute(
    service: APIClient, user: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    fault = TemplateFault("it takes too long", code=LIMIT)
    renders: list[int] = []

    def render(tasks: Sequence[Any]) -> list[TemplateFault]:
        renders.append(len(tasks))
        return [fault] * len(tasks)

    monkeypatch.setattr(sends, "render_published", render)
    monkeypatch.setattr(sends, "_slow_until", {})
    for _ in range(3):
        assert answer_group([call(service, send_body(user))]) == [None]
    assert renders == [1]


def test_a_group_that_fails_leaves_nothing_and_each_is_served_alone(
    service: APIClient, user: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise OperationalError("the database went away")

    monkeypatch.setattr(sends, "accept_sends", fail)
    assert answer_group([call(service, send_body(user))] * 2) == [None, None]
    assert not Notification.objects.exists()


def test_a_commit_whose_outcome_is_unknown_is_a_503_that_names_what_to_ask_for(
    service: APIClient, user: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Uncertain:
        def __enter__(self) -> None: ...

        def __exit__(self, *_: object) -> None:
            raise CommitUncertain({})

    monkeypatch.setattr(accept.transaction, "atomic", Uncertain)
    body = send_body(user)
    first, second = answer_group([call(service, body), call(service, body, idempotency_key="k")])
    assert first is not None
    assert second is not None
    assert first[0] == second[0] == 503
    reported = json.loads(first[2])
    assert reported["code"] == "commit_in_doubt"
    assert reported["status_url"].endswith(f"{reported['notification_id']}/status")
    assert json.loads(second[2])["idempotency_key"] == "k"
    assert dict(first[1])[b"retry-after"] == b"1"


def test_a_commit_that_was_lost_and_aborted_is_not_repeated(
    service: APIClient, user: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Aborted:
        def __enter__(self) -> None: ...

        def __exit__(self, *_: object) -> None:
            raise CommitAborted("the connection was closed")

    monkeypatch.setattr(accept.transaction, "atomic", Aborted)
    body, unknown = send_body(user), send_body(user, template_path="no.such")
    first, second = answer_group([call(service, body), call(service, unknown)])
    assert first is not None
    assert (first[0], json.loads(first[2])["code"]) == (503, "database_unavailable")
    assert second is None


def test_an_error_of_one_request_is_that_requests_alone(
    service: APIClient, user: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    parse = sends.parse_send

    def fail_for_one(body: Any, **more: Any) -> Any:
        if body.get("collapse_key") == "odd":
            raise RuntimeError("a fault of ours")
        return parse(body, **more)

    monkeypatch.setattr(sends, "parse_send", fail_for_one)
    read_json = grouped_routes.read_json

    def fail_to_read(raw: bytes) -> Any:
        if b"unreadable" in raw:
            raise MemoryError
        return read_json(raw)

    monkeypatch.setattr(grouped_routes, "read_json", fail_to_read)
    bodies = [{}, {"collapse_key": "odd"}, {"collapse_key": "unreadable"}, {}]
    answers = answer_group([call(service, send_body(user, **changes)) for changes in bodies])
    assert [answer and answer[0] for answer in answers] == [201, None, None, 201]


@pytest.mark.parametrize(("more", "is_taken"), [(0, True), (1, False)])
def test_a_body_over_the_limit_leaves_the_group(
    more: int, is_taken: bool, override_environment: Any
) -> None:
    override_environment(max_body_bytes=1_000)
    scope = {
        "path": SEND,
        "method": "POST",
        "query_string": b"",
        "headers": [(b"host", b"testserver"), (b"authorization", b"Bearer x")],
    }
    assert (ROUTE.call_of(scope, b" " * (1_000 + more)) is not None) is is_taken
