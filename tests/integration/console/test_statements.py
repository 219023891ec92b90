"""The number of statements of each page: fixed, however many rows there are."""

from __future__ import annotations

import pytest
from django.test import Client

from console.overview.traffic import traffic
from console.overview.views import lanes
from directory.models import Device
from notifications.infra import clock
from notifications.models import ConsentRecord, DeliveryAttempt
from tests.integration.console.conftest import As
from tests.integration.console.test_pages import dead_letter
from tests.integration.factories import make_messages, make_user
from tests.integration.statements import Statements

pytestmark = pytest.mark.django_db
MOST = 60
MOST_OF_HEALTH = 100
"""On PostgreSQL each health check sets a time limit of its own, and resets it."""


def fill(count: int) -> None:
    """Makes notifications, each of another person, who has a key of their own."""
    for _ in range(count):
        (message,) = make_messages(1, user=make_user(first_name="Katherine"))
        dead_letter(message)
        DeliveryAttempt.objects.create(
            message_id=message.pk, number=1, provider="smtp", verdict="retry", at=clock.now()
        )


def statements(client: Client, path: str) -> list[str]:
    traffic.forget()
    lanes.forget()
    client.get(path)  # what a process reads once
    traffic.forget()
    lanes.forget()
    with Statements() as sent:
        answer = client.get(path)
    assert answer.status_code == 200
    return sent.texts


@pytest.mark.parametrize(
    "path",
    [
        "/console",
        "/console/figures",
        "/console/notifications",
        "/console/notifications?status=pending&channel=email",
        "/console/people?find=katherine",
        "/console/dead-letters",
        "/console/providers",
        "/console/queues",
        "/console/stops",
    ],
)
def test_a_list_makes_as_many_statements_for_one_row_as_for_many(as_role: As, path: str) -> None:
    client = as_role("admin")
    fill(1)
    few = statements(client, path)
    fill(20)
    many = statements(client, path)
    assert len(many) == len(few), sorted(set(many) ^ set(few))
    assert len(many) <= (MOST_OF_HEALTH if path == "/console/queues" else MOST)


def test_a_person_makes_as_many_statements_for_one_row_as_for_many(as_role: As) -> None:
    client, user = as_role("admin"), make_user()
    counts = []
    for rows in (1, 8):
        for number in range(rows):
            Device.objects.create(user=user, kind="fcm", token=f"{rows}-{number}" + "t" * 30)
            ConsentRecord.objects.create(
                user_id=user.pk,
                purpose="marketing",
                granted=True,
                source="web",
                actor="x",
                at=clock.now(),
            )
        make_messages(rows, user=user)
        counts.append(len(statements(client, f"/console/people/{user.pk}")))
    assert counts[0] == counts[1]
    assert counts[1] <= 40


def test_a_notification_makes_as_many_statements_for_one_attempt_as_for_many(as_role: As) -> None:
    client = as_role("admin")
    (message,) = make_messages(1)
    counts = []
    for rows in (1, 10):
        for number in range(rows):
            DeliveryAttempt.objects.create(
                message_id=message.pk,
                number=number + rows,
                provider="smtp",
                verdict="retry",
                at=clock.now(),
            )
        url = f"/console/notifications/{message.notification.uuid}"
        counts.append(len(statements(client, url)))
    assert counts[0] == counts[1]
    assert counts[1] <= 50
