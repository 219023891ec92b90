"""The calls of the periodic loops, and the schedule's rounds where beat does not run."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Q

from notifications.domain import loops
from notifications.domain.broadcast_lifecycle import BroadcastStatus
from notifications.features.analytics.rollup import roll_up_due, to_roll_up
from notifications.features.audit.sealer import seal_due, unsealed
from notifications.features.background.work_probe import Condition
from notifications.features.broadcasts.delivery.upkeep import (
    begin_due,
    maintain_broadcasts,
    scheduled_due,
)
from notifications.features.campaigns.upkeep import (
    due_campaigns,
    maintain_campaigns,
    running_campaigns,
)
from notifications.features.experiments.winners import decide_due
from notifications.features.inbox.actions import end_snoozes, snoozes_to_end
from notifications.features.privacy.export.building import build_due
from notifications.features.privacy.steps import erase_due
from notifications.features.receipts.apply import apply_due
from notifications.features.receipts.poll import poll_due
from notifications.features.retention.service import RetentionService
from notifications.features.scheduling.rescheduling import (
    clean_up_cancelled,
    process_due,
    retry_all_stuck,
)
from notifications.features.series.rounds import maintain_series
from notifications.features.templates.proving import prove_due
from notifications.features.upkeep.digests import close_due, due_buckets
from notifications.features.upkeep.expiring import batches_to_expire, expire_waiting
from notifications.features.upkeep.maintenance import maintain
from notifications.features.webhooks.deliver import endpoints_to_call, post_due
from notifications.infra.database.clock_bridge import database_now
from notifications.models import (
    Broadcast,
    BroadcastChange,
    DataExport,
    Erasure,
    MailSeries,
    ProviderCallback,
    QueuedTask,
    RetentionProgress,
)

PROCESS_EVERY = timedelta(minutes=1)
RETRY_EVERY = timedelta(minutes=5)
CLEAN_UP_EVERY = timedelta(days=1)
CLEAN_UP_AT = timedelta(hours=3)
_NEVER = -1


class Round:
    """Work that is due at fixed times of the clock: `offset` after each whole period since 1970.

    Checking late or often changes only the time of the work. The first check runs it, unless it is
    daily. A round that raises runs again at the next check.
    """

    def __init__(
        self, work: Callable[..., Any], every: timedelta, offset: timedelta = timedelta()
    ) -> None:
        self._work = work
        self._every_s = every.total_seconds()
        self._offset_s = offset.total_seconds()
        self._done = None if every >= CLEAN_UP_EVERY else _NEVER

    def is_due(self, now: datetime) -> bool:
        """Returns whether `run_if_due` would run the work, or has not been called yet."""
        return self._done is None or self._done != self._current(now)

    def _current(self, now: datetime) -> int:
        return int((now.timestamp() - self._offset_s) // self._every_s)

    def run_if_due(self, now: datetime) -> None:
        """Runs the round that became due since the last check, if one did."""
        current = self._current(now)
        if self._done is None:
            self._done = current
        if self._done != current:
            self._work(now=now)
            self._done = current


class ScheduleRounds:
    """The rounds of the schedule: at full minutes, at every fifth, and daily at 03:00 UTC."""

    def __init__(self) -> None:
        self.process = Round(process_due, PROCESS_EVERY)
        self.retry = Round(retry_all_stuck, RETRY_EVERY)
        self.clean_up = Round(clean_up_cancelled, CLEAN_UP_EVERY, CLEAN_UP_AT)

    def run_due(self, now: datetime) -> None:
        """Runs all rounds that became due since the last check."""
        for each in (self.process, self.retry, self.clean_up):
            each.run_if_due(now)


def loop_conditions(rounds: ScheduleRounds) -> Mapping[str, Condition]:
    """Returns when a periodic loop has work, for those that are due each second.

    The rounds of a loop that is not named here run at its own pace.
    """
    sending = [BroadcastStatus.SENDING.value, BroadcastStatus.SENT.value]
    clearing = Q(status=BroadcastStatus.CANCELLED.value, cleared=False)
    return {
        loops.RECEIPTS.name: lambda now: [ProviderCallback.objects.due(now)],
        loops.BROADCASTS.name: lambda now: [
            Broadcast.objects.filter(status__in=sending),
            Broadcast.objects.filter(clearing),
            BroadcastChange.objects.all(),
        ],
        loops.SCHEDULED_BROADCASTS.name: lambda now: [scheduled_due(now)],
        loops.CAMPAIGNS.name: lambda now: [due_campaigns(now), running_campaigns()],
        loops.MAIL_SERIES.name: lambda now: [
            MailSeries.objects.with_due(now),
            MailSeries.objects.to_scan(now),
            MailSeries.objects.to_clear(),
        ],
        loops.WEBHOOKS.name: lambda now: [endpoints_to_call(now)],
        loops.EXPIRY.name: lambda now: [batches_to_expire(now)],
        loops.RETENTION.name: lambda now: [RetentionProgress.objects.filter(next_at__lte=now)],
        loops.TASKS.name: lambda now: [QueuedTask.objects.waiting(now)],
        loops.AUDIT.name: lambda now: unsealed(),
        loops.DIGESTS.name: lambda now: [due_buckets(now)],
        loops.SNOOZES.name: lambda now: [snoozes_to_end(now)],
        loops.ERASURES.name: lambda now: [Erasure.objects.due(now)],
        loops.EXPORTS.name: lambda now: [DataExport.objects.due(now)],
        loops.METRICS.name: to_roll_up,
        loops.SCHEDULED.name: rounds.process.is_due,
        loops.STUCK.name: rounds.retry.is_due,
        loops.CANCELLED.name: rounds.clean_up.is_due,
    }


def loop_calls(rounds: ScheduleRounds | None = None) -> Mapping[str, Callable[[], object]]:
    """Returns what each periodic loop does in a round, by its name."""
    rounds = rounds or ScheduleRounds()
    return {
        loops.RECEIPTS.name: lambda: apply_due(now=database_now()),
        loops.BROADCASTS.name: lambda: maintain_broadcasts(now=database_now()),
        loops.SCHEDULED_BROADCASTS.name: lambda: begin_due(now=database_now()),
        loops.CAMPAIGNS.name: lambda: maintain_campaigns(now=database_now()),
        loops.MAIL_SERIES.name: lambda: maintain_series(now=database_now()),
        loops.WEBHOOKS.name: lambda: post_due(now=database_now()),
        loops.POLLING.name: lambda: poll_due(now=database_now()),
        loops.EXPIRY.name: lambda: expire_waiting(now=database_now()),
        loops.DIGESTS.name: lambda: close_due(now=database_now()),
        loops.PROOFS.name: lambda: prove_due(now=database_now()),
        loops.AUDIT.name: lambda: seal_due(now=database_now()),
        loops.SNOOZES.name: lambda: end_snoozes(now=database_now()),
        loops.ERASURES.name: lambda: erase_due(now=database_now()),
        loops.EXPORTS.name: lambda: build_due(now=database_now()),
        loops.METRICS.name: roll_up_due,
        loops.AB_TESTS.name: lambda: decide_due(now=database_now()),
        loops.UPKEEP.name: maintain,
        loops.RETENTION.name: RetentionService().run,
        loops.SCHEDULED.name: lambda: rounds.process.run_if_due(database_now()),
        loops.STUCK.name: lambda: rounds.retry.run_if_due(database_now()),
        loops.CANCELLED.name: lambda: rounds.clean_up.run_if_due(database_now()),
    }
