"""Any mixture of sends, or bulks, in one group does what the same do one after another."""

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

from carillon.serving.grouped_routes import GROUPED, Call
from directory.models import User
from notifications.infra import clock
from notifications.models import (
    DeliveryBatch,
    IdempotencyKey,
    Job,
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
BULK = "/api/v1/notifications/bulk"
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


def bulks_of(random_: random.Random, people: Sequence[User], opted_out: User) -> list[Send]:
    """1 to 64 bulks of up to three recipients: accepted, partly or wholly rejected, refused."""
    later = (clock.now() + timedelta(hours=1)).isoformat()
    changes: list[Callable[[dict[str, Any]], dict[str, Any]]] = [
        lambda body: {**body, "template_path": "no.such"},
        lambda body: {**body, "recipients": []},
        lambda body: {**body, "recipients": [{"user_id": 987654321, "channel": "in_app"}]},
        lambda body: {**body, "recipients": body["recipients"] * 8},
        lambda body: {**body, "recipients": [*body["recipients"], {"user_id": 987654321}, 3]},
        lambda body: {**body, "context": {}},
        lambda body: {**body, "priority": 1},
        lambda body: {**body, "scheduled_at": later, "expires_at": later},
        lambda body: {**body, "channel": "sms"},
        lambda body: {**body, "audience": {"all": True}},
    ]
    found: list[Send] = []
    for _ in range(random_.randint(1, 64)):
        listed = [
            {
                "user_id": random_.choice([person.pk, str(person.uuid)]),
                "channel": random_.choice(["in_app", "email"]),
                **({"context": {"amount": 9}} if random_.random() < 0.3 else {}),
            }
            for person in random_.choices([*people, opted_out], k=random_.randint(1, 3))
        ]
        body = {"template_path": "test.hello", "recipients": listed, "context": {"amount": 5}}
        if random_.random() < 0.4:
            body = random_.choice(changes)(body)
        found.append((body, random_.choice(["", "", "a", "b", "c"])))
    return found


def jobs() -> list[tuple[Any, ...]]:
    """What the bulks made: each job, with its own messages between its two keys."""
    found = []
    for job in Job.objects.all():
        keys = NotificationMessage.objects.filter(notification__job_id=job.pk)
        assert (job.first_key, job.last_key) == (
            min(keys.values_list("pk", flat=True), default=None),
            max(keys.values_list("pk", flat=True), default=None),
        )
        texts = [job.total, job.accepted, json.dumps(job.rejected), job.actor, job.source]
        found.append((*texts, json.dumps(job.context), keys.count()))
    return sorted(found)


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
        "jobs": jobs(),
        "keys": sorted(keys),
        "refused": Counter(RefusedSend.objects.values_list("user_id", "category")),
    }


def shown(status: int, content: bytes) -> tuple[Any, ...]:
    """A response without ids and times."""
    body = json.loads(content)
    parts = ("code", "errors", "message", "reasons", "accepted", "rejected", "warnings")
    return (status, *(body.get(part) for part in parts))


def one_by_one(client: APIClient, path: str, sends: Sequence[Send]) -> list[tuple[Any, ...]]:
    found = []
    for body, key in sends:
        headers = {"Idempotency-Key": key} if key else {}
        response = client.post(path, body, headers=headers)
        found.append(shown(response.status_code, response.content))
    return found


def together(client: APIClient, path: str, sends: list[Send]) -> list[tuple[Any, ...]]:
    """A group first, then each of the others alone, as the server does. Puts `sends` in the order
    in which they took effect; the responses are in that order."""
    text = client._credentials["HTTP_AUTHORIZATION"]
    calls = []
    for body, key in sends:
        headers = {"authorization": text, **({"idempotency_key": key} if key else {})}
        calls.append(Call(headers, json.dumps(body).encode()))
    pairs = list(zip(GROUPED["POST", path].respond(calls), list(sends), strict=True))
    left = [send for answer, send in pairs if answer is None]
    sends[:] = [*(send for answer, send in pairs if answer is not None), *left]
    grouped = [shown(answer[0], answer[2]) for answer, _ in pairs if answer is not None]
    return grouped + one_by_one(client, path, left)


class Undo(Exception):
    """Takes back what a run wrote."""


def run(work: Callable[[], list[tuple[Any, ...]]]) -> tuple[list[tuple[Any, ...]], dict[str, Any]]:
    """The responses and the rows; nothing of them stays."""
    found: list[Any] = []
    with contextlib.suppress(Undo), transaction.atomic():
        found += [work(), rows()]
        raise Undo
    return found[0], found[1]


@pytest.mark.parametrize(("path", "made_of"), [(SEND, sends_of), (BULK, bulks_of)])
@pytest.mark.parametrize("seed", range(SEEDS))
def test_a_group_does_what_its_requests_do_one_after_another(
    seed: int, path: str, made_of: Any, with_key: KeyClient, people: list[User], opted_out: User
) -> None:
    client = with_key("notifications:send")
    sends = made_of(random.Random(seed), people, opted_out)
    grouped = run(lambda: together(client, path, sends))
    assert run(lambda: one_by_one(client, path, sends)) == grouped
