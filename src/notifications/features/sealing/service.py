"""Seals the rows of an older release, in steps that can be interrupted and repeated.

A step reads some rows in the order of keys and seals them. Then it writes them together with its
position, in one transaction. It writes a value only where the old one is still there, so that it
may run beside the service. Between two steps it pauses, and lets critical messages go first.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import NamedTuple

from django.db import OperationalError, connection, transaction

from directory.models import User
from notifications.features.background.giving_way import (
    LONGEST_REST_S,
    StepSize,
    critical_waits,
    give_way,
)
from notifications.features.sealing import contents, people, received
from notifications.features.sealing.values import SealedPage
from notifications.infra import clock, ports
from notifications.models import SealingProgress
from vault.store import scope

Report = Callable[[int], object]
"""Called with the number of rows that were looked at since the call before."""
ReadPage = Callable[[int, int, int], SealedPage]
AT_ONCE = 500
"""The most rows of a step. How many it has follows from the duration of the last step's writes."""
_PEOPLE_AT_ONCE = 200
_FIRST = 100
_TRIES = 5

_WORKS: Mapping[str, tuple[str, ReadPage]] = {
    **{
        name: (model._meta.db_table, partial(people.page, model))
        for name, model in people.MODELS.items()
    },
    "search tokens": (User._meta.db_table, people.tokens_page),
    "notifications": (contents.NOTIFICATIONS.table, contents.NOTIFICATIONS.page),
    "messages": (contents.MESSAGES.table, contents.MESSAGES.page),
    "attempts": (contents.ATTEMPTS.table, contents.ATTEMPTS.page),
    "late results": (contents.LATE_RESULTS.table, contents.LATE_RESULTS.page),
    "dead letters": (contents.DEAD_LETTERS.table, contents.DEAD_LETTERS.page),
    "digest items": (contents.DIGEST_ITEMS.table, contents.DIGEST_ITEMS.page),
    "sandbox messages": (contents.SANDBOX.table, contents.SANDBOX.page),
    "recipients": (contents.RECIPIENTS.table, contents.RECIPIENTS.page),
    "broadcasts": ("notifications_broadcast", received.broadcasts),
    "attachments": ("notifications_storedattachment", received.files),
    "callbacks": ("notifications_providercallback", received.callbacks),
    "incoming texts": ("notifications_inboundsms", received.texts),
}
"""The tables with rows of an older release. People come first: the others need their keys."""


def rows_left() -> dict[str, int]:
    """Returns how many rows of an older release were not looked at yet, by work."""
    left = {}
    for row in SealingProgress.objects.all():
        if row.position < row.last and row.work in _WORKS:
            with connection.cursor() as cursor:
                cursor.execute(
                    f"SELECT count(*) FROM {_WORKS[row.work][0]} WHERE id > %s AND id <= %s",  # noqa: S608
                    [row.position, row.last],
                )
                left[row.work] = int(cursor.fetchone()[0])
    return {work: count for work, count in left.items() if count}


def begin_again() -> None:
    """Makes the next `seal_rows` look at all rows that exist now.

    It is for rows that a process of an older release wrote after the migration.
    """
    with transaction.atomic(), connection.cursor() as cursor:
        for work, (table, _) in _WORKS.items():
            cursor.execute(f"SELECT coalesce(max(id), 0) FROM {table}")  # noqa: S608 -- constant
            SealingProgress.objects.update_or_create(
                work=work, defaults={"position": 0, "last": cursor.fetchone()[0]}
            )


def seal_rows(report: Report) -> int:
    """Seals all rows that an older release wrote; returns how many it changed."""
    changed = 0
    for work in _WORKS:
        size = StepSize(_FIRST, most=AT_ONCE)
        while (done := _step(work, size.rows)) is not None:
            changed += done.changed
            report(done.rows)
            size.add(done.seconds)
            ports.sleep(min(done.seconds, LONGEST_REST_S))
            give_way(critical_waits, ports.sleep)
    return changed


class _Done(NamedTuple):
    """What a step did."""

    rows: int
    changed: int
    #: How long its writes took.
    seconds: float


def _step(work: str, size: int) -> _Done | None:
    """Does one step of at most `size` rows; None when nothing is left.

    A deadlock with another transaction repeats the step.
    """
    for left in reversed(range(_TRIES)):
        try:
            return _try_step(work, size)
        except OperationalError:
            if not left or connection.in_atomic_block:
                raise
    return None


def _try_step(work: str, size: int) -> _Done | None:
    progress = SealingProgress.objects.filter(work=work).first()
    if progress is None or progress.position >= progress.last:
        return None
    most = _PEOPLE_AT_ONCE if work in (*people.MODELS, "search tokens") else AT_ONCE
    with scope():
        page = _WORKS[work][1](progress.position, progress.last, min(size, most))
        began = clock.monotonic()
        with transaction.atomic():
            changed = page.write()
            here = SealingProgress.objects.filter(work=work, position=progress.position)
            here.update(position=page.position, done=progress.done + changed)
    return _Done(page.rows, changed, clock.monotonic() - began)
