"""Any mixture of sends in one group is explained by the same sends one after another."""

from __future__ import annotations

import contextlib
import json
import os
import random
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any

import pytest
from django.db import transaction
from rest_framework.test import APIClient

from carillon.serving.group_sends import Call, answer_group
from directory.models import User
from notifications.infra import clock
from notifications.models import (
    DeliveryBatch,
    IdempotencyKey,
    Notification,
    NotificationMessage,
    RefusedSend,
    UserNotificationPreference,
    unpack_keys,
)
from tests.integration.api.conftest import KeyClient, send_body
from tests.integration.factories import make_user

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("template")]
SEND = "/api/v1/notifications/send"
SEEDS = 400 if os.environ.get("CARILLON_PROOF") else 12
#: A body and, where it has one, an Idempotency-Key.
Send = tuple[dict[str, Any], str]


@pytest.fixture
def people() -> list[User]:
    return [make_user(username=f"p{n}", email=f"p{n}@example.org") for n in range(4)]


@pytest.fixture
def opted_out() -> User:
    user = make_user(username="out", email="out@example.org")
    UserNotificationPreference.objects.update_or_create(
        user=user, defaults={"in_app_enabled": False, "email_enabled": False}
    )
    return user


def sends_of(random_: random.Random, people: Sequence[User], opted_out: User) -> list[Send]:
    """1 to 64 sends: valid, refused, scheduled, and duplicates of one key."""
    later = (clock.now() + timedelta(hours=1)).isoformat()
    changes: list[Callable[[dict[str, Any]], dict[str, Any]]] = [
        lambda body: {**body, "template_path": "no.such"},
        lambda body: {**body, "user_id": 987654321},
        lambda body: {**body, "user_id": opted_out.pk},
        lambda body: {**body, "context": {}},
        lambda body: {**body, "channel": "nonsense"},
        lambda body: {**body, "priority": 1},
        lambda body: {**body, "scheduled_at": later},
        lambda body: {**body, "collapse_key": "c"},
        lambda body: {**body, "context": {"amount": "x" * 9_000_000}},
    ]
    found: list[Send] = []
    for _ in range(random_.randint(1, 64)):
        person = random_.choice(people)
        body = send_body(person, context={"amount": random_.randint(1, 3)})
        if random_.random() < 0.4:
            body = random_.choice(changes)(body)
        found.append((body, random_.choice(["", "", "a", "b", "c"])))
    return found


def rows() -> dict[str, Any]:
    """What the sends wrote, without ids and times."""
    messages = NotificationMessage.objects.values_list("user_id", "channel", "status", "priority")
    notifications = Notification.objects.values_list(
        "user_id",
        "category_id",
        "template_version_id",
        "scheduled_status",
        "collapse_key",
        "source",
    )
    keys = IdempotencyKey.objects.values_list("key", "body_hash", "status_code")
    batched = [key for batch in DeliveryBatch.objects.all() for key in unpack_keys(batch.members)]
    assert sorted(batched) == sorted(NotificationMessage.objects.values_list("pk", flat=True))
    return {
        "messages": Counter(messages),
        "notifications": Counter(notifications),
        "keys": sorted(keys),
        "refused": Counter(RefusedSend.objects.values_list("user_id", "category")),
    }


def shown(status: int, content: bytes) -> tuple[Any, ...]:
    """A response without ids and times."""
    body = json.loads(content)
    return status, body.get("code"), body.get("errors"), body.get("message"), body.get("reasons")


def one_by_one(client: APIClient, sends: Sequence[Send]) -> list[tuple[Any, ...]]:
    found = []
    for body, key in sends:
        headers = {"Idempotency-Key": key} if key else {}
        response = client.post(SEND, body, headers=headers)
        found.append(shown(response.status_code, response.content))
    return found


def together(client: APIClient, sends: list[Send]) -> list[tuple[Any, ...]]:
    """A group first, then each of the others alone, as the server does. Puts `sends` in the order
    in which they took effect; the responses are in that order."""
    text = client._credentials["HTTP_AUTHORIZATION"]
    calls = []
    for body, key in sends:
        headers = {"authorization": text, **({"idempotency_key": key} if key else {})}
        calls.append(Call(headers, json.dumps(body).encode()))
    pairs = list(zip(answer_group(calls), list(sends), strict=True))
    left = [send for answer, send in pairs if answer is None]
    sends[:] = [*(send for answer, send in pairs if answer is not None), *left]
    grouped = [shown(answer[0], answer[2]) for answer, _ in pairs if answer is not None]
    return grouped + one_by_one(client, left)


class Undo(Exception):
    """Takes back what a run wrote."""


def run(work: Callable[[], list[tuple[Any, ...]]]) -> tuple[list[tuple[Any, ...]], dict[str, Any]]:
    """The responses and the rows; nothing of them stays."""
    found: list[Any] = []
    with contextlib.suppress(Undo), transaction.atomic():
        found += [work(), rows()]
        raise Undo
    return found[0], found[1]


@pytest.mark.parametrize("seed", range(SEEDS))
def test_a_group_does_what_its_sends_do_one_after_another(
    seed: int, with_key: KeyClient, people: list[User], opted_out: User
) -> None:
    client = with_key("notifications:send")
    sends = sends_of(random.Random(seed), people, opted_out)
    grouped = run(lambda: together(client, sends))
    assert run(lambda: one_by_one(client, sends)) == grouped
