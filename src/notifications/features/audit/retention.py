"""Lets contents of old leaves and of erased persons go, after a leaf says so.

The leaf is sealed first, then the contents it names are emptied: a verification at any time finds a
reason for each content that is missing. Hashes, actors, actions and targets stay.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from hashlib import sha256

from django.db import connection, transaction
from django.db.models import QuerySet

from notifications.domain.identifiers import parse_key
from notifications.features.audit.lawful import letting_go, stop_name
from notifications.infra import clock
from notifications.infra.conf import environment
from notifications.models import (
    LETS_GO,
    AuditCheckpoint,
    AuditHead,
    AuditLeaf,
    AuditQueued,
    LeafKind,
)
from notifications.models.audit.entries import write_letting_go

ACTOR = "system"
_AT_ONCE = 500
_MOST_CHECKPOINTS = 20_000
_RANGE_EVERY = timedelta(hours=20)
_EMPTY = (
    "UPDATE notifications_auditleaf SET data = NULL, data_hash = %s"
    " WHERE number = %s AND data IS NOT NULL"
)


def propose_ranges(*, now: datetime) -> int:
    """Writes an entry for contents that became too old, at most one a day and kind."""
    days = {
        LeafKind.ENTRY: environment().audit_retention_days,
        LeafKind.SLICE: environment().audit_decision_retention_days,
    }
    return sum(_propose(kind, now, timedelta(days=count)) for kind, count in days.items())


def _propose(kind: LeafKind, now: datetime, age: timedelta) -> bool:
    name = stop_name(kind)
    given = {"kind": LeafKind.RETENTION, "target__startswith": f"{name}:"}
    last = letting_go().filter(**given).last()
    recent = last is not None and last.at_ms > clock.epoch_ms(now - _RANGE_EVERY)
    if recent or AuditQueued.objects.filter(**given).exists():
        return False
    before = _stop_of(last.target) if last is not None else 0
    stop = _first_since(clock.epoch_ms(now - age), before)
    if stop <= before:
        return False
    reason = f"older than {age.days} days"
    write_letting_go(
        LeafKind.RETENTION, target=f"{name}:{stop}", reason=reason, actor=ACTOR, at=now
    )
    return True


def _first_since(at_ms: int, start: int) -> int:
    """Returns the number of the first leaf from `start` on that is not older, by bisection.

    Times of leaves rise but for seconds, which do not matter among days.
    """
    head = AuditHead.objects.first()
    low, high = start, head.size if head is not None else 0
    while low < high:
        middle = (low + high) // 2
        found = AuditLeaf.objects.filter(number=middle).values_list("at_ms", flat=True).first()
        if found is not None and found < at_ms:
            low = middle + 1
        else:
            high = middle
    return low


def empty_contents(count: int) -> tuple[int, int]:
    """Empties at most `count` contents that a sealed leaf lets go, in one transaction.

    Returns how many rows it found and emptied. Zero rows found mean that nothing is left.
    """
    with transaction.atomic():
        head = AuditHead.objects.first()
        if head is None:
            return 0, 0
        said = _next_said(head.let_go_index)
        if said is None:
            return 0, 0
        rows = list(_contents(said).values_list("number", "data")[:count])
        with connection.cursor() as cursor:
            cursor.executemany(
                _EMPTY, [(sha256(bytes(data or b"")).digest(), number) for number, data in rows]
            )
        if len(rows) < count:
            moved = AuditHead.objects.filter(let_go_index=head.let_go_index)
            moved.update(let_go_index=said.number + 1)
        # A finished leaf counts as a full step: the next leaf may have more to empty.
        return count, len(rows)


def empty_contents_until(until: float) -> int:
    """Empties contents that may go until a monotonic time; returns how many."""
    emptied = 0
    while clock.monotonic() < until:
        found, some = empty_contents(_AT_ONCE)
        emptied += some
        if not found:
            break
    return emptied


def delete_surplus_checkpoints(*, now: datetime) -> int:
    """Deletes checkpoints that are a day old and not the first of their hour, in parts.

    The newest one stays.
    """
    newest = AuditCheckpoint.objects.order_by("-pk").values_list("pk", flat=True).first() or 0
    before = clock.epoch_ms(now - timedelta(days=1))
    rows = AuditCheckpoint.objects.filter(hourly=False, at_ms__lt=before, pk__lt=newest)
    keys = list(rows.order_by("at_ms").values_list("pk", flat=True)[:_MOST_CHECKPOINTS])
    deleted = 0
    for start in range(0, len(keys), _AT_ONCE):
        part = AuditCheckpoint.objects.filter(pk__in=keys[start : start + _AT_ONCE])
        deleted += part.delete()[0]
    return deleted


def _next_said(number: int) -> AuditLeaf | None:
    return letting_go().filter(number__gte=number).first()


def _contents(said: AuditLeaf) -> QuerySet[AuditLeaf]:
    """Returns the leaves whose contents a leaf lets go and that still have them."""
    rows = AuditLeaf.objects.filter(data__isnull=False, number__lt=said.number).order_by("number")
    rows = rows.exclude(kind__in=LETS_GO)
    if said.kind == LeafKind.ERASURE:
        person = parse_key(said.target.partition(":")[2])
        return rows.filter(subject_id=person) if person is not None else rows.none()
    name = said.target.partition(":")[0]
    slices = rows.filter(kind=LeafKind.SLICE)
    chosen = slices if name == stop_name(LeafKind.SLICE) else rows.exclude(kind=LeafKind.SLICE)
    return chosen.filter(number__gte=_emptied_below(said), number__lt=_stop_of(said.target))


def _emptied_below(said: AuditLeaf) -> int:
    """Returns the end of the range that the leaf before named: it was emptied then."""
    name = said.target.partition(":")[0]
    rows = letting_go().filter(kind=LeafKind.RETENTION, target__startswith=f"{name}:")
    before = rows.filter(number__lt=said.number).last()
    return _stop_of(before.target) if before is not None else 0


def _stop_of(target: str) -> int:
    return parse_key(target.partition(":")[2]) or 0
