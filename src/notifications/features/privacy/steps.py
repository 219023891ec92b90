"""The steps of an erasure: the keys, then the rows. Each can be repeated, and resumes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from datetime import datetime
from functools import partial
from typing import Any

from django.db import transaction
from django.db.models import QuerySet

from directory.models import AddressKey, User
from notifications.features.background.items import Items
from notifications.features.privacy.rows import notifications_under
from notifications.features.retention.messages import (
    ATTEMPTS,
    EVENTS,
    LATE,
    LETTERS,
    SANDBOX,
    delete_notifications,
)
from notifications.infra import clock
from notifications.models import (
    BroadcastRecipient,
    DigestBucket,
    Erasure,
    InboundSms,
    Notification,
    ProviderCallback,
    RefusedSend,
    StoredAttachment,
    Work,
)
from notifications.models.delivery.hot import MESSAGES, NOTIFICATIONS
from vault.store import erase_keys

_AT_ONCE = 500
_ROUND_S = 10.0


def erase_due(*, now: datetime, seconds: float = _ROUND_S) -> int:
    """Goes on with the erasures that are due; returns how many are done.

    An erasure whose step fails is tried again later, and stops no other.
    """
    until = clock.monotonic() + seconds
    items, done = Items(Work.ERASE, now=now), 0
    for erasure in items.runnable(Erasure.objects.due(now))[:_AT_ONCE]:
        if clock.monotonic() > until:
            break
        step = partial(_go_on, erasure, now=now, until=until)
        done += items.run_one(erasure.pk, step, default=0)
    return done


def _go_on(erasure: Erasure, *, now: datetime, until: float) -> int:
    if erasure.state == Erasure.State.REQUESTED:
        erase_keys(erasure.key_ids, at=now)
        erasure.state, erasure.keys_erased_at = Erasure.State.KEYS_ERASED, now
        erasure.save(update_fields=["state", "keys_erased_at"])
    finished = _delete_rows(erasure, until)
    if finished:
        erasure.state, erasure.finished_at = Erasure.State.DONE, now
    else:
        erasure.next_at = now
    erasure.save(update_fields=["state", "finished_at", "next_at"])
    return int(finished)


def _delete_rows(erasure: Erasure, until: float) -> bool:
    """Deletes rows in parts until a monotonic time; returns whether none is left."""
    for step in _steps(erasure):
        while _do_part(erasure, step):
            if clock.monotonic() > until:
                return False
    return True


def _do_part(erasure: Erasure, step: Callable[[], Counter[str]]) -> bool:
    """Deletes a part and counts it in the certificate, in one transaction."""
    with transaction.atomic():
        found = step()
        if found:
            erasure.removed = dict(Counter(erasure.removed) + found)
            erasure.save(update_fields=["removed"])
    return bool(found)


_NAMES = {
    NOTIFICATIONS: "notifications",
    MESSAGES: "messages",
    ATTEMPTS: "attempts",
    EVENTS: "events",
    LATE: "late_results",
    LETTERS: "dead_letters",
    SANDBOX: "sandbox_messages",
}
"""How a certificate names what goes with a notification."""
_UNDER_KEYS: tuple[Any, ...] = (RefusedSend, InboundSms, ProviderCallback, StoredAttachment)
"""Models whose rows name the data key that seals them."""


def _steps(erasure: Erasure) -> list[Callable[[], Counter[str]]]:
    ids = erasure.key_ids
    under = [partial(_delete, model.objects.filter(key_id__in=ids)) for model in _UNDER_KEYS]
    keys = AddressKey.objects.filter(key_id__in=ids)
    of_addresses = [partial(_delete_notifications, notifications_under(ids)), *under]
    if erasure.user_id is None:
        return [*of_addresses, partial(_delete, keys)]
    user_id = erasure.user_id
    return [
        partial(_delete_notifications, Notification.objects.filter(user_id=user_id)),
        *of_addresses,
        partial(_delete, DigestBucket.objects.filter(user_id=user_id)),
        partial(_delete, RefusedSend.objects.filter(user_id=user_id)),
        partial(_forget_errors, user_id),
        partial(_delete, InboundSms.objects.filter(senders__user_id=user_id)),
        partial(_delete, keys),
        partial(_delete, User.objects.filter(pk=user_id)),
    ]


def _delete_notifications(rows: QuerySet[Notification]) -> Counter[str]:
    keys = list(rows.order_by("pk").values_list("pk", flat=True)[:_AT_ONCE])
    if not keys:
        return Counter()
    with transaction.atomic():
        counts = delete_notifications(keys)
    return Counter({_NAMES[table]: count for table, count in counts.items()})


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
