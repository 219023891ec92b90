"""Erases again, in a restored database, what was erased after its backup was made.

The keys go first, then each erasure begins as it did the first time, under its certificate. What is
known may come from files, and from the erasure log of the key store, which may be newer than the
main database. Each step may be repeated.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import transaction
from django.db.models import QuerySet

from directory.models import AddressKey, ContactPoint, Suppression, User
from notifications.features.privacy.known import KnownErasure, KnownErasures
from notifications.features.privacy.request import (
    REASON,
    SOURCE,
    Listed,
    delete_waiting_items,
    record,
)
from notifications.features.privacy.steps import erase_due
from notifications.features.sending.cancel import withdraw
from notifications.infra import clock, ports
from notifications.models import (
    BroadcastChange,
    BroadcastRecipient,
    Erasure,
    ItemFault,
    LegalHold,
    NotificationMessage,
    Work,
)
from notifications.models.audit.actions import record_change
from notifications.models.people.erasure import OPEN
from vault.models import ErasedKey
from vault.sealed import INDEX
from vault.store import erase_keys
from vault.values import StoredValue

ACTOR = "cli"
_AT_ONCE = 500
_ROUND_S = 10.0
_PAUSE_S = 1.0
_MOST_PAUSES = 4_000
"""Pauses without progress: longer than an erasure waits for the logs of SQLite."""
_LOG_REASON = "the erasure log of the key store says so"


class ErasureFailed(Exception):
    """An erasure does not go on: its fault is in the log, and in `carillon set-aside list`."""


@dataclass(slots=True)
class Reapplied:
    """What was erased again."""

    #: People and addresses.
    erasures: int = 0
    #: Keys that the restored key store still had.
    keys: int = 0
    suppressions: int = 0


def erase_known_keys(known: KnownErasures) -> int:
    """Deletes the keys of all known erasures from the key store; returns how many it had."""
    gone = {
        key: each.requested_at
        for each in known.erasures.values()
        if not each.is_held
        for key in each.keys
    }
    gone |= known.keys
    rows = Erasure.objects.filter(state__in=[Erasure.State.KEYS_ERASED, Erasure.State.DONE])
    for keys, at in _pages(rows, "key_ids", "requested_at"):
        gone.update(dict.fromkeys(keys, at))
    by_time: dict[datetime, list[int]] = {}
    for key, at in gone.items():
        by_time.setdefault(at, []).append(key)
    return sum(erase_keys(keys, at=at) for at, keys in sorted(by_time.items()))


def _pages(rows: QuerySet[Erasure], *fields: str) -> Iterator[tuple[Any, ...]]:
    last, ordered = 0, rows.order_by("pk")
    while page := list(ordered.filter(pk__gt=last).values_list("pk", *fields)[:_AT_ONCE]):
        yield from (row[1:] for row in page)
        last = page[-1][0]


def erase_again(known: KnownErasures, *, now: datetime, count: Callable[[], object]) -> Reapplied:
    """Erases what is known and still in the rows; returns when the last row is deleted.

    count: counts the reported changes of broadcasts: an erasure waits until they are counted.

    Raises:
        ErasureFailed: an erasure does not go on.
    """
    done = Reapplied(keys=erase_known_keys(known))
    for kind, index in sorted(known.suppressions):
        with transaction.atomic():
            _suppress([(kind, index)])
        done.suppressions += 1
    for each in known.erasures.values():
        done.erasures += _repeat(each, now=now)
    done.erasures += _from_log(now=now)
    _finish(count)
    return done


def _repeat(known: KnownErasure, *, now: datetime) -> bool:
    """Begins one erasure again; returns whether there was something to begin."""
    with transaction.atomic():
        user = _person(known)
        found = _stored(known, user)
        waits = found is not None and found.state == Erasure.State.WAITING_FOR_HOLD
        # A person who is not in the backup has nothing to retain, and another may get the number.
        held = known.is_held and user is not None
        if found is not None and (held or not waits):
            if waits:
                _restore_hold(found, now=now)
            return False
        erasure = found or Erasure(
            user_id=user.pk if user is not None else None,
            person=known.person or (user.uuid if user is not None else None),
            kind=known.kind,
            requested_at=known.requested_at,
        )
        if known.certificate is not None:
            erasure.uuid = known.certificate
        erasure.reason, erasure.actor = known.reason, known.actor or ACTOR
        erasure.key_ids, erasure.in_flight = known.keys, known.in_flight
        erasure.removed = known.removed
        if user is None:
            erasure.user_id = known.user_id if _is_free(known.user_id) else None
        _begin(erasure, user, held=held, now=now)
    return True


def _stored(known: KnownErasure, user: User | None) -> Erasure | None:
    """Returns the restored row of an erasure, by its certificate or as the open one of a person."""
    if known.certificate is not None:
        by_certificate = Erasure.objects.filter(uuid=known.certificate).first()
        if by_certificate is not None:
            return by_certificate
    return None if user is None else _open_of(user)


def _person(known: KnownErasure) -> User | None:
    """Returns the person of an erasure, by UUID where it is known: integer ids are used again."""
    if known.person is not None:
        return User.objects.filter(uuid=known.person).first()
    return User.objects.filter(pk=known.user_id).first() if known.user_id else None


def _is_free(user_id: int | None) -> bool:
    return user_id is not None and not User.objects.filter(pk=user_id).exists()


def _begin(erasure: Erasure, user: User | None, *, held: bool, now: datetime) -> None:
    """Stops everything that waits for a person, and stores the erasure."""
    listed: list[Listed] = []
    if user is not None:
        erasure.user_id = user.pk
        User.objects.filter(pk=user.pk).update(is_active=False)
        rows = NotificationMessage.objects.filter(user_id=user.pk)
        cancelled, in_flight = withdraw(rows, by=SOURCE, now=now)
        if not held:
            delete_waiting_items(user)
        erasure.removed = {**erasure.removed, "messages_cancelled_again": cancelled}
        erasure.in_flight = sorted({*erasure.in_flight, *in_flight})
    if held:
        erasure.state = Erasure.State.WAITING_FOR_HOLD
        _restore_hold(erasure, now=now)
    else:
        erasure.state = Erasure.State.REQUESTED
        if user is not None:
            # It ended before the erasure went on.
            LegalHold.objects.filter(user_id=user.pk).delete()
            listed = _suppress(_indexes_of(user))
            own = [] if user.key_id is None else [user.key_id]
            erasure.key_ids = sorted({*erasure.key_ids, *own})
    erasure.next_at = now
    erasure.save()
    record(erasure, listed, at=now)


def _restore_hold(erasure: Erasure, *, now: datetime) -> None:
    """Places a hold where the backup has none, so that a person can end it.

    The erasure would wait for ever otherwise: it goes on when a hold ends.
    """
    user_id = erasure.user_id
    if user_id is None or LegalHold.objects.filter(user_id=user_id).exists():
        return
    reason = f"restored: hold of certificate {erasure.uuid}"
    hold = LegalHold.objects.create(user_id=user_id, reason=reason, actor=ACTOR, created_at=now)
    record_change(
        actor=ACTOR,
        action="hold.placed",
        target=f"hold:{hold.uuid}",
        at=now,
        subject_id=user_id,
        after={"reason": reason},
    )


def _indexes_of(user: User) -> list[Listed]:
    """Returns the addresses of a person as indexes: their key may be gone."""
    points: QuerySet[ContactPoint] = QuerySet(ContactPoint)
    rows = points.filter(user=user).order_by("pk")
    found: list[Listed] = []
    for kind, stored in rows.values_list("kind", "address"):
        text = stored.text if isinstance(stored, StoredValue) else ""
        if text:
            form = text if INDEX.fullmatch(text) else next(iter(Suppression.address_forms([text])))
            found.append((kind, form))
    return found


def _suppress(listed: Sequence[Listed]) -> list[Listed]:
    for kind, form in listed:
        Suppression.objects.list_index(kind, form, [], reason=REASON, source=SOURCE)
    return list(listed)


def _from_log(*, now: datetime) -> int:
    """Begins erasures that only the log of the key store knows; returns how many."""
    begun = last = 0
    while page := list(ErasedKey.objects.filter(pk__gt=last).order_by("pk")[:_AT_ONCE]):
        last = page[-1].pk
        going_on = {key for keys in _keys_of_open() for key in keys}
        keys = {row.pk: row.erased_at for row in page if row.pk not in going_on}
        for user in User.objects.filter(key_id__in=keys).order_by("pk"):
            key_id = user.key_id or 0
            begun += _logged(user, "", key_id, keys[key_id], now=now)
        addresses = AddressKey.objects.filter(key_id__in=keys)
        kinds = dict(addresses.values_list("key_id", "kind"))
        for key_id, kind in sorted(kinds.items()):
            begun += _logged(None, kind, key_id, keys[key_id], now=now)
    return begun


def _keys_of_open() -> Iterable[list[int]]:
    return Erasure.objects.filter(state__in=OPEN).values_list("key_ids", flat=True)


def _logged(user: User | None, kind: str, key_id: int, at: datetime, *, now: datetime) -> int:
    with transaction.atomic():
        erasure = None if user is None else _open_of(user)
        if erasure is None:
            erasure = Erasure(kind=kind, reason=_LOG_REASON, actor=ACTOR, requested_at=at)
        erasure.person = None if user is None else user.uuid
        erasure.key_ids = sorted({*erasure.key_ids, key_id})
        _begin(erasure, user, held=False, now=now)
    return 1


def _open_of(user: User) -> Erasure | None:
    """Returns the erasure of a person that is not done, such as one that waited for a hold."""
    return Erasure.objects.filter(user_id=user.pk).exclude(state=Erasure.State.DONE).first()


def _finish(count: Callable[[], object]) -> None:
    """Goes on with all open erasures until none is left. A step that only waits is tried again."""
    opened, pauses = Erasure.objects.filter(state__in=OPEN), 0
    while opened.exists():
        before = _state_of(opened)
        count()
        erase_due(now=clock.now(), seconds=_ROUND_S)
        if before != _state_of(opened):
            pauses = 0
        elif _is_set_aside(opened) or pauses >= _MOST_PAUSES:
            raise ErasureFailed("an erasure does not go on; see `carillon set-aside list`")
        else:
            pauses += 1
            ports.sleep(_PAUSE_S)


def _is_set_aside(opened: QuerySet[Erasure]) -> bool:
    """Whether an erasure is set aside, or the counting of a broadcast that it waits for."""
    theirs = BroadcastRecipient.objects.filter(recipient_id__in=opened.values("user_id"))
    uncounted = BroadcastChange.objects.filter(broadcast_id__in=theirs.values("broadcast_id"))
    faults = ItemFault.objects.filter(set_aside=True)
    return (
        faults.filter(work=Work.ERASE, item__in=opened.values("pk")).exists()
        or faults.filter(work=Work.COUNT, item__in=uncounted.values("broadcast_id")).exists()
    )


def _state_of(rows: QuerySet[Erasure]) -> list[tuple[Any, ...]]:
    return list(rows.order_by("pk").values_list("pk", "state", "removed"))
