"""Throttles: how often a person may send, and how fast somebody may guess passwords.

The counts are rows, so that they hold over processes, and without Redis.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import TypeVar

from django.db import transaction

from notifications.domain.callers import Caller
from notifications.domain.errors import CarillonError
from notifications.infra.conf import environment
from notifications.infra.crypto import blind_index
from notifications.infra.http.client_address import network_of
from notifications.models import ThrottleCount

HOUR = timedelta(hours=1)
PAIR_FREE, ADDRESS_FREE, NAME_FREE = 3, 20, 10
"""Sign-ins that fail before the next one has to wait: by address and name, address, name."""
LONGEST_WAIT_S = 900
LONGEST_NAME_WAIT_S = 2
T = TypeVar("T")


class Throttled(CarillonError):
    """Too many requests: wait as long as Retry-After says, then repeat this one."""

    code = "throttled"


def throttled(detail: str, *, seconds: float, code: str = "") -> Throttled:
    """The refusal of what comes too often. seconds: how long to wait, told in whole ones."""
    whole = max(1, math.ceil(seconds))
    return Throttled(f"{detail}: repeat it in {whole} s", code=code, retry_after=whole)


def count_send(*, kind: str, caller: Caller, now: datetime) -> None:
    """Counts a send of a person, of staff, or of a service key; costs nothing without a limit.

    kind: send or bulk.

    Raises:
        Throttled: the caller's limit of an hour is used up.
    """
    most = _limit(kind, caller)
    if not most:
        return
    with transaction.atomic():
        key = _key(kind, caller.name)
        row = ThrottleCount.objects.locked([key], at=now)[key]
        if row.count >= most:
            left = (row.began + HOUR - now).total_seconds()
            raise throttled(f"this was done {most} times within the hour", seconds=left)
        row.count += 1
        row.until = row.began + HOUR
        row.save()


def _limit(kind: str, caller: Caller) -> int:
    who = "service" if caller.is_service else "staff" if caller.is_staff else "person"
    found: int = getattr(environment(), f"{who}_{kind}s_hourly")
    return found


def guard_sign_in(
    attempt: Callable[[], T | None], *, address: str, name: str, now: datetime
) -> T | None:
    """Runs a sign-in, which answers None when it fails, unless its turn is still to come.

    An attempt is counted before it is made, so that many at once do not pass together. A sign-in
    that succeeds is taken off again. Whoever comes from an address at which this name was not
    mistaken never waits for others' mistakes.

    Raises:
        Throttled: too many attempts failed.
    """
    client = network_of(address)
    pair, by_address = _key("login", client, name), _key("login", client)
    by_name = _key("login-name", name)
    free = {pair: PAIR_FREE, by_address: ADDRESS_FREE, by_name: NAME_FREE}
    longest = {by_name: LONGEST_NAME_WAIT_S}
    with transaction.atomic():
        rows = ThrottleCount.objects.locked(list(free), at=now)
        asked = [pair, by_address, *([by_name] if rows[pair].count else [])]
        wait = max((rows[key].not_before - now).total_seconds() for key in asked)
        if wait > 0:
            raise throttled("too many sign-ins failed", seconds=wait)
        for key, row in rows.items():
            row.count += 1
            over = row.count - free[key]
            seconds = min(2 ** min(over + 1, 20), longest.get(key, LONGEST_WAIT_S))
            row.not_before = now + timedelta(seconds=seconds) if over >= 0 else now
            row.until = max(now + HOUR, row.not_before)
            row.save()
    found = attempt()
    if found is not None:
        _take_off(pair, [by_address, by_name], now=now)
    return found


def _take_off(pair: str, others: list[str], *, now: datetime) -> None:
    with transaction.atomic():
        for row in ThrottleCount.objects.locked([pair, *others], at=now).values():
            row.count = 0 if row.key == pair else max(0, row.count - 1)
            row.not_before = now
            row.save()


def _key(*parts: str) -> str:
    """Of a name or an address only a keyed hash is kept."""
    return blind_index("\x00".join(part.casefold() for part in parts))
