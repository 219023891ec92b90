"""Responses of metrics."""

from __future__ import annotations

from datetime import date, datetime

import msgspec

from notifications.infra.field_types import NextPage, PreviousPage


class PeriodResponse(msgspec.Struct, kw_only=True):
    """The range of a request."""

    start_date: date
    """Its first day, in its time zone. Example: `2026-11-01`"""

    end_date: date
    """Its last day, included. Example: `2026-11-30`"""

    start: datetime
    """The instant at which it begins. Example: `2026-11-01T00:00:00+01:00`"""

    end: datetime
    """The instant at which it ends, not included. Example: `2026-12-01T00:00:00+01:00`"""

    tz: str
    """The time zone of its days. Example: `Europe/Paris`"""


class EngagedResponse(msgspec.Struct, kw_only=True):
    """How many messages one kind of reader opened and clicked."""

    opened: int = 0
    """Messages that were opened. Example: `412`"""

    clicked: int = 0
    """Messages with a link that was clicked. Example: `57`"""


class EngagementResponse(msgspec.Struct, kw_only=True):
    """Engagement by who it was. A message counts for each kind that engaged with it."""

    human: EngagedResponse
    """People."""

    machine: EngagedResponse
    """Scanners, proxies and previews."""

    unknown: EngagedResponse
    """Requests whose evidence does not say."""


class ChannelCountsResponse(msgspec.Struct, kw_only=True):
    """The counts of one channel."""

    sent: int = 0
    """Messages that a provider took. Example: `1000`"""

    delivered: int = 0
    """Those of which a receipt, or the channel itself, says that they arrived. Example: `980`"""

    opened: int = 0
    """Those that a person opened. Example: `412`"""

    clicked: int = 0
    """Those in which a person clicked a link. Example: `57`"""


class MetricsBucketResponse(ChannelCountsResponse, kw_only=True):
    """One interval of a series."""

    start: datetime
    """The instant at which it begins. Example: `2026-11-30T00:00:00+01:00`"""

    end: datetime
    """The instant at which it ends, not included. Example: `2026-12-01T00:00:00+01:00`"""

    delivery_rate: float
    """Delivered over sent; 0 without a message sent. Example: `0.98`"""

    open_rate: float
    """Opened over sent. Example: `0.412`"""

    click_rate: float
    """Clicked over sent. Example: `0.057`"""


class MetricsResponse(msgspec.Struct, kw_only=True):
    """Counts of the messages that were sent in a range. Engagement may come later than that."""

    period: PeriodResponse
    """The range."""

    total_sent: int
    """Messages that a provider took. Example: `1000`"""

    total_delivered: int
    """Those of which a receipt, or the channel itself, says that they arrived. Example: `980`"""

    total_opened: int
    """Those that a person opened. Example: `412`"""

    total_clicked: int
    """Those in which a person clicked a link. Example: `57`"""

    delivery_rate: float
    """Delivered over sent; 0 without a message sent. Example: `0.98`"""

    open_rate: float
    """Opened over sent. Example: `0.412`"""

    click_rate: float
    """Clicked over sent. Example: `0.057`"""

    by_channel: dict[str, ChannelCountsResponse]
    """The counts of each channel that has any, by its name."""

    engagement: EngagementResponse
    """Engagement by who it was."""

    series: list[MetricsBucketResponse] | None = None
    """The counts of each interval, in order; null without `interval`."""


class ReportRowResponse(msgspec.Struct, kw_only=True):
    """One row of a report."""

    group: dict[str, str]
    """What the row stands for. Example: `{"channel": "email", "provider": "smtp"}`"""

    counts: dict[str, int]
    """Numbers of messages, by name. Example: `{"sent": 1000, "delivered": 980}`"""

    rates: dict[str, float]
    """Some of the counts over the messages sent; 0 without one. Example: `{"delivered": 0.98}`"""

    codes: dict[str, int] | None = None
    """In the report `failures`: the messages that failed in the range, by error code, the most
    frequent first; those of more than 20 codes as `other`. Null in other reports.
    Example: `{"uncertain": 3}`"""


class ReportResponse(msgspec.Struct, kw_only=True):
    """A page of a report."""

    report: str
    """The name of the report. Example: `channels`"""

    period: PeriodResponse
    """The range."""

    results: list[ReportRowResponse]
    """The rows: those with the most messages sent first, or by time."""

    codes_since: datetime | None = None
    """From when on `codes` are counted, where more than 50,000 messages failed in the range; else
    null. Example: `2026-11-21T08:15:00Z`"""

    next: NextPage = None
    previous: PreviousPage = None
