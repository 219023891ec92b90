"""The rules of rows that count: metrics, and the hours at which people engage."""

from __future__ import annotations

from notifications.features.retention.rules import DELETED, IndexedRule, older_than
from notifications.models import EngagementHours, MetricRollup, MetricSpan

COUNTS: tuple[IndexedRule, ...] = (
    IndexedRule(
        name="metrics of quarters",
        models=(MetricRollup,),
        happens=DELETED,
        when="the counts of a quarter of an hour, by template, provider and campaign",
        setting="metrics_retention_days",
        cost="250 bytes a group of messages",
        due=older_than(MetricRollup, "quarter", "metrics_retention_days"),
        column="quarter",
    ),
    IndexedRule(
        name="metrics of days",
        models=(MetricSpan,),
        happens=DELETED,
        when="the counts of an hour or a day, by channel and template",
        setting="metrics_retention_days",
        cost="200 bytes a channel and template",
        due=older_than(MetricSpan, "starts", "metrics_retention_days"),
        column="starts",
    ),
    IndexedRule(
        name="engagement hours",
        models=(EngagementHours,),
        happens=DELETED,
        when="the hours at which a person engages, unless a message changed them since",
        setting="learning_days",
        cost="100 bytes a person and channel, and ten bytes an hour of the week and 28 days",
        due=older_than(EngagementHours, "updated_at", "learning_days"),
        column="updated_at",
        user="user_id",
    ),
)
