"""The raw limit: writes the same rows to the same database, without decisions or renders.

It bulk-inserts notifications, messages and batches, leases them, updates each slice of 500 once,
inserts its arrivals, and deletes. Carillon's throughput is reported as a share of this limit, which
is measured in the same run.
"""

from __future__ import annotations

import time
from typing import Any

from django.db import connection, transaction
from django.utils import timezone

from notifications.domain.channels import Lane
from notifications.domain.identifiers import public_id
from notifications.infra.crypto import seal_json
from notifications.intake.columns import MESSAGE_COLUMNS, NOTIFICATION_COLUMNS
from notifications.models import reserve_keys
from notifications.models.delivery.hot import MESSAGES, NOTIFICATIONS, hot
from notifications.models.delivery.hot_rows import Change
from notifications.models.inbox.hot import NewArrival, insert_arrivals
from notifications.queue import batches

_CALL = 10_000
_PEOPLE = 1_000


def insert_messages(count: int) -> None:
    """Inserts messages with their notifications and batches."""
    now = timezone.now()
    at = hot().time_value(now)
    context = seal_json({"amount": 29.99})
    for _ in range(count // _CALL):
        with transaction.atomic():
            keys = reserve_keys(_CALL)
            ids = batches.insert(
                batches.batches_of(
                    lane="default", channel="in_app", source="raw", due_at=now, keys=keys
                )
            )
            tail = (None, 1, None, None, "payment", 3, "raw", "", None, context, None, at)
            rest = (None, None, None, None, None, None, False, at)
            hot().insert_rows(
                NOTIFICATIONS,
                NOTIFICATION_COLUMNS,
                [(key, public_id(key, 0, 0).hex, 1, *tail, *rest) for key in keys],
            )
            hot().insert_rows(
                MESSAGES,
                MESSAGE_COLUMNS,
                [
                    (key, key, 1, "in_app", 3, "pending", ids[place // 500], at, 0, 3)
                    for place, key in enumerate(keys)
                ],
            )


def deliver_messages() -> int:
    """Leases and records all messages; returns how many."""
    now = timezone.now()
    done = 0
    content = seal_json({"title": "Payment received", "body": "x" * 80, "data": {}})
    trail = f'[{int(now.timestamp() * 1000)}, "delivered", "in_app"]'
    while True:
        leases = batches.lease(owner="raw", lane=Lane.DEFAULT, seconds=60)
        if not leases:
            return done
        with transaction.atomic():
            batches.lock_owned(leases, "raw")
            for lease in leases:
                hot().apply_changes(
                    Change(
                        key, "delivered", 1, "in_app", None, None, trail, None, None, now, now,
                        lease.batch_id,
                    )
                    for key in sorted(lease.open_keys)
                )  # fmt: skip
                insert_arrivals(
                    [
                        NewArrival(key, public_id(key, 0, 0).hex, key % _PEOPLE, 1, 3, content, now)
                        for key in sorted(lease.open_keys)
                    ]
                )
                done += lease.size
                lease.open_keys.clear()
            batches.finish(leases)


def measure(count: int) -> dict[str, Any]:
    """Measures messages a second in one process: inserting, delivering, and both in turn."""
    began = time.monotonic()
    insert_messages(count)
    in_s = time.monotonic() - began
    done = deliver_messages()
    total_s = time.monotonic() - began
    with connection.cursor() as cursor:
        cursor.execute(f"DELETE FROM {MESSAGES}")  # noqa: S608 -- constant
        cursor.execute(f"DELETE FROM {NOTIFICATIONS}")  # noqa: S608 -- constant
        cursor.execute("DELETE FROM notifications_inboxarrival")
        cursor.execute("DELETE FROM notifications_inboxcounter")
    return {
        "in_per_s": round(count / in_s),
        "out_per_s": round(done / (total_s - in_s)),
        "per_s": round(done / total_s),
    }
