"""The periodic loops of the service: their names, and how often each is due."""

from __future__ import annotations

from dataclasses import dataclass

SILENT_AFTER_PERIODS = 3
"""A loop is silent when it has not finished a round in so many of its periods."""


@dataclass(frozen=True, slots=True)
class LoopSpec:
    """One periodic loop."""

    name: str
    #: Seconds from the end of a round to the next, by the clock of the process that runs it.
    every_s: float
    #: The pause, or the time that a round may take, whichever is longer. It is ten seconds or more,
    #: because a machine may be busy.
    period_s: float
    #: Whether Celery's beat has a task for it.
    by_beat: bool = True

    @property
    def silent_after_s(self) -> float:
        """Seconds without a finished round after which the loop is silent."""
        return self.period_s * SILENT_AFTER_PERIODS


RECEIPTS = LoopSpec("receipts", every_s=1, period_s=10)
BROADCASTS = LoopSpec("broadcasts", every_s=1, period_s=10)
SCHEDULED_BROADCASTS = LoopSpec("scheduled broadcasts", every_s=0.5, period_s=10)
CAMPAIGNS = LoopSpec("campaigns", every_s=1, period_s=10, by_beat=False)
MAIL_SERIES = LoopSpec("mail series", every_s=1, period_s=10, by_beat=False)
WEBHOOKS = LoopSpec("status webhooks", every_s=1, period_s=20)
POLLING = LoopSpec("polling providers", every_s=30, period_s=30)
EXPIRY = LoopSpec("expiring messages", every_s=1, period_s=10, by_beat=False)
DIGESTS = LoopSpec("digests", every_s=10, period_s=20)
SNOOZES = LoopSpec("snoozes", every_s=1, period_s=10, by_beat=False)
PROOFS = LoopSpec("template proofs", every_s=30, period_s=60)
ERASURES = LoopSpec("erasures", every_s=1, period_s=30, by_beat=False)
EXPORTS = LoopSpec("exports", every_s=1, period_s=30, by_beat=False)
UPKEEP = LoopSpec("upkeep", every_s=60, period_s=60)
RETENTION = LoopSpec("storage by age", every_s=1, period_s=60, by_beat=False)
SCHEDULED = LoopSpec("scheduled notifications", every_s=1, period_s=60)
STUCK = LoopSpec("stuck notifications", every_s=1, period_s=300)
CANCELLED = LoopSpec("cancelled notifications", every_s=1, period_s=86_400)
AUDIT = LoopSpec("audit sealer", every_s=0.5, period_s=10)
METRICS = LoopSpec("metric rollups", every_s=2, period_s=60, by_beat=False)
AB_TESTS = LoopSpec("A/B tests", every_s=60, period_s=60, by_beat=False)
TASKS = LoopSpec("queued tasks", every_s=1, period_s=10, by_beat=False)

LOOPS = (
    RECEIPTS,
    BROADCASTS,
    SCHEDULED_BROADCASTS,
    CAMPAIGNS,
    MAIL_SERIES,
    WEBHOOKS,
    POLLING,
    EXPIRY,
    DIGESTS,
    SNOOZES,
    PROOFS,
    ERASURES,
    EXPORTS,
    UPKEEP,
    RETENTION,
    SCHEDULED,
    STUCK,
    CANCELLED,
    AUDIT,
    TASKS,
    METRICS,
    AB_TESTS,
)
BY_NAME = {spec.name: spec for spec in LOOPS}
