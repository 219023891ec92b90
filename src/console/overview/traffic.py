"""What was sent within a day: by hour, channel and provider, and why messages failed."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple

from console.overview.recent import RecentValue
from notifications.domain.analytics.periods import Span
from notifications.features.analytics.failure_codes import read_failure_codes
from notifications.features.analytics.metrics import rate, summed
from notifications.features.analytics.reading import Counts, Selection, read_counts
from notifications.infra import clock
from notifications.models import DeliveryAttempt

HOURS = 24
MOST_CODES = 8
SAMPLED_CALLS = 500
"""The newest calls to providers, from which their durations are estimated."""
_LASTS_S = 5.0
_COUNTS = (
    "sent",
    "delivered",
    "failed",
    "bounced",
    "suppressed",
    "uncertain",
    "opened_human",
    "clicked_human",
    "converted",
)
_HOUR = timedelta(hours=1)


class HourFigures(NamedTuple):
    """What was sent in one hour."""

    start: datetime
    sent: int
    delivered: int
    failed: int


class GroupFigures(NamedTuple):
    """What one channel or provider sent within a day."""

    name: str
    counts: Counts
    #: Shares of the messages sent.
    delivery_rate: float
    bounce_rate: float


class CallDurations(NamedTuple):
    """How long the latest calls to a provider took."""

    provider: str
    calls: int
    #: In milliseconds.
    median_ms: int
    p95_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Traffic:
    """What was sent within a day, up to now."""

    start: datetime
    at: datetime
    hours: Sequence[HourFigures]
    totals: Counts
    channels: Sequence[GroupFigures]
    providers: Sequence[GroupFigures]
    durations: Sequence[CallDurations]
    #: (code, messages), the most frequent first.
    failures: Sequence[tuple[str, int]]

    @property
    def sent_per_minute(self) -> float:
        """The messages sent in the current hour, by minute of it."""
        current = self.hours[-1]
        minutes = max(1.0, (self.at - current.start).total_seconds() / 60)
        return current.sent / minutes

    @property
    def bounce_rate(self) -> float:
        """The share of the messages sent that bounced."""
        return rate(self.totals.get("bounced", 0), self.totals.get("sent", 0))


def _read_traffic() -> Traffic:
    now = clock.now()
    last = now.replace(minute=0, second=0, microsecond=0)
    starts = [last - _HOUR * back for back in reversed(range(HOURS))]
    buckets = [Span(start, start + _HOUR) for start in starts]
    found = read_counts(Selection(buckets=buckets, by=("channel", "provider"), counts=_COUNTS))
    by_channel: dict[str, list[Counts]] = defaultdict(list)
    by_provider: dict[str, list[Counts]] = defaultdict(list)
    for groups in found.values():
        for (channel, provider), counts in groups.items():
            by_channel[channel].append(counts)
            if provider:
                by_provider[provider].append(counts)
    codes = read_failure_codes(Span(starts[0], last + _HOUR), {})
    reasons: Counter[str] = Counter()
    for some in codes.by_group.values():
        reasons.update(some)
    return Traffic(
        start=starts[0],
        at=now,
        hours=[_hour(start, found.get(number, {}).values()) for number, start in enumerate(starts)],
        totals=summed(each for some in by_channel.values() for each in some),
        channels=_groups(by_channel),
        providers=_groups(by_provider),
        durations=call_durations(),
        failures=reasons.most_common(MOST_CODES),
    )


def _hour(start: datetime, parts: Iterable[Counts]) -> HourFigures:
    counts = summed(parts)
    return HourFigures(
        start, counts.get("sent", 0), counts.get("delivered", 0), counts.get("failed", 0)
    )


def _groups(parts: dict[str, list[Counts]]) -> list[GroupFigures]:
    rows = []
    for name, some in parts.items():
        counts = dict.fromkeys(_COUNTS, 0) | summed(some)
        sent = counts["sent"]
        rows.append(
            GroupFigures(
                name, counts, rate(counts["delivered"], sent), rate(counts["bounced"], sent)
            )
        )
    return sorted(rows, key=lambda row: (-row.counts["sent"], row.name))


def call_durations() -> list[CallDurations]:
    """Returns the durations of the newest calls, by provider. Reads SAMPLED_CALLS rows."""
    rows = DeliveryAttempt.objects.order_by("-pk").values_list("provider", "duration_ms")
    by_provider: dict[str, list[int]] = defaultdict(list)
    for provider, duration in rows[:SAMPLED_CALLS]:
        by_provider[provider].append(duration)
    found = []
    for provider, times in sorted(by_provider.items()):
        times.sort()
        last = len(times) - 1
        found.append(
            CallDurations(provider, len(times), times[last // 2], times[round(last * 0.95)])
        )
    return found


traffic = RecentValue(_read_traffic, lasts_s=_LASTS_S)
"""The traffic of this installation."""
