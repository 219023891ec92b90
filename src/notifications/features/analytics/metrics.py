"""The metrics of a range: totals, channels and a series."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from notifications.domain.analytics.periods import MetricInterval, Period, Span
from notifications.features.analytics.reading import Counts, Selection, read_counts
from notifications.features.analytics.schemas import (
    ChannelCountsResponse,
    EngagedResponse,
    EngagementResponse,
    MetricsBucketResponse,
    MetricsResponse,
    PeriodResponse,
)

ACTORS = ("human", "machine", "unknown")
SHOWN = (
    "sent",
    "delivered",
    *(f"{kind}_{actor}" for kind in ("opened", "clicked") for actor in ACTORS),
)
"""The counts that the metrics show."""


def metrics_of(
    period: Period, *, interval: MetricInterval | None, only: Mapping[str, Any]
) -> MetricsResponse:
    """Returns the metrics of a range. only: values by channel and template_id."""
    buckets = period.buckets(interval)
    found = read_counts(Selection(buckets=buckets, by=("channel",), counts=SHOWN, only=only))
    channels: dict[str, Counts] = {}
    for groups in found.values():
        for (channel,), counts in groups.items():
            channels[channel] = summed([channels.get(channel, {}), counts])
    totals = summed(channels.values())
    return MetricsResponse(
        period=period_response(period),
        total_sent=totals.get("sent", 0),
        total_delivered=totals.get("delivered", 0),
        total_opened=totals.get("opened_human", 0),
        total_clicked=totals.get("clicked_human", 0),
        **rates_of(totals),
        by_channel={
            channel: ChannelCountsResponse(**_documented(counts))
            for channel, counts in sorted(channels.items())
        },
        engagement=engagement_response(totals),
        series=None
        if interval is None
        else [
            _bucket(bucket, period, summed(found.get(number, {}).values()))
            for number, bucket in enumerate(buckets)
        ],
    )


def summed(parts: Iterable[Counts]) -> Counts:
    """Returns the sum of counts."""
    total: Counts = {}
    for counts in parts:
        for name, number in counts.items():
            total[name] = total.get(name, 0) + number
    return total


def rate(count: int, sent: int) -> float:
    """Returns a count over the messages sent; 0.0 where none was."""
    return count / sent if sent > 0 else 0.0


def rates_of(counts: Counts) -> dict[str, float]:
    """Returns the documented rates. All are over the messages sent."""
    sent = counts.get("sent", 0)
    return {
        "delivery_rate": rate(counts.get("delivered", 0), sent),
        "open_rate": rate(counts.get("opened_human", 0), sent),
        "click_rate": rate(counts.get("clicked_human", 0), sent),
    }


def engagement_response(counts: Counts) -> EngagementResponse:
    """Returns engagement by who it was."""
    return EngagementResponse(
        **{
            actor: EngagedResponse(
                opened=counts.get(f"opened_{actor}", 0), clicked=counts.get(f"clicked_{actor}", 0)
            )
            for actor in ACTORS
        }
    )


def period_response(period: Period) -> PeriodResponse:
    """Returns a range as a response shows it."""
    return PeriodResponse(
        start_date=period.first,
        end_date=period.last,
        start=period.span.start.astimezone(period.zone),
        end=period.span.end.astimezone(period.zone),
        tz=str(period.zone),
    )


def _documented(counts: Counts) -> dict[str, int]:
    return {
        "sent": counts.get("sent", 0),
        "delivered": counts.get("delivered", 0),
        "opened": counts.get("opened_human", 0),
        "clicked": counts.get("clicked_human", 0),
    }


def _bucket(bucket: Span, period: Period, counts: Counts) -> MetricsBucketResponse:
    values: dict[str, Any] = {**_documented(counts), **rates_of(counts)}
    return MetricsBucketResponse(
        start=bucket.start.astimezone(period.zone),
        end=bucket.end.astimezone(period.zone),
        **values,
    )
