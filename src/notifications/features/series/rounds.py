"""The periodic work of series: hands over due steps, finds people, ends the rows of ended series.

Any process may do it, at any time; another process may continue what one began.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial

import structlog
from django.db import transaction
from django.db.models import QuerySet

from notifications.domain.errors import InvalidRequest
from notifications.domain.series.lifecycle import (
    EnrollmentState,
    ExitReason,
    MailSeriesStatus,
)
from notifications.features.background.items import Items, Rotation
from notifications.features.series.approval import RESUME, ApprovalOutdated, request_approval
from notifications.features.series.finding import find_people
from notifications.features.series.handing import AT_ONCE, hand_over_due
from notifications.infra import clock
from notifications.models import ItemFault, MailSeries, SeriesEnrollment, SeriesStepCount, Work

_SERIES_AT_ONCE = 100
_ENTERING = timedelta(minutes=5)
"""How long after the end of a series a transaction may be open in which someone enters it."""
_due = Rotation(_SERIES_AT_ONCE)
log = structlog.get_logger("carillon.series")


def maintain_series(*, now: datetime, seconds: float = 5.0) -> dict[str, int]:
    """Runs one round of about `seconds`; the next round does the rest.

    Due mails come first: a walk over all users must not delay them. Returns how many people went on
    by a step, entered by a date, and left an ended series.
    """
    until = clock.monotonic() + seconds
    items = Items(Work.MAIL_SERIES, now=now, failed=_failed)
    found = MailSeries.objects
    return {
        "stepped": _each(
            items, _due.next(items.runnable(found.with_due(now))), hand_over_due, now, until
        ),
        "entered": _each(items, _first(items, found.to_scan(now)), find_people, now, until),
        "ended": _each(items, _first(items, found.to_clear()), clear_ended, now, until),
    }


def _first(items: Items, rows: QuerySet[MailSeries]) -> list[int]:
    keys = items.runnable(rows).order_by("pk").values_list("pk", flat=True)
    return list(keys[:_SERIES_AT_ONCE])


def _each(
    items: Items,
    keys: list[int],
    do: Callable[..., int],
    now: datetime,
    until: float,
) -> int:
    """Does the work of each series in an equal share of the time that is left."""
    done = 0
    for place, key in enumerate(keys):
        at = clock.monotonic()
        share = max(0.0, until - at) / (len(keys) - place)
        work = partial(_do_or_pause, do, key, now, at + share)
        done += items.run_one(key, work, default=0)
    return done


def _do_or_pause(do: Callable[..., int], series_id: int, now: datetime, until: float) -> int:
    """Does the work of a series; one that cannot go on is paused, with the reason."""
    try:
        done = do(series_id, now=now, until=until)
    except InvalidRequest as error:
        _halt(series_id, error.detail, code=error.code)
        return 0
    except ApprovalOutdated as error:
        _halt(series_id, error.detail, code="concurrent_change", asks=True)
        return 0
    MailSeries.objects.live().filter(pk=series_id).exclude(error="").update(error="")
    return done


def _failed(series_id: int, fault: ItemFault) -> None:
    """Shows in a series why its last round failed, and when it is tried again."""
    at = fault.next_at.isoformat(timespec="seconds")
    error = f"attempt {fault.tries} failed: {fault.error}, trace {fault.trace}; next at {at}"
    MailSeries.objects.live().filter(pk=series_id).update(error=error[:500])


def _halt(series_id: int, reason: str, *, code: str, asks: bool = False) -> None:
    """Pauses a series. asks: whether it goes on once a second person approves it."""
    with transaction.atomic():
        row = MailSeries.objects.select_for_update(of=("self",), no_key=True).get(pk=series_id)
        if row.become(MailSeriesStatus.PAUSED, error=reason[:500]):
            log.error("series.held", series=series_id, code=code)
            if asks:
                request_approval(row, RESUME)


def clear_ended(series_id: int, *, now: datetime, until: float) -> int:
    """Ends the rows of people who wait in an ended series; returns how many."""
    done = 0
    while found := _clear_part(series_id, now=now):
        done += found
        if clock.monotonic() >= until:
            return done
    over = MailSeries.objects.filter(pk=series_id, ended_at__lte=now - _ENTERING)
    over.update(cleared=True)
    return done


def _clear_part(series_id: int, *, now: datetime) -> int:
    reason = ExitReason.SERIES_ENDED.value
    with transaction.atomic():
        MailSeries.objects.select_for_update(of=("self",), no_key=True).get(pk=series_id)
        rows = SeriesEnrollment.objects.filter(series_id=series_id, due_at__isnull=False)
        places = {
            key: (version, position, reason)
            for key, version, position in rows.order_by("due_at").values_list(
                "pk", "version", "position"
            )[:AT_ONCE]
        }
        rows.filter(pk__in=list(places)).update(
            state=EnrollmentState.EXITED.value, reason=reason, due_at=None, ended_at=now, choice=""
        )
        SeriesStepCount.objects.add(series_id, Counter(places.values()))
    return len(places)
