"""Judges all evidence of messages, and sets the flags and times of their rows."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Protocol

from notifications.domain.engagement import CONVERTED, Actor, EventKind, bit_of
from notifications.domain.tracking.classifier import VERSION, Judgement, classify
from notifications.domain.tracking.evidence import TrackingEvidence
from notifications.models import NotificationAnalytics, TrackingEvent

_FIELDS = ["flags", "opened_at", "clicked_at"]


class Judged(Protocol):
    """What the classifier needs of a message beside its evidence."""

    @property
    def sent_at(self) -> datetime | None: ...

    @property
    def has_trap(self) -> bool: ...


def judge(rows: Mapping[int, NotificationAnalytics], messages: Mapping[int, Judged]) -> int:
    """Judges the evidence of these messages again; returns how many rows changed.

    The caller has locked the rows, and has loaded the keys of their people in a scope.
    """
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
        if _settle(rows[message_id], events):
            changed_rows.append(rows[message_id])
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


def _settle(row: NotificationAnalytics, events: list[TrackingEvent]) -> bool:
    """Sets a row's flags and times by its events; returns whether anything changed."""
    flags = row.flags & CONVERTED
    first: dict[str, datetime] = {}
    for event in events:
        flags |= bit_of(event.kind, event.verdict)
        if event.verdict == Actor.HUMAN:
            first[event.kind] = min(event.at, first.get(event.kind, event.at))
    opened, clicked = first.get(EventKind.OPEN), first.get(EventKind.CLICK)
    before = (row.flags, row.opened_at, row.clicked_at)
    row.flags, row.opened_at, row.clicked_at = flags, opened, clicked
    return before != (flags, opened, clicked)
