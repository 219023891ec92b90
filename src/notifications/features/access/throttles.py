"""Throttles: limit how often a caller may send, and how fast a client may guess passwords.

The counts are rows of the database, so they apply across processes and without Redis.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import TypeVar

from django.db import transaction
from django.utils.translation import gettext

from notifications.domain.callers import Caller
from notifications.domain.errors import CarillonError
from notifications.infra.conf import environment
from notifications.infra.http.client_address import network_of
from notifications.models import ThrottleCount
from vault.indexes import blind_index

HOUR = timedelta(hours=1)
MINUTE = timedelta(minutes=1)
PAIR_FREE, ADDRESS_FREE, NAME_FREE = 3, 20, 10
"""Failed sign-ins before the next one must wait: by address and name, by address, by name."""
REQUESTS_BY_ADDRESS, REQUESTS_BY_NAME = 20, 5
"""Requests an hour that need no sign-in: by address, by what they name."""
LONGEST_WAIT_S = 900
LONGEST_NAME_WAIT_S = 2
T = TypeVar("T")


class Throttled(CarillonError):
    """Too many requests: wait as long as Retry-After says, then repeat this one."""

    code = "throttled"


def throttled_error(detail: str, *, seconds: float, code: str = "") -> Throttled:
    """Returns the refusal of a request that comes too often. seconds: the wait, rounded up."""
    whole = max(1, math.ceil(seconds))
    return Throttled(f"{detail}: repeat it in {whole} s", code=code, retry_after=whole)


def count_send(*, kind: str, caller: Caller, now: datetime) -> None:
    """Counts a send by a user, by staff or by a service key. Without a limit it makes no query.

    kind: send or bulk.

    Raises:
        Throttled: the caller's hourly limit is used up.
    """
    most = _limit(kind, caller)
    if not most:
        return
    detail = f"the limit of {most} requests an hour is used up"
    _count(_key(kind, caller.name), most, HOUR, now, detail)


def count_call(kind: str, caller: Caller, *, most: int, now: datetime) -> None:
    """Counts a call that a page of staff makes while its reader types.

    kind: what is called. most: the calls that a caller may make within a minute.

    Raises:
        Throttled: there were as many.
    """
    key = _key(f"call-{kind}", caller.name)
    try:
        _count(key, most, MINUTE, now, "too many calls")
    except Throttled as error:
        seconds = error.data["retry_after"]
        detail = gettext("there were %(most)d calls within a minute: try again in %(seconds)d s")
        detail %= {"most": most, "seconds": seconds}
        raise Throttled(detail, retry_after=seconds) from None


def _count(key: str, most: int, period: timedelta, now: datetime, detail: str) -> None:
    """Counts one call of a key. detail: what a caller reads who has made as many."""
    with transaction.atomic():
        row = ThrottleCount.objects.locked([key], at=now)[key]
        if row.count >= most:
            left = (row.began + period - now).total_seconds()
            raise throttled_error(detail, seconds=left)
        row.count += 1
        row.until = row.began + period
        row.save()


def count_request(kind: str, address: str, name: str, *, now: datetime) -> None:
    """Counts a request without a sign-in, by address and by what it names.

    Raises:
        Throttled: 20 requests from the address, or 5 for the name, within an hour.
    """
    most = {
        _key(kind, network_of(address)): REQUESTS_BY_ADDRESS,
        _key(f"{kind}-name", name): REQUESTS_BY_NAME,
    }
    with transaction.atomic():
        rows = ThrottleCount.objects.locked(list(most), at=now)
        for key, row in rows.items():
            if row.count >= most[key]:
                left = (row.began + HOUR - now).total_seconds()
                raise throttled_error("too many requests", seconds=left)
        for row in rows.values():
            row.count += 1
            row.until = row.began + HOUR
            row.save()


def has_limit(kind: str, caller: Caller) -> bool:
    """Whether sends of this caller are counted. kind: send or bulk."""
    return bool(_limit(kind, caller))


def _limit(kind: str, caller: Caller) -> int:
    who = "service" if caller.is_service else "staff" if caller.is_staff else "person"
    found: int = getattr(environment(), f"{who}_{kind}s_hourly")
    return found


def guard_sign_in(
    attempt: Callable[[], T | None],
    *,
    address: str,
    name: str,
    now: datetime,
) -> T | None:
    """Runs a sign-in by a name and password, unless it must wait; `attempt` returns None to fail.

    The count of a name never delays a client from whose address this name has not failed.

    Raises:
        Throttled: too many attempts failed.
    """
    client = network_of(address)
    pair, by_address = _key("login", client, name), _key("login", client)
    by_name = _key("login-name", name)
    free = {pair: PAIR_FREE, by_address: ADDRESS_FREE, by_name: NAME_FREE}
    return _guard(attempt, own=pair, free=free, soft=by_name, now=now)


def guard_code(
    attempt: Callable[[], T | None], *, address: str, person: int, now: datetime
) -> T | None:
    """Runs the check of a second factor, unless it must wait; `attempt` returns None to fail.

    Codes have few digits, so they count over all addresses, and no right password forgives them.
    Who can make a person wait here knows their password.

    Args:
        person: the key of the user whose code it is.

    Raises:
        Throttled: too many attempts failed.
    """
    by_person, by_address = _key("code", str(person)), _key("login", network_of(address))
    free = {by_person: PAIR_FREE, by_address: ADDRESS_FREE}
    return _guard(attempt, own=by_person, free=free, soft="", now=now)


def _guard(
    attempt: Callable[[], T | None], *, own: str, free: dict[str, int], soft: str, now: datetime
) -> T | None:
    """Runs an attempt, unless one of its counts must wait.

    An attempt is counted before it runs, so that concurrent attempts do not pass together. One
    that succeeds is removed from the counts.

    Args:
        own: the count that a success ends.
        free: the failures of each count before the next attempt must wait.
        soft: a count with a short wait, which needs a failure of `own`, too.
    """
    with transaction.atomic():
        rows = ThrottleCount.objects.locked(list(free), at=now)
        checked = [key for key in free if key != soft or rows[own].count]
        wait = max((rows[key].not_before - now).total_seconds() for key in checked)
        if wait > 0:
            raise throttled_error("too many sign-ins failed", seconds=wait)
        for key, row in rows.items():
            row.count += 1
            over = row.count - free[key]
            longest = LONGEST_NAME_WAIT_S if key == soft else LONGEST_WAIT_S
            seconds = min(2 ** min(over + 1, 20), longest)
            row.not_before = now + timedelta(seconds=seconds) if over >= 0 else now
            row.until = max(now + HOUR, row.not_before)
            row.save()
    found = attempt()
    if found is not None:
        _forgive(own, [key for key in free if key != own], now=now)
    return found


def _forgive(own: str, others: list[str], *, now: datetime) -> None:
    with transaction.atomic():
        for row in ThrottleCount.objects.locked([own, *others], at=now).values():
            row.count = 0 if row.key == own else max(0, row.count - 1)
            row.not_before = now
            row.save()


def _key(*parts: str) -> str:
    """Returns a keyed hash: names and addresses are not stored in clear text."""
    return blind_index("\x00".join(part.casefold() for part in parts))
