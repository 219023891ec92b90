"""The rows of presence: written for many people at once, read for many rooms at once.

Each web process has a lease, and a row for each of its people. Readers skip the rows of
processes whose lease has ended, so the people of a killed process go with its lease.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from datetime import timedelta
from typing import Final

from django.db import connection, transaction
from django.db.models import QuerySet

from directory.models import User
from notifications.features.inbox.reading import fetch
from notifications.features.rooms.names import Room
from notifications.infra import clock
from notifications.infra.database.lists import among
from notifications.infra.database.time import database_time
from notifications.models import LastSeen, Presence, WebProcess

LEASE_S: Final = 180
RENEW_S: Final = 60
SEEN_STEP = timedelta(seconds=60)
"""When somebody was seen last is written at most once in this time."""
_AT_ONCE = 500
_ROOMS_AT_ONCE = 5_000


class LeaseLost(Exception):
    """The lease of this process ended, and its rows are gone: it must write them again."""


def begin_lease(owner: str) -> int:
    """Makes the row of a web process; returns its id."""
    return WebProcess.objects.create(owner=owner, lease_until=database_time(later_s=LEASE_S)).pk


def renew_lease(process_id: int) -> None:
    """Renews a lease.

    Raises:
        LeaseLost: it has ended, and another process has removed it.
    """
    rows = WebProcess.objects.filter(pk=process_id)
    if not rows.update(lease_until=database_time(later_s=LEASE_S)):
        raise LeaseLost


def end_lease(process_id: int) -> None:
    """Removes a web process and its people."""
    _remove(WebProcess.objects.filter(pk=process_id))


def write_people(process_id: int, states: Mapping[int, bool | None]) -> None:
    """Writes the people of a process: user id -> whether active; None for who has left.

    Raises:
        LeaseLost: the row of the process is gone.
    """
    gone = [user_id for user_id, state in states.items() if state is None]
    here = {user_id: state for user_id, state in states.items() if state is not None}
    with transaction.atomic():
        if not WebProcess.objects.select_for_update().filter(pk=process_id).exists():
            raise LeaseLost
        for start in range(0, len(gone), _AT_ONCE):
            part = gone[start : start + _AT_ONCE]
            Presence.objects.filter(process_id=process_id, user_id__in=part).delete()
        Presence.objects.bulk_create(
            [
                Presence(process_id=process_id, user_id=user_id, is_active=here[user_id])
                for user_id in sorted(existing(here))
            ],
            update_conflicts=True,
            unique_fields=["process", "user"],
            update_fields=["is_active"],
            batch_size=_AT_ONCE,
        )


def note_last_seen(user_ids: Collection[int]) -> None:
    """Notes that people are here now: at most once a minute for each of them."""
    wanted = sorted(user_ids)
    for start in range(0, len(wanted), _AT_ONCE):
        _note_part(wanted[start : start + _AT_ONCE])


def end_expired() -> None:
    """Removes the processes whose lease has ended."""
    expired = WebProcess.objects.filter(lease_until__lt=database_time())
    for process_id in list(expired.values_list("pk", flat=True)):
        _remove(expired.filter(pk=process_id))


def live_processes() -> frozenset[int]:
    """Returns the processes whose lease has not ended."""
    rows = WebProcess.objects.filter(lease_until__gte=database_time())
    return frozenset(rows.values_list("pk", flat=True))


def online_in(
    rooms: Collection[Room],
    *,
    processes: Collection[int],
    user_ids: Collection[int] | None = None,
) -> dict[Room, dict[int, bool]]:
    """Returns who of the people of each room is connected: user id -> whether active.

    Args:
        processes: the living ones.
        user_ids: only these people; None for all.
    """
    found: dict[Room, dict[int, bool]] = {room: {} for room in rooms}
    wanted = list(rooms)
    if not processes or (user_ids is not None and not user_ids):
        return found
    for start in range(0, len(wanted), _ROOMS_AT_ONCE):
        part = wanted[start : start + _ROOMS_AT_ONCE]
        for kind, key, user_id, active in fetch(*_statement(part, processes, user_ids)):
            found[Room(kind, key)][user_id] = bool(active)
    return found


def is_online(user_id: int) -> bool:
    """Returns whether a person has a connection at any web process."""
    rows = Presence.objects.filter(user_id=user_id, process__lease_until__gte=database_time())
    return rows.exists()


def existing(user_ids: Collection[int]) -> set[int]:
    """Returns who among these still exists; their rows stay until the transaction ends."""
    found: set[int] = set()
    wanted = sorted(user_ids)
    for start in range(0, len(wanted), _AT_ONCE):
        rows = User.objects.filter(pk__in=wanted[start : start + _AT_ONCE])
        found.update(rows.values_list("pk", flat=True))
    return found


def _remove(rows: QuerySet[WebProcess]) -> None:
    """Removes a process, whose row is locked first, as by `write_people`."""
    with transaction.atomic():
        for process_id in list(rows.select_for_update().values_list("pk", flat=True)):
            Presence.objects.filter(process_id=process_id).delete()
            WebProcess.objects.filter(pk=process_id).delete()


def _note_part(user_ids: list[int]) -> None:
    now = clock.now()
    with transaction.atomic():
        rows = LastSeen.objects.filter(user_id__in=user_ids)
        known = dict(rows.values_list("user_id", "at"))
        late = [each for each, at in known.items() if at <= now - SEEN_STEP]
        free = rows.filter(user_id__in=late).order_by("user_id")
        locked = list(free.select_for_update(skip_locked=True).values_list("pk", flat=True))
        LastSeen.objects.filter(pk__in=locked, at__lt=now).update(at=now)
        fresh = existing([each for each in user_ids if each not in known])
        LastSeen.objects.bulk_create(
            [LastSeen(user_id=each, at=now) for each in sorted(fresh)], ignore_conflicts=True
        )


_ROOMS = {
    "postgresql": "WITH v AS (SELECT * FROM unnest(%s::text[], %s::bigint[]) AS v(kind, id))",
    "sqlite": "WITH v AS (SELECT value ->> 0 AS kind, value ->> 1 AS id FROM json_each(%s))",
}
_LIVE = (
    ", l AS (SELECT p.user_id, MAX(CASE WHEN p.is_active THEN 1 ELSE 0 END) AS active"
    " FROM notifications_presence p WHERE "
)
_ONLINE = (
    " SELECT t.kind, t.id, t.user_id, MAX(t.active) FROM ("
    " SELECT v.kind, v.id, l.user_id, l.active FROM l"
    " JOIN directory_groupmembership m ON m.user_id = l.user_id"
    " JOIN v ON v.id = m.group_id AND v.kind IN ('course', 'group')"
    " UNION ALL SELECT v.kind, v.id, l.user_id, l.active FROM l"
    " JOIN directory_enrollment e ON e.student_id = l.user_id"
    " JOIN v ON v.id = e.subject_id AND v.kind = 'subject'"
    " UNION ALL SELECT v.kind, v.id, l.user_id, l.active FROM l"
    " JOIN directory_enrollment e ON e.teacher_id = l.user_id"
    " JOIN v ON v.id = e.subject_id AND v.kind = 'subject'"
    " UNION ALL SELECT v.kind, v.id, l.user_id, l.active FROM l"
    " JOIN v ON v.id = l.user_id AND v.kind = 'user'"
    ") t GROUP BY t.kind, t.id, t.user_id"
)


def _statement(
    rooms: list[Room], processes: Collection[int], user_ids: Collection[int] | None
) -> tuple[str, list[object]]:
    vendor = connection.vendor
    is_postgres = vendor == "postgresql"
    values: list[object] = [list(column) for column in zip(*rooms, strict=True)]
    if not is_postgres:
        values = [json.dumps(rooms)]
    lists = [processes] if user_ids is None else [processes, user_ids]
    values += [list(each) if is_postgres else json.dumps(list(each)) for each in lists]
    people = "" if user_ids is None else f" AND {among('p.user_id')}"
    live = f"{_LIVE}{among('p.process_id')}{people} GROUP BY p.user_id)"
    return _ROOMS[vendor] + live + _ONLINE, values
