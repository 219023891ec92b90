"""The steps of an erasure: the keys, then the rows. Each can be repeated, and resumes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from django.contrib.admin.models import LogEntry
from django.contrib.sessions.models import Session
from django.db import transaction
from django.db.models import Exists, OuterRef, QuerySet

from directory.models import AddressKey, User
from notifications.features.background.items import Items
from notifications.features.privacy.export.record_sections import is_session_of
from notifications.features.privacy.request import prepare_again
from notifications.features.privacy.rows import has_old_rows, notifications_under
from notifications.features.retention.messages import (
    ATTEMPTS,
    ENGAGEMENT,
    EVENTS,
    HITS,
    LATE,
    LETTERS,
    SANDBOX,
    delete_notifications,
)
from notifications.infra import clock
from notifications.models import (
    BroadcastChange,
    BroadcastRecipient,
    ConsentRecord,
    Conversion,
    DataExport,
    DataExportPart,
    DigestBucket,
    EngagementHours,
    Erasure,
    FrequencyCount,
    IdempotencyKey,
    InboundSms,
    InboxArrival,
    InboxChange,
    InboxCounter,
    ItemFault,
    LastSeen,
    LearningDelta,
    Notification,
    PersonEvent,
    Presence,
    ProviderCallback,
    RefusedSend,
    ScheduleMember,
    ScheduleSeries,
    StoredAttachment,
    Work,
    unpack_keys,
)
from notifications.models.delivery.hot import MESSAGES, NOTIFICATIONS
from notifications.models.sources.error_texts import forget_recipient
from vault.raw_files import truncate_logs, vacuum_keys
from vault.store import erase_keys

_AT_ONCE = 500
_ROUND_S = 10.0
_PAUSE = timedelta(seconds=1)
_SEALING_PAUSE = timedelta(minutes=1)
_LATE_WITHIN = timedelta(hours=1)
"""How long after its last step an erasure is looked at again."""
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


def delete_late(*, now: datetime) -> int:
    """Deletes notifications that were committed after the last step of their person's erasure.

    No constraint refuses them where the call began before the erasure. Their key is erased, so
    their texts are unreadable. Returns how many it deleted, 500 at most of each person.
    """
    ended = Erasure.objects.filter(
        state=Erasure.State.DONE, user_id__isnull=False, next_at__gte=now - _LATE_WITHIN
    )
    rows = Notification.objects.filter(user_id__in=ended.values("user_id"))
    people = list(rows.order_by("pk").values_list("user_id", flat=True)[:_AT_ONCE])
    deleted = 0
    for erasure in ended.filter(user_id__in=set(people)):
        own = Notification.objects.filter(user_id=erasure.user_id or 0)
        before = erasure.removed.get("notifications", 0)
        _do_part(erasure, partial(_delete_notifications, own))
        deleted += erasure.removed.get("notifications", 0) - before
    return deleted


def _go_on(erasure: Erasure, *, now: datetime, until: float) -> int:
    if erasure.state == Erasure.State.REQUESTED:
        if erasure.user_id is not None and has_old_rows():
            return _wait_for_sealing(erasure, now=now, until=until)
        if erasure.next_at != erasure.requested_at:
            with transaction.atomic():
                prepare_again(erasure, now=now)
        erase_keys(erasure.key_ids, at=now)
        erasure.state, erasure.keys_erased_at = Erasure.State.KEYS_ERASED, now
        erasure.save(update_fields=["state", "keys_erased_at"])
    finished = (
        not _is_uncounted(erasure.user_id, until)
        and _delete_rows(erasure, until)
        and _is_out_of_files(erasure, now)
    )
    if finished:
        erasure.state, erasure.finished_at = Erasure.State.DONE, now
    else:
        erasure.next_at = now + _PAUSE if clock.monotonic() < until else now
    erasure.save(update_fields=["state", "finished_at", "next_at"])
    return int(finished)


def _wait_for_sealing(erasure: Erasure, *, now: datetime, until: float) -> int:
    """Deletes what names the person. What only their addresses name has no key of theirs yet."""
    own = Notification.objects.filter(user_id=erasure.user_id or 0)
    if not _is_uncounted(erasure.user_id, until):
        while clock.monotonic() < until and _do_part(erasure, partial(_delete_notifications, own)):
            pass
    erasure.next_at = now + _SEALING_PAUSE
    erasure.save(update_fields=["next_at"])
    return 0


def _is_out_of_files(erasure: Erasure, now: datetime) -> bool:
    """Truncates the logs of SQLite. While readers prevent it, the erasure is tried again.

    Readers that last for hours do not delay the certificate for ever: it is done after an hour.
    """
    began = erasure.keys_erased_at or now
    return truncate_logs() or now - began > _READERS_END


def _is_uncounted(user_id: int | None, until: float) -> bool:
    """Whether a broadcast has messages of the person to count: without them it never ends.

    It waits for no count that is set aside. When the time ends first, the next round looks again.
    """
    if user_id is None:
        return False
    theirs = BroadcastRecipient.objects.filter(recipient_id=user_id).values("broadcast_id")
    aside = ItemFault.objects.filter(work=Work.COUNT, set_aside=True).values("item")
    rows = BroadcastChange.objects.filter(broadcast_id__in=theirs).exclude(broadcast_id__in=aside)
    sources = [f"broadcast:{key}" for key in rows.values_list("broadcast_id", flat=True).distinct()]
    sent = Notification.objects.filter(user_id=user_id, source__in=sources)
    keys = set(sent.values_list("pk", flat=True)) if sources else set()
    after = 0
    while keys and (page := list(rows.filter(pk__gt=after).order_by("pk")[:_AT_ONCE])):
        if clock.monotonic() > until:
            return True
        if any(not keys.isdisjoint(unpack_keys(row.keys)) for row in page):
            return True
        after = page[-1].pk
    return False


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
    ENGAGEMENT: "engagement",
    HITS: "opens_and_clicks",
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
        partial(_delete, Conversion.objects.filter(user_id=user_id)),
        partial(_delete, PersonEvent.objects.filter(user_id=user_id)),
        partial(_delete, InboxArrival.objects.filter(user_id=user_id)),
        partial(_delete, InboxChange.objects.filter(user_id=user_id)),
        partial(_delete, InboxCounter.objects.filter(user_id=user_id)),
        partial(_delete, Presence.objects.filter(user_id=user_id)),
        partial(_delete, LastSeen.objects.filter(user_id=user_id)),
        partial(_delete, DigestBucket.objects.filter(user_id=user_id)),
        partial(_delete, RefusedSend.objects.filter(user_id=user_id)),
        partial(_delete, FrequencyCount.objects.filter(user_id=user_id)),
        lambda: _count(hand_overs=LearningDelta.objects.forget(user_id)),
        partial(_delete, EngagementHours.objects.filter(user_id=user_id)),
        partial(_delete, IdempotencyKey.objects.filter(principal=f"user:{user_id}")),
        partial(_delete, DataExportPart.objects.filter(export__user_id=user_id)),
        partial(_delete, DataExport.objects.filter(user_id=user_id)),
        partial(_delete, _own_series(user_id)),
        partial(_forget_errors, user_id),
        lambda: _count(admin_names=_forget_names(user_id)),
        lambda: _count(consent_ips=ConsentRecord.objects.forget_addresses(user_id)),
        partial(_delete, InboundSms.objects.filter(senders__user_id=user_id)),
        _walk_sessions(user_id),
        partial(_delete, keys),
        partial(_delete, User.objects.filter(pk=user_id)),
    ]


def _own_series(user_id: int) -> QuerySet[ScheduleSeries]:
    """Returns the series that a person created for themselves alone."""
    rows = ScheduleSeries.objects.filter(owner_id=user_id)
    others = ScheduleMember.objects.filter(series=OuterRef("pk")).exclude(user_id=user_id)
    return rows.exclude(Exists(others))


def _count(**counts: int) -> Counter[str]:
    """Returns the counts that are not zero."""
    return +Counter(counts)


def _forget_names(user_id: int) -> int:
    """Empties the names by which the admin's log of an older release mentions a person."""
    rows = LogEntry.objects.filter(
        content_type__app_label="directory", content_type__model="user", object_id=str(user_id)
    )
    return rows.exclude(object_repr="").update(object_repr="")


def _walk_sessions(user_id: int) -> Callable[[], Counter[str]]:
    """Returns the step that reads all sessions in pages: no index finds those of a person."""
    pages = _sessions_of(user_id)

    def step() -> Counter[str]:
        keys = next(pages, [])
        Session.objects.filter(pk__in=keys).delete()
        return _count(sessions=len(keys))

    return step


def _sessions_of(user_id: int) -> Iterator[list[str]]:
    """Yields the keys of a person's sessions, those of one page at a time."""
    rows, last = Session.objects.order_by("pk"), ""
    while page := list(rows.filter(pk__gt=last)[:_AT_ONCE]):
        last = page[-1].pk
        if keys := [row.pk for row in page if is_session_of(row, user_id)]:
            yield keys


def _delete_notifications(rows: QuerySet[Notification]) -> Counter[str]:
    keys = list(rows.order_by("pk").values_list("pk", flat=True)[:_AT_ONCE])
    if not keys:
        return Counter()
    counts = delete_notifications(keys)
    return Counter({_NAMES[table]: count for table, count in counts.items()})


def _delete(rows: QuerySet[Any]) -> Counter[str]:
    """Deletes a part of the rows, with what belongs to them."""
    keys = list(rows.order_by("pk").values_list("pk", flat=True)[:_AT_ONCE])
    if not keys:
        return Counter()
    found = rows.model._default_manager.filter(pk__in=keys)
    _, by_table = QuerySet.delete(found)  # the person's own manager refuses it
    return Counter({name.partition(".")[2].lower(): count for name, count in by_table.items()})


def _forget_errors(user_id: int) -> Counter[str]:
    """Empties what broadcasts stored about a person: their number in the counts stays."""
    return _count(broadcast_errors=forget_recipient(user_id, _AT_ONCE))
