"""The steps of an erasure: the keys, then the rows. Each can be repeated, and resumes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from django.db import transaction
from django.db.models import QuerySet

from directory.models import AddressKey, User
from notifications.features.background.items import Items
from notifications.features.retention.messages import delete_notifications
from notifications.infra import clock
from notifications.models import (
    BroadcastRecipient,
    DigestBucket,
    Erasure,
    InboundSms,
    Notification,
    RefusedSend,
    Work,
)
from vault.raw_files import truncate_logs, vacuum_keys
from vault.store import erase_keys

_AT_ONCE = 500
_ROUND_S = 10.0
_PAUSE = timedelta(seconds=1)
_READERS_END = timedelta(hours=1)


def erase_due(*, now: datetime, seconds: float = _ROUND_S) -> int:
    """Goes on with the erasures that are due; returns how many are done.

    An erasure whose step fails is tried again later, and stops no other.
    """
    until = clock.monotonic() + seconds
    items, done = Items(Work.ERASE, now=now), 0
    keys_go = Erasure.objects.due(now).filter(state=Erasure.State.REQUESTED).exists()
    for erasure in items.runnable(Erasure.objects.due(now))[:_AT_ONCE]:
        if clock.monotonic() > until:
            break
        step = partial(_go_on, erasure, now=now, until=until)
        done += items.run_one(erasure.pk, step, default=0)
    if keys_go:
        vacuum_keys()
    return done


def _go_on(erasure: Erasure, *, now: datetime, until: float) -> int:
    if erasure.state == Erasure.State.REQUESTED:
        erase_keys(erasure.key_ids, at=now)
        erasure.state, erasure.keys_erased_at = Erasure.State.KEYS_ERASED, now
        erasure.save(update_fields=["state", "keys_erased_at"])
    removed = Counter(erasure.removed)
    finished = _delete_rows(erasure, removed, until) and _is_out_of_files(erasure, now)
    erasure.removed = dict(removed)
    if finished:
        erasure.state, erasure.finished_at = Erasure.State.DONE, now
    else:
        erasure.next_at = now + _PAUSE if clock.monotonic() < until else now
    erasure.save(update_fields=["state", "finished_at", "removed", "next_at"])
    return int(finished)


def _is_out_of_files(erasure: Erasure, now: datetime) -> bool:
    """Truncates the logs of SQLite. While readers prevent it, the erasure is tried again.

    Readers that last for hours do not delay the certificate for ever: it is done after an hour.
    """
    began = erasure.keys_erased_at or now
    return truncate_logs() or now - began > _READERS_END


def _delete_rows(erasure: Erasure, removed: Counter[str], until: float) -> bool:
    """Deletes rows in parts until a monotonic time; returns whether none is left."""
    for step in _steps(erasure):
        while found := step():
            removed.update(found)
            if clock.monotonic() > until:
                return False
    return True


def _steps(erasure: Erasure) -> list[Callable[[], Counter[str]]]:
    keys = AddressKey.objects.filter(key_id__in=erasure.key_ids)
    if erasure.user_id is None:
        return [lambda: _delete(keys)]
    user_id = erasure.user_id
    return [
        lambda: _delete_notifications(user_id),
        lambda: _delete(DigestBucket.objects.filter(user_id=user_id)),
        lambda: _delete(RefusedSend.objects.filter(user_id=user_id)),
        lambda: _forget_errors(user_id),
        lambda: _delete_texts(user_id),
        lambda: _delete(keys),
        lambda: _delete(User.objects.filter(pk=user_id)),
    ]


def _delete_notifications(user_id: int) -> Counter[str]:
    rows = Notification.objects.filter(user_id=user_id)
    keys = list(rows.order_by("pk").values_list("pk", flat=True)[:_AT_ONCE])
    if not keys:
        return Counter()
    with transaction.atomic():
        delete_notifications(keys)
    return Counter(notifications=len(keys))


def _delete(rows: QuerySet[Any]) -> Counter[str]:
    """Deletes a part of the rows, with what belongs to them."""
    keys = list(rows.order_by("pk").values_list("pk", flat=True)[:_AT_ONCE])
    if not keys:
        return Counter()
    with transaction.atomic():
        _, by_table = rows.model._default_manager.filter(pk__in=keys).delete()
    return Counter({name.partition(".")[2].lower(): count for name, count in by_table.items()})


def _forget_errors(user_id: int) -> Counter[str]:
    """Empties what broadcasts stored about a person: their number in the counts stays."""
    rows = BroadcastRecipient.objects.filter(recipient_id=user_id).exclude(error="")
    changed = rows.update(error="")
    return Counter(broadcast_errors=changed) if changed else Counter()


def _delete_texts(user_id: int) -> Counter[str]:
    """Deletes the texts that a person sent to us."""
    keys: list[int] = []
    last = 0
    rows = InboundSms.objects.order_by("pk").values_list("pk", "users")
    while not keys and (page := list(rows.filter(pk__gt=last)[:_AT_ONCE])):
        last = page[-1][0]
        keys = [key for key, users in page if user_id in users]
    if not keys:
        return Counter()
    InboundSms.objects.filter(pk__in=keys).delete()
    return Counter(inbound_sms=len(keys))
