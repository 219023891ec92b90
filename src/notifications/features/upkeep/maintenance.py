"""Periodic maintenance: any process may do it, at any time."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from zlib import crc32

from notifications.features.audit.retention import (
    delete_surplus_checkpoints,
    empty_contents_until,
    propose_ranges,
)
from notifications.features.background.items import Items
from notifications.features.broadcasts.delivery.upkeep import check_counts
from notifications.features.dead_letters.service import update_alert
from notifications.features.privacy.orphans import SWEEP
from notifications.features.privacy.steps import delete_late
from notifications.features.retention.service import RetentionService
from notifications.features.upkeep.digests import close_due
from notifications.infra import clock
from notifications.infra.database.clock_bridge import database_now
from notifications.models import Work
from notifications.queue import takeover

_ROUND_S = 20.0


def maintain(*, seconds: float = _ROUND_S) -> dict[str, int]:
    """Sends due digests, raises the alert about dead letters, takes over the batches of dead
    workers, and deletes rows that an index finds (`features/retention/indexed_rules.py`).

    Takes about `seconds`; the next call deletes the rest. A step that fails stops no other.
    """
    now = database_now()
    until = clock.monotonic() + seconds
    items = Items(Work.MAINTAIN, now=now)
    steps: dict[str, Callable[[], int]] = {
        "batches_taken_over": lambda: takeover.sweep(everywhere=True).batches,
        "digests_sent": partial(close_due, now=now),
        "dead_letter_alerts": lambda: int(update_alert(now=now) == "raised"),
        "broadcasts_miscounted": partial(check_counts, now=now),
        "audit_ranges_proposed": partial(propose_ranges, now=now),
        "audit_checkpoints_deleted": partial(delete_surplus_checkpoints, now=now),
        "orphan_keys_deleted": partial(SWEEP.step, now=now),
        "late_notifications_deleted": partial(delete_late, now=now),
        "audit_contents_let_go": partial(empty_contents_until, until),
    }
    done = {
        name: items.run_one(crc32(name.encode()), step, default=0, name=name)
        for name, step in steps.items()
    }
    return {**done, **RetentionService().run_indexed(until=until, now=now)}
