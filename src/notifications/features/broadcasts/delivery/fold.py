"""Counts a broadcast: folds the statuses of its messages into its recipients and counters.

A recipient's row stores the state as which it is counted; row and counters change in one
transaction. So at every instant the counters are the sums over the rows. A change that is reported
twice, late or in another order is counted once. One that is lost is counted by the next `recount`.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from itertools import groupby
from typing import Any

import structlog
from django.db import transaction
from django.db.models import Count, F

from notifications.domain.broadcast_lifecycle import RecipientState, recipient_state
from notifications.domain.channels import Channel
from notifications.domain.lifecycle import REACHED
from notifications.domain.renamed_codes import current_code
from notifications.features.background.items import Items
from notifications.infra import clock
from notifications.models import Broadcast, BroadcastChange, BroadcastRecipient, Work, unpack_keys
from notifications.models.sources.error_texts import OTHER_REASONS
from notifications.models.sources.recipient_states import (
    RecipientMessage,
    RecipientUpdate,
    lock_counting,
    messages_of,
    write_states,
)

AT_ONCE = 2_000
"""Notifications that are counted in one transaction."""
LOGGED = 100
REASONS = 50
_CHANGES = 500
_ERROR_LENGTH = 300
_COUNTED = (
    RecipientState.SENT,
    RecipientState.FAILED,
    RecipientState.SUPPRESSED,
    RecipientState.UNCERTAIN,
    RecipientState.CANCELLED,
)
log = structlog.get_logger("carillon.broadcast")


@dataclass(slots=True)
class Counted:
    """Changes of the counters: by state, by reason of failure, and the new failures."""

    states: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    failures: list[tuple[int, str]] = field(default_factory=list)

    def move(self, before: str, after: str) -> None:
        """Moves one recipient from a state to another."""
        self.states[before] -= 1
        self.states[after] += 1


def fold_changes(*, now: datetime, until: float | None = None) -> set[int]:
    """Counts the reported changes; returns the ids of the broadcasts that were counted.

    until: the monotonic time at which this stops; the next call does the rest. Any number of
    processes may do this at once: a broadcast that another process counts is left to it.
    """
    changed: set[int] = set()
    items = Items(Work.COUNT, now=now)
    after = 0
    while until is None or clock.monotonic() < until:
        rows = list(BroadcastChange.objects.filter(pk__gt=after).order_by("pk")[:_CHANGES])
        if not rows:
            break
        after = rows[-1].pk
        by_broadcast: dict[int, list[BroadcastChange]] = defaultdict(list)
        for row in rows:
            by_broadcast[row.broadcast_id].append(row)
        for broadcast_id, some in by_broadcast.items():
            if broadcast_id in items.waiting:
                continue
            count = partial(_fold_all, broadcast_id, some, now=now)
            if items.run_one(broadcast_id, count, default=False):
                changed.add(broadcast_id)
    return changed


def _fold_all(broadcast_id: int, rows: Iterable[BroadcastChange], *, now: datetime) -> bool:
    counted = [_fold(broadcast_id, part, now=now) for part in _parts(rows)]
    return any(counted)


def _parts(rows: Iterable[BroadcastChange]) -> list[list[int]]:
    """Splits the rows of a broadcast into parts of about AT_ONCE notifications, as row ids."""
    parts: list[list[int]] = [[]]
    total = 0
    for row in rows:
        size = len(unpack_keys(row.keys))
        if total + size > AT_ONCE and parts[-1]:
            parts.append([])
            total = 0
        parts[-1].append(row.pk)
        total += size
    return parts


def _fold(broadcast_id: int, ids: Sequence[int], *, now: datetime) -> bool:
    with transaction.atomic():
        if not lock_counting(broadcast_id):
            return False
        # Another process may have counted and deleted some of them.
        rows = list(BroadcastChange.objects.filter(pk__in=ids))
        keys = {key for row in rows for key in unpack_keys(row.keys)}
        if keys:
            count_keys(broadcast_id, sorted(keys), now=now)
            BroadcastChange.objects.filter(pk__in=[row.pk for row in rows]).delete()
    return bool(keys)


def count_keys(broadcast_id: int, keys: Sequence[int], *, now: datetime) -> int:
    """Counts the recipients of these notifications anew; returns how many rows changed.

    The caller has `lock_counting`.
    """
    counted = Counted()
    written = []
    for _, group in groupby(messages_of(broadcast_id, keys), key=lambda found: found.person):
        row = _updated_row(list(group), counted)
        if row is not None:
            written.append(row)
    if written:
        write_states(broadcast_id, written)
        write_counts(broadcast_id, counted, now=now)
    return len(written)


def _updated_row(messages: Sequence[RecipientMessage], counted: Counted) -> RecipientUpdate | None:
    """Returns the new values of a recipient's row; None where nothing changes."""
    first = messages[0]
    statuses = {each.channel: each.status for each in messages}
    state = recipient_state(statuses.values())
    channels = json.dumps(statuses)
    if first.requeue:  # a retry has reset the recipient: its old failure does not count
        return None
    if state == first.state and _same(first.channels, statuses):
        return None
    has_failed = state == RecipientState.FAILED
    error = _reason(messages) if has_failed else _decision(messages, state)
    if state != first.state:
        counted.move(first.state, state)
    if first.error and first.state == RecipientState.FAILED:
        counted.reasons[first.error] -= 1
    if error and has_failed:
        counted.reasons[error] += 1
        if first.state != RecipientState.FAILED:
            counted.failures.append((first.person, error))
    chat = next((each for each in messages if each.channel == Channel.TELEGRAM), None)
    chat_sent = chat is not None and chat.status in REACHED
    return RecipientUpdate(
        person=first.person,
        state=state.value,
        channels=channels,
        error=error,
        telegram_sent=chat_sent,
        telegram_message_id=chat.provider_message_id if chat and chat_sent else None,
        telegram_error=_error_text(chat) if chat and chat.status == "failed" else None,
        sent_at=min((each.sent_at for each in messages if each.sent_at), default=None),
    )


def _same(text: str | None, statuses: dict[str, str]) -> bool:
    return text is not None and json.loads(text) == statuses


def _reason(messages: Sequence[RecipientMessage]) -> str:
    failed = [each for each in messages if each.status == "failed"]
    return _error_text(failed[-1])


def _decision(messages: Sequence[RecipientMessage], state: str) -> str | None:
    """Returns why a suppressed recipient was sent nothing: the reason of the last decision."""
    if state != RecipientState.SUPPRESSED:
        return None
    trails = [each.trail for each in messages if each.trail]
    if not trails:
        return None
    _, _, reason = json.loads(f"[{trails[-1]}]")[-1]
    return current_code(str(reason))[:_ERROR_LENGTH]


def _error_text(message: RecipientMessage) -> str:
    return (message.last_error or "failed")[:_ERROR_LENGTH]


def write_counts(broadcast_id: int, counted: Counted, *, now: datetime) -> None:
    """Adds to a broadcast's counters and log, in the transaction that wrote the rows."""
    values: dict[str, Any] = {
        f"{state}_count": F(f"{state}_count") + counted.states[state]
        for state in _COUNTED
        if counted.states[state]
    }
    if counted.failures or counted.reasons:
        row = Broadcast.objects.select_for_update().only("error_log", "error_reasons")
        held = row.get(pk=broadcast_id)
        entries = [
            {"recipient_id": person, "error": error, "timestamp": now.isoformat()}
            for person, error in counted.failures[-LOGGED:]
        ]
        values |= {
            "error_log": [*held.error_log, *entries][-LOGGED:],
            "error_total": F("error_total") + len(counted.failures),
            "error_reasons": add_reasons(held.error_reasons, counted.reasons),
        }
    if values:
        Broadcast.objects.filter(pk=broadcast_id).update(**values)


def add_reasons(known: dict[str, int], more: Counter[str]) -> dict[str, int]:
    """Returns the counts by reason with others added.

    Fifty reasons are counted separately and the rest together, so that the texts of a hostile
    vendor do not fill the row.
    """
    found = Counter(known)
    for reason, count in more.items():
        separate = reason in found or (count > 0 and len(found) < REASONS)
        name = reason if separate else OTHER_REASONS
        found[name] += count
    return {reason: count for reason, count in found.items() if count > 0}


def reconcile(broadcast_id: int, *, now: datetime) -> int:
    """Compares the counters with the rows, and corrects them; returns by how much they differed."""
    with transaction.atomic():
        if not lock_counting(broadcast_id):
            return 0
        held = Broadcast.objects.only("miscounted").get(pk=broadcast_id)
        drift = recount_rows(broadcast_id)
        if held.miscounted != drift:
            Broadcast.objects.filter(pk=broadcast_id).update(miscounted=drift)
    if drift:
        log.error("broadcast.miscounted", broadcast=broadcast_id, by=drift)
    return drift


def recount_rows(broadcast_id: int) -> int:
    """Sets the counters to the sums over the rows; returns by how much they differed.

    The caller has `lock_counting`. A broadcast without rows is not changed: update_progress sets
    its counters.
    """
    rows = BroadcastRecipient.objects.filter(broadcast=broadcast_id).order_by()
    states = dict(rows.values_list("state").annotate(Count("pk")))
    if not states:
        return 0
    true = {f"{state}_count": states.get(state, 0) for state in _COUNTED}
    true["recipient_count"] = sum(states.values())
    held = Broadcast.objects.select_for_update().get(pk=broadcast_id)
    off = {name: value for name, value in true.items() if getattr(held, name) != value}
    if off:
        Broadcast.objects.filter(pk=broadcast_id).update(**off)
    drift: int = sum(abs(getattr(held, name) - value) for name, value in off.items())
    return drift


def recount(broadcast_id: int, *, now: datetime, until: float | None = None) -> int:
    """Counts every recipient from its messages, reported or not; returns how many rows changed."""
    changed, after = 0, 0
    while until is None or clock.monotonic() < until:
        rows = BroadcastRecipient.objects.filter(broadcast=broadcast_id, recipient_id__gt=after)
        page = list(
            rows.order_by("recipient_id").values_list("recipient_id", "notification_id")[:AT_ONCE]
        )
        if not page:
            break
        after = page[-1][0]
        with transaction.atomic():
            lock_counting(broadcast_id, wait=True)
            keys = [key for _, key in page if key is not None]
            changed += count_keys(broadcast_id, keys, now=now) if keys else 0
    return changed
