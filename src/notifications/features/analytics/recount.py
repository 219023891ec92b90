"""Counts from the messages themselves what changed before deltas were written.

Deltas say how messages changed since `MetricState.counts_since`. So the state that each message had
then is added once. The walk goes by key, some messages a transaction, and stores how far it came:
a run that ends early continues. Workers may run meanwhile.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import NamedTuple

from django.db import connection, transaction

from notifications.domain.analytics.counts import REPORT_COUNTS, CountedState
from notifications.domain.lifecycle import REACHED, MessageStatus
from notifications.features.analytics.rollup import add_changes
from notifications.features.learning.counting import clear as clear_learned
from notifications.infra import clock
from notifications.infra.database.clock_bridge import database_now
from notifications.models import (
    MessageEvent,
    MetricDelta,
    MetricRollup,
    MetricSpan,
    MetricState,
    NotificationAnalytics,
    NotificationMessage,
    WorkerProcess,
)
from notifications.models.analytics.delta import difference
from notifications.models.analytics.states import (
    StoredState,
    entries_of_trail,
    stored_states,
)
from notifications.models.learning.hand_over import is_learning

_AT_ONCE = {"postgresql": 2_000, "sqlite": 100}
_STATUSES = frozenset(str(status) for status in MessageStatus)


class WorkersRun(Exception):
    """A recount of everything needs that no worker runs."""


class Past(NamedTuple):
    """Something that happened to a message."""

    ms: int
    event: str
    reason: str


def begin_again() -> None:
    """Deletes all rollups, so that `recount` counts everything from the messages.

    Counts of messages that retention has deleted are lost. What was learned of hours is deleted
    where the service learns: `rebuild` of learning counts it. No process that changes messages may
    run meanwhile: its change may have an older time than its delta, and would be counted twice.

    Raises:
        WorkersRun: a worker runs.
    """
    with transaction.atomic():
        _stop_deltas()
        # Read now: a delta that was written before the lock belongs to an older time.
        now = database_now()
        if WorkerProcess.objects.filter(lease_until__gt=now, ended_at=None).exists():
            raise WorkersRun
        state = _locked_state()
        for model in (MetricRollup, MetricSpan, MetricDelta):
            model._default_manager.all().delete()
        if is_learning():
            clear_learned()  # its engagement is counted again with those bits
        NotificationAnalytics.objects.exclude(counted=0).update(counted=0)
        state.counts_since, state.recounted_to, state.recounted_at = now, 0, None
        state.save()


def _stop_deltas() -> None:
    """Waits for those who write deltas, and makes others wait. SQLite has one writer anyway."""
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("LOCK TABLE notifications_metricdelta IN EXCLUSIVE MODE")


def recount(*, report: Callable[[int], object] = lambda key: None) -> int:
    """Counts until all messages were counted; returns how many messages this run looked at.

    report: is called with the key that was reached.
    """
    total = 0
    while count := _recount_some(report):
        total += count
    return total


def _recount_some(report: Callable[[int], object]) -> int:
    with transaction.atomic():
        state = _locked_state()
        rows = NotificationMessage.objects.filter(pk__gt=state.recounted_to).order_by("pk")
        rows = rows.filter(notification__created_at__lt=state.counts_since)
        keys = list(rows.values_list("pk", flat=True)[: _AT_ONCE[connection.vendor]])
        if not keys:
            if state.recounted_at is None:
                state.recounted_at = clock.now()
                state.save()
            return 0
        add_changes(difference([], _states_at(keys, state.counts_since)))
        state.recounted_to = keys[-1]
        state.save()
    report(keys[-1])
    return len(keys)


def _locked_state() -> MetricState:
    MetricState.objects.get_or_create(pk=1, defaults={"counts_since": database_now()})
    return MetricState.objects.select_for_update().get(pk=1)


def _states_at(keys: Sequence[int], moment: datetime) -> list[CountedState | None]:
    """Returns what the counts include of messages as they were at a moment."""
    stored = stored_states(NotificationMessage.objects.filter(pk__in=keys))
    events: dict[int, list[Past]] = defaultdict(list)
    found = MessageEvent.objects.filter(message_id__in=keys).order_by("pk")
    for key, kind, reason, at in found.values_list("message_id", "kind", "reason", "at"):
        events[key].append(Past(clock.epoch_ms(at), kind, reason))
    states: list[CountedState | None] = []
    for key, row in stored.items():
        states += state_at(row, events[key], clock.epoch_ms(moment))
    return states


def state_at(row: StoredState, events: Iterable[Past], until_ms: int) -> list[CountedState | None]:
    """Returns the state that a message had at a time, and the reports of its person until then."""
    trail = [Past(*entry) for entry in entries_of_trail(row.trail)]
    history = sorted([*trail, *events], key=lambda each: each.ms)
    past = [each for each in history if each.ms < until_ms]
    if any(each.event in _STATUSES for each in history):
        then = _row_at(row, [each for each in past if each.event in _STATUSES], until_ms)
    else:
        then = _row_by_columns(row, until_ms)
    if then is None:
        return []
    state = then.counted((each.ms, each.event) for each in past)
    if state is None:
        return []
    reported = (
        name for name in REPORT_COUNTS if any(each.reason.endswith(f":{name}") for each in past)
    )
    return [state, state._replace(names=tuple(reported))]


def _row_at(row: StoredState, past: Sequence[Past], until_ms: int) -> StoredState | None:
    """Returns the row as its history says that it was; None where it waited."""
    if not past:
        return None
    sent = [each.ms for each in past if each.event in REACHED]
    # A receipt may have come since then, with an older time. An emptied trail says nothing.
    keeps = _was_sent(row, until_ms) and (sent or not row.trail)
    sent_at = row.sent_at if keeps else clock.from_epoch_ms(sent[-1]) if sent else None
    return row._replace(status=past[-1].event, sent_at=sent_at)


def _row_by_columns(row: StoredState, until_ms: int) -> StoredState | None:
    """Does the same by the columns, where retention has emptied the history."""
    if row.status in REACHED:
        return row if _was_sent(row, until_ms) else None
    return row if clock.epoch_ms(row.scheduled_at) < until_ms else None


def _was_sent(row: StoredState, until_ms: int) -> bool:
    return row.sent_at is not None and clock.epoch_ms(row.sent_at) < until_ms
