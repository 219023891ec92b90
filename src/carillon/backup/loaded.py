"""The time of a database that is in place already: no manifest says when it was copied.

Its newest row says it. A restore writes rows itself, so it notes when it began: repeated after an
interruption, it finds the same time.
"""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import msgspec
from django.db.models import Max, QuerySet

from notifications.infra import clock
from notifications.models import AuditLeaf, AuditQueued, Erasure, InstallationState, Notification

_NOTE = "restore-of-loaded.json"
_LAST = 1_000
"""Rows with the highest keys: processes take keys in blocks, so the last one need not be newest."""


class _Note(msgspec.Struct):
    newest: datetime | None
    began: datetime


def loaded_time(folder: Path) -> datetime | None:
    """Returns the time of the newest row; None where there is none.

    folder: has the note of when a restore began.

    Raises:
        DatabaseError: the tables are missing, or of another release.
    """
    note = _read(folder / _NOTE)
    unsettled = not InstallationState.objects.exists()
    if note is not None and unsettled and _newest(before=note.began) == note.newest:
        return note.newest
    made = _Note(_newest(before=None), clock.now())
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    (folder / _NOTE).write_bytes(msgspec.json.encode(made))
    return made.newest


def forget_loaded(folder: Path) -> None:
    """Deletes the note: the restore has finished."""
    (folder / _NOTE).unlink(missing_ok=True)


def _read(path: Path) -> _Note | None:
    try:
        return msgspec.json.decode(path.read_bytes(), type=_Note)
    except (FileNotFoundError, msgspec.MsgspecError):  # there is none, or its writing was cut off
        return None


def _newest(*, before: datetime | None) -> datetime | None:
    """Returns the newest time of erasures, audit entries and notifications."""
    erasures: QuerySet[Erasure] = Erasure.objects.all()
    sends: QuerySet[Notification] = Notification.objects.order_by("-pk")
    leaves = AuditLeaf.objects.order_by("-number")
    queued = AuditQueued.objects.order_by("-pk")
    if before is not None:
        at_ms = clock.epoch_ms(before)
        erasures, sends = (
            erasures.filter(requested_at__lt=before),
            sends.filter(created_at__lt=before),
        )
        leaves, queued = leaves.filter(at_ms__lt=at_ms), queued.filter(at_ms__lt=at_ms)
    found = [
        erasures.aggregate(at=Max("requested_at"))["at"],
        max(sends.values_list("created_at", flat=True)[:_LAST], default=None),
    ]
    for rows in (leaves, queued):
        times = rows.values_list("at_ms", flat=True)[:_LAST]
        found += [clock.from_epoch_ms(at) for at in [max(times, default=None)] if at is not None]
    return max((at for at in found if at is not None), default=None)
