"""Sends and delivers messages, for tests of preferences."""

from __future__ import annotations

from typing import Any

import pytest

from notifications.domain.callers import SYSTEM, Caller
from notifications.engine.runs import deliver_rows
from notifications.models import NotificationMessage
from notifications.queue import batches
from notifications.services import NotificationService

LANES = ("critical", "high", "default", "bulk")


def send(user: Any, *, channel: str = "email", caller: Caller = SYSTEM, **more: Any) -> Any:
    """Sends `test.hello` (make_template)."""
    body = {
        "template_path": "test.hello",
        "user_id": user.pk,
        "channel": channel,
        "context": {"amount": 5},
        **more,
    }
    if "channels" in more:
        del body["channel"]
    return NotificationService().send(body=body, caller=caller)


def work() -> int:
    """Delivers what is due in one pass; the sandbox and the inbox accept everything."""
    worked = 0
    for lane in LANES:
        leases = batches.lease(owner="w", lane=lane, seconds=60)
        for channel in {held.channel for held in leases}:
            deliver_rows([held for held in leases if held.channel == channel], owner="w")
        batches.release([held for held in leases if held.open_keys], "w")
        worked += len(leases)
    return worked


def message(response: Any, channel: str = "email") -> NotificationMessage:
    return NotificationMessage.objects.get(notification__uuid=response.id, channel=channel)


def events(response: Any, channel: str = "email") -> list[tuple[str, str]]:
    return [(e["event"], e["reason"]) for e in message(response, channel).history()]


@pytest.fixture
def stopped(frozen: Any) -> Any:
    """Stops the clock."""
    return frozen
