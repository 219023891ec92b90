"""Which messages the page of reports counts, read from its query."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta

from django.utils.translation import gettext as _

from console.guard import Visit
from notifications.domain.analytics.periods import MetricInterval
from notifications.domain.analytics.reports import REPORTS
from notifications.domain.channels import Channel
from notifications.domain.errors import FieldError, InvalidRequest
from notifications.domain.identifiers import parse_key
from notifications.domain.wall_clock import zone_named
from notifications.features.analytics.service import MetricFilter
from notifications.infra import clock
from notifications.models import Broadcast, NotificationTemplate

DEFAULT = "funnel"
DAYS = 30
MOST_SOURCES = 2_000
"""The most broadcasts of a campaign whose messages are counted."""
_NO_SOURCE = "broadcast:0"
"""No message has it: a campaign that has sent nothing counts nothing."""
MOST_POINTS = 400
"""The most points of the picture, which are rows with links, too."""
_HOURS_UP_TO, _DAYS_UP_TO = 2, 120


@dataclass(frozen=True, slots=True, kw_only=True)
class AnalyticsQuery:
    """What the query asks for; each text as it was given, or its default."""

    report: str
    start: str
    end: str
    zone: str
    interval: str
    channel: str
    template: str
    campaign: int

    @property
    def query(self) -> dict[str, object]:
        """The fields of the query by which a link leads to the same figures."""
        return {
            "report": self.report,
            "start": self.start,
            "end": self.end,
            "tz": self.zone,
            "interval": self.interval,
            "channel": self.channel,
            "template": self.template,
            "campaign": self.campaign,
        }


def asked_of(visit: Visit) -> AnalyticsQuery:
    """Returns what the query asks for. A value that no link or form makes is left out."""
    zone = visit.given("tz", longest=64) or str(visit.zone)
    today = today_of(zone, visit)
    report, channel = visit.given("report"), visit.given("channel")
    interval = visit.given("interval")
    return AnalyticsQuery(
        report=report if report in REPORTS else DEFAULT,
        start=visit.given("start", longest=40) or (today - timedelta(DAYS - 1)).isoformat(),
        end=visit.given("end", longest=40) or today.isoformat(),
        zone=zone,
        interval=interval if interval in list(MetricInterval) else "",
        channel=channel if channel in list(Channel) else "",
        template=visit.given("template"),
        campaign=parse_key(visit.given("campaign")) or 0,
    )


def today_of(zone: str, visit: Visit) -> date:
    """Returns the day in a zone; in that of the visitor where there is no such zone."""
    return clock.now().astimezone(zone_named(zone) or visit.zone).date()


def metric_filter(asked: AnalyticsQuery) -> MetricFilter:
    """Returns the filter of the service.

    Raises:
        InvalidRequest: there is no such template.
    """
    return MetricFilter(
        start=asked.start,
        end=asked.end,
        zone=asked.zone,
        channel=asked.channel,
        template_id=_template(asked.template) if asked.template else 0,
        sources=sources_of(asked.campaign) if asked.campaign else (),
    )


def sources_of(campaign: int) -> tuple[str, ...]:
    """Returns the sources of the messages of a campaign: its broadcasts."""
    rows = Broadcast.objects.filter(campaign_id=campaign).order_by("pk").only("pk")
    return tuple(each.source for each in rows[:MOST_SOURCES]) or (_NO_SOURCE,)


def has_more_sources(campaign: int) -> bool:
    """Returns whether a campaign has broadcasts whose messages are not counted."""
    if not campaign:
        return False
    rows = Broadcast.objects.filter(campaign_id=campaign).order_by("pk").values_list("pk")
    return bool(rows[MOST_SOURCES : MOST_SOURCES + 1])


def interval_of(asked: AnalyticsQuery, first: date, last: date) -> MetricInterval:
    """Returns the interval of the picture: the chosen one, or one that suits the range."""
    if asked.interval:
        return MetricInterval(asked.interval)
    days = (last - first).days + 1
    if days <= _HOURS_UP_TO:
        return MetricInterval.HOUR
    return MetricInterval.DAY if days <= _DAYS_UP_TO else MetricInterval.WEEK


def picture_interval(interval: MetricInterval, first: date, last: date) -> MetricInterval:
    """Returns the interval, or the shortest longer one of which at most MOST_POINTS are shown."""
    days = (last - first).days + 1
    if interval is MetricInterval.HOUR and days * 24 > MOST_POINTS:
        interval = MetricInterval.DAY
    return MetricInterval.WEEK if days > MOST_POINTS else interval


def _template(path: str) -> int:
    key = NotificationTemplate.objects.filter(path=path).values_list("pk", flat=True).first()
    if key is None:
        detail = _("there is no template %(path)s") % {"path": path}
        raise InvalidRequest([FieldError("template", "unknown_template", detail)], detail)
    return int(key)
