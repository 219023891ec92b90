"""Child processes of `bench due`."""

from __future__ import annotations

import statistics
import time
from datetime import datetime, timedelta
from typing import Any

from directory.models import User
from notifications.domain.callers import SYSTEM
from notifications.features.scheduling.service import ScheduleService
from notifications.infra import clock
from notifications.models import NotificationMessage

_CALLS = 20
_SOON_S = 5.0
_SPREAD_S = 10.0
_GIVE_UP_S = 120.0


def falling_due(count: str) -> dict[str, Any]:
    """Schedules notifications that become due in 20 parts, spread over ten seconds."""
    people = list(User.objects.order_by("pk").values_list("pk", flat=True))
    size = int(count) // _CALLS
    first = clock.now() + timedelta(seconds=_SOON_S)
    for part in range(_CALLS):
        body = {
            "recipients": [people[(part * size + n) % len(people)] for n in range(size)],
            "title": "Lesson",
            "message": "Your lesson begins now",
            "scheduled_at": (first + timedelta(seconds=part * _SPREAD_S / _CALLS)).isoformat(),
            "channels": ["email"],
        }
        ScheduleService().schedule(body=body, caller=SYSTEM)
    return {"first": first.isoformat()}


def lateness(count: str) -> dict[str, Any]:
    """Waits until all scheduled messages are sent; returns how late they were, in milliseconds."""
    rows = NotificationMessage.objects.filter(channel="email")
    deadline = time.monotonic() + _GIVE_UP_S
    while rows.filter(sent_at__isnull=False).count() < int(count):
        if time.monotonic() > deadline:
            raise TimeoutError("due messages were not sent")
        time.sleep(0.2)
    moments = rows.values_list("sent_at", "notification__scheduled_at")
    late = sorted(_late_ms(sent, due) for sent, due in moments)
    return {
        "late_ms_p50": round(statistics.median(late)),
        "late_ms_p99": round(late[int(len(late) * 0.99)]),
        "late_ms_max": round(late[-1]),
        "early": sum(each < 0 for each in late),
    }


def _late_ms(sent: datetime | None, due: datetime | None) -> float:
    assert sent is not None
    assert due is not None
    return (sent - due).total_seconds() * 1000
