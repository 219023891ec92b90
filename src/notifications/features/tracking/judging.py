"""Judges all evidence of messages, and sets the flags and times of their rows."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Protocol

from notifications.domain.engagement import (
    CLICK_HUMAN,
    CONVERTED,
    OPEN_HUMAN,
    REPORTED_CLICK,
    REPORTED_OPEN,
    Actor,
    EventKind,
    bit_of,
)
from notifications.domain.tracking.classifier import VERSION, Judgement, classify
from notifications.domain.tracking.evidence import TrackingEvidence
from notifications.infra import clock
from notifications.infra.conf import environment
from notifications.models import NotificationAnalytics, TrackingEvent

_FIELDS = ["flags", "opened_at", "clicked_at"]
_TOUCHES = (
    (EventKind.OPEN, "opened_at", OPEN_HUMAN, REPORTED_OPEN),
    (EventKind.CLICK, "clicked_at", CLICK_HUMAN, REPORTED_CLICK),
)
"""Of each kind of touch: the column of its time, and the bits of a person's and a reported one."""
_LASTING = CONVERTED | REPORTED_OPEN | REPORTED_CLICK
"""Bits that no judgement takes away."""


class Judged(Protocol):
    """What the classifier needs of a message beside its evidence."""

    @property
    def sent_at(self) -> datetime | None: ...

    @property
    def has_trap(self) -> bool: ...


def whole_since() -> datetime:
    """Returns the time from which on retention has deleted no evidence, a day before it would."""
    days = environment().tracking_event_retention_days
    return clock.now() - timedelta(days=days - 1)


def judge(rows: Mapping[int, NotificationAnalytics], messages: Mapping[int, Judged]) -> int:
    """Judges the evidence of these messages again; returns how many rows changed.

    Engagement stays where its evidence may be deleted already, and where a caller reported it.
    The caller has locked the rows, and has loaded the keys of their people in a scope.
    """
    oldest = whole_since()
    evidence: dict[int, list[TrackingEvent]] = defaultdict(list)
    for event in TrackingEvent.objects.filter(message_id__in=rows).order_by("message_id", "id"):
        evidence[event.message_id].append(event)
    changed_events: list[TrackingEvent] = []
    changed_rows: list[NotificationAnalytics] = []
    for message_id, events in evidence.items():
        message = messages[message_id]
        found = classify(
            [evidence_of(event) for event in events],
            sent_at=message.sent_at.timestamp() if message.sent_at else None,
            has_trap=message.has_trap,
        )
        changed_events += _apply(events, found)
        row = rows[message_id]
        if _settle(row, events, is_partial=row.created_at < oldest):
            changed_rows.append(row)
    if changed_events:
        TrackingEvent.objects.bulk_update(changed_events, ["verdict", "reason", "classifier"])
    if changed_rows:
        NotificationAnalytics.objects.bulk_update(changed_rows, _FIELDS)
    return len(changed_rows)


def evidence_of(event: TrackingEvent) -> TrackingEvidence:
    """Returns an event as the classifier reads it. Facts of an erased person are missing."""
    facts = event.facts or {}
    return TrackingEvidence(
        kind=EventKind(event.kind),
        at=event.at.timestamp(),
        link=event.link,
        method=event.method,
        agent=facts.get("agent", ""),
        network=facts.get("network", ""),
        headers=facts.get("headers", {}),
        repeats=event.repeats,
    )


def _apply(events: Iterable[TrackingEvent], judgements: Iterable[Judgement]) -> list[TrackingEvent]:
    """Sets the verdicts; returns the events that changed."""
    changed = []
    for event, judgement in zip(events, judgements, strict=True):
        before = (event.verdict, event.reason, event.classifier)
        event.verdict, event.reason = judgement.actor, judgement.reason
        event.classifier = VERSION
        if before != (event.verdict, event.reason, event.classifier):
            changed.append(event)
    return changed


def _settle(row: NotificationAnalytics, events: list[TrackingEvent], *, is_partial: bool) -> bool:
    """Sets a row's flags and times by its events; returns whether anything changed.

    is_partial: retention may have deleted earlier events, so what the row says stays.
    """
    flags = row.flags if is_partial else row.flags & _LASTING
    first: dict[str, datetime] = {}
    for kind, column, human, reported in _TOUCHES:
        if is_partial or row.flags & reported:
            flags |= row.flags & human
            if at := getattr(row, column):
                first[kind] = at
    for event in events:
        flags |= bit_of(event.kind, event.verdict)
        if event.verdict == Actor.HUMAN:
            first[event.kind] = min(event.at, first.get(event.kind, event.at))
    opened, clicked = first.get(EventKind.OPEN), first.get(EventKind.CLICK)
    before = (row.flags, row.opened_at, row.clicked_at)
    row.flags, row.opened_at, row.clicked_at = flags, opened, clicked
    return before != (flags, opened, clicked)
