"""`explain` names what a message waits for: a stop, a breaker, a limit, its order, or its time.

The gauges count only the messages that wait.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from notifications.domain.callers import SYSTEM
from notifications.domain.channels import Lane
from notifications.domain.flow import US
from notifications.engine.path import row_outcome
from notifications.engine.prepare import prepare
from notifications.engine.runs import deliver_rows
from notifications.features.access.principals import caller_of_user
from notifications.infra import clock
from notifications.models import (
    DeliveryBatch,
    KillSwitch,
    NotificationMessage,
    ProviderFlow,
    UserNotificationPreference,
)
from notifications.models.providers.provider_flow import now_us
from notifications.queue import batches
from notifications.queue.depth import PausedWork, lane_depths
from notifications.recording.record import record
from notifications.services import NotificationService
from tests.integration.factories import make_messages, make_template, make_user

pytestmark = pytest.mark.django_db


def send(user: Any = None, **more: Any) -> Any:
    make_template()
    return send_again(user or make_user(), **more)


def send_again(user: Any, **more: Any) -> Any:
    body = {
        "template_path": "test.hello",
        "user_id": user.pk,
        "channel": "email",
        "context": {"amount": 5},
        **more,
    }
    return NotificationService().send(body=body, caller=SYSTEM)


def blockers(response: Any) -> list[tuple[str, str, str, datetime | None]]:
    (message,) = NotificationService().explain(identifier=response.id, caller=SYSTEM).messages
    return [(each.kind, each.name, each.reason, each.until) for each in message.held_by]


def work() -> None:
    leases = batches.lease(owner="w", lane=Lane.DEFAULT, seconds=60)
    deliver_rows(leases, owner="w")


@pytest.fixture
def smtp(override_environment: Any) -> None:
    override_environment(email_provider="smtp", rate_limits=("smtp=14/s",))


@pytest.mark.usefixtures("frozen")
def test_the_next_message_waits_for_nothing() -> None:
    assert blockers(send()) == []


def test_a_message_without_a_template_is_explained_like_others() -> None:
    (message,) = make_messages(1)
    assert blockers(message.notification) == []


@pytest.mark.parametrize(
    ("scope", "value", "name"),
    [
        ("all", "", "all"),
        ("channel", "email", "channel:email"),
        ("category", "payment", "category:payment"),
        ("template", "test.hello", "template:test.hello"),
    ],
)
def test_a_stop_is_named_with_its_reason(frozen: Any, scope: str, value: str, name: str) -> None:
    response = send()
    KillSwitch.objects.create(scope=scope, value=value, reason="repair", created_at=frozen.now)

    assert blockers(response) == [("kill_switch", name, "repair", None)]


@pytest.mark.parametrize(
    ("role", "seen"), [(None, ""), ("analyst", ""), ("operator", "Bob misused it")]
)
def test_what_operators_write_is_for_operators(frozen: Any, role: str | None, seen: str) -> None:
    user = make_user()
    response = send(user)
    KillSwitch.objects.create(
        scope="channel", value="email", reason="Bob misused it", created_at=frozen.now
    )
    caller = caller_of_user(make_user(staff_role=role) if role else user)
    (message,) = NotificationService().explain(identifier=response.id, caller=caller).messages
    (held,) = message.held_by
    assert (held.kind, held.name, held.reason) == ("kill_switch", "channel:email", seen)


def test_an_open_breaker_is_named(frozen: Any, smtp: None) -> None:
    response = send()
    until = now_us() + 60 * US
    ProviderFlow.objects.create(service="smtp", open_until=until, last_fault_code="http_503")

    expected = frozen.now + timedelta(seconds=60)
    assert blockers(response) == [("breaker", "smtp", "http_503", expected)]


@pytest.mark.parametrize(("limit", "kind"), [("smtp=14/s", "limit"), ("smtp=off", "pause")])
def test_a_full_limit_and_a_pause_are_named(
    frozen: Any, override_environment: Any, limit: str, kind: str
) -> None:
    override_environment(email_provider="smtp", rate_limits=(limit,))
    response = send()
    ProviderFlow.objects.create(service="smtp", next_at=now_us() + 30 * US)

    assert blockers(response) == [(kind, "smtp", "", frozen.now + timedelta(seconds=30))]


def test_an_earlier_message_of_its_key_is_named(frozen: Any) -> None:
    user = make_user()
    send(user, ordering_key="order-1")
    frozen.forward(1)
    second = send_again(user, ordering_key="order-1")

    assert blockers(second) == [("order", "ordering_key:order-1", "", None)]


def test_a_deferred_message_names_the_reason(frozen: Any) -> None:
    user = make_user()
    quiet = {"quiet_hours_enabled": True, "quiet_hours_start": "11:00", "quiet_hours_end": "14:00"}
    UserNotificationPreference.objects.create(user=user, timezone="UTC", **quiet)
    response = send(user)
    work()

    end = datetime(2030, 5, 1, 14, 0, tzinfo=UTC)
    ((kind, name, _, until),) = blockers(response)
    assert (kind, until) == ("time", end)
    assert name.startswith("quiet_hours")


def test_a_scheduled_message_waits_for_its_time(frozen: Any) -> None:
    due = frozen.now + timedelta(hours=1)
    response = send(scheduled_at=due.isoformat())

    assert blockers(response) == [("time", "scheduled", "", due)]


def test_a_settled_message_waits_for_nothing(frozen: Any) -> None:
    response = send()
    work()
    KillSwitch.objects.create(scope="all", value="", reason="repair", created_at=frozen.now)

    assert blockers(response) == []


def test_times_of_decisions_are_times(frozen: Any) -> None:
    response = send()
    frozen.forward(1.25)
    work()

    (message,) = NotificationService().explain(identifier=response.id, caller=SYSTEM).messages
    assert [(each.event, each.at) for each in message.decisions] == [
        ("accepted", frozen.now - timedelta(seconds=1.25)),
        ("sent", frozen.now),
    ]


class TestEstimate:
    """The estimated delivery time in the response to a send."""

    def test_after_quiet_hours(self, frozen: Any) -> None:
        user = make_user()
        quiet = {
            "quiet_hours_enabled": True,
            "quiet_hours_start": "11:00",
            "quiet_hours_end": "14:00",
        }
        UserNotificationPreference.objects.create(user=user, timezone="UTC", **quiet)

        assert send(user).estimated_delivery == datetime(2030, 5, 1, 14, 0, tzinfo=UTC)
        scheduled = frozen.now + timedelta(hours=1)
        later = send_again(user, scheduled_at=scheduled.isoformat())
        assert later.estimated_delivery == datetime(2030, 5, 1, 14, 0, tzinfo=UTC)
        urgent = send_again(user, priority=2)
        assert urgent.estimated_delivery == frozen.now

    def test_with_the_digest(self, frozen: Any) -> None:
        user = make_user()
        UserNotificationPreference.objects.create(
            user=user, timezone="UTC", digest_frequency="hourly"
        )

        assert send(user).estimated_delivery == frozen.now + timedelta(hours=1)

    def test_by_the_first_channel_that_is_open(self, frozen: Any) -> None:
        user = make_user()
        UserNotificationPreference.objects.create(
            user=user, timezone="UTC", digest_frequency="hourly", email_enabled=False
        )

        response = send(user, channel=None, channels=["email", "in_app"])
        assert response.estimated_delivery == frozen.now + timedelta(hours=1)


def queued() -> int:
    return lane_depths(dict.fromkeys(Lane, 60.0), PausedWork())[Lane.DEFAULT].queued


@pytest.mark.usefixtures("frozen")
class TestGauges:
    """The gauges count the messages that will be processed."""

    def test_a_cancelled_message_does_not_count_as_waiting(self) -> None:
        made = make_messages(3)
        service = NotificationService()
        for left, message in zip((2, 1, 0), made, strict=True):
            service.cancel(identifier=message.notification.uuid, caller=SYSTEM)
            assert queued() == left
        assert not DeliveryBatch.objects.exists()

    def test_a_moved_message_counts_as_waiting_once(self, frozen: Any) -> None:
        due = frozen.now + timedelta(hours=1)
        response = send(scheduled_at=due.isoformat())
        later = (due + timedelta(hours=1)).isoformat()

        service = NotificationService()
        service.move(identifier=response.id, body={"scheduled_at": later}, caller=SYSTEM)

        assert queued() == 1
        assert DeliveryBatch.objects.count() == 1

    def test_a_message_is_cancelled_while_a_worker_leases_its_batch(self) -> None:
        made = make_messages(2)
        (held,) = batches.lease(owner="w", lane=Lane.DEFAULT, seconds=60)
        NotificationService().cancel(identifier=made[0].notification.uuid, caller=SYSTEM)
        assert queued() == 1
        batches.release([held], "w")
        assert queued() == 1

        work()

        assert queued() == 0
        rows = NotificationMessage.objects.order_by("pk")
        assert [row.status for row in rows] == ["cancelled", "sent"]

    def test_sent_messages_do_not_wait_after_the_rest_is_released(self) -> None:
        make_messages(3)
        (held,) = batches.lease(owner="w", lane=Lane.DEFAULT, seconds=60)
        first = min(held.open_keys)
        ready = prepare("email", {first: held}).ready
        at = clock.now()
        record([row_outcome(item, at=at) for item in ready], owner="w")
        batches.release([held], "w")

        assert queued() == 2
