"""Begins an erasure: in one transaction nothing is sent to the person any more.

It locks the batches of the waiting messages, as a cancellation does. A message that the journal
named before is in flight and is listed in the certificate; no later journal names one.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

from django.db import IntegrityError, transaction
from django.db.models import QuerySet

from directory.addresses import normalise_address
from directory.models import AddressKey, ContactPoint, Suppression, User
from directory.models.address_key import address_index
from notifications.domain.errors import Conflict
from notifications.features.privacy.holds import is_held, keys_held_for_others
from notifications.features.privacy.rows import has_old_rows, messages_under
from notifications.features.sending.cancel import withdraw
from notifications.models import DigestItem, Erasure, NotificationMessage, StaffInvitation
from notifications.models.audit.entries import record_erasure
from vault.store import scope

SOURCE = "erasure"
REASON = "erased"
Listed = tuple[str, str]
"""A suppressed address: its kind and its index."""


def erase_person(user: User, *, reason: str, actor: str, now: datetime) -> Erasure:
    """Stops everything that waits for a person, and stores the erasure.

    Raises:
        Conflict: erasure_open: the person is being erased.
    """
    try:
        with transaction.atomic(), scope():
            return _begin(user, reason=reason, actor=actor, now=now)
    except IntegrityError as error:
        raise Conflict("this person is being erased", code="erasure_open") from error


def _begin(user: User, *, reason: str, actor: str, now: datetime) -> Erasure:
    held = is_held(user.pk)
    erasure = Erasure.objects.create(
        user_id=user.pk,
        person=user.uuid,
        reason=reason,
        actor=actor,
        state=Erasure.State.WAITING_FOR_HOLD if held else Erasure.State.REQUESTED,
        requested_at=now,
        next_at=now,
    )
    User.objects.filter(pk=user.pk).update(is_active=False)
    _withdraw(erasure, NotificationMessage.objects.filter(user_id=user.pk), now=now)
    listed = [] if held else _prepare(erasure, user, now=now)
    erasure.save()
    record(erasure, listed, at=now)
    return erasure


def prepare_held(erasure: Erasure, *, now: datetime) -> None:
    """Lets an erasure go on whose hold has ended. The caller is in a transaction."""
    user, listed = User.objects.filter(pk=erasure.user_id or 0).first(), []
    if user is not None:
        with scope():
            listed = _prepare(erasure, user, now=now)
    erasure.state, erasure.next_at = Erasure.State.REQUESTED, now
    erasure.save()
    record(erasure, listed, at=now)


def prepare_again(erasure: Erasure, *, now: datetime) -> None:
    """Notes the keys that a person and their addresses got while the erasure waited.

    The caller is in a transaction. It records the erasure again where the keys changed.
    """
    user, before = User.objects.filter(pk=erasure.user_id or 0).first(), erasure.key_ids
    if user is None:
        return
    with scope():
        listed = _prepare(erasure, user, now=now)
    erasure.save()
    if erasure.key_ids != before:
        record(erasure, listed, at=now)


def _prepare(erasure: Erasure, user: User, *, now: datetime) -> list[Listed]:
    """Notes the keys, suppresses the addresses, and deletes what waits for a digest."""
    delete_waiting_items(user)
    _choose_keys(erasure, _keys_of(user))
    listed = _list_addresses(user)
    _withdraw(erasure, messages_under(erasure.key_ids), now=now)
    return listed


def delete_waiting_items(user: User) -> None:
    """Deletes what waits for the next digests of a person."""
    DigestItem.objects.filter(bucket__user_id=user.pk, bucket__closed_at=None).delete()


def _choose_keys(erasure: Erasure, keys: list[int]) -> None:
    """Notes the keys that are erased: not those that seal what is held for another person."""
    held = keys_held_for_others(keys, user_id=erasure.user_id)
    erasure.key_ids = [key for key in keys if key not in held]
    if held:
        erasure.removed = {**erasure.removed, "keys_left_to_holds": len(held)}


def _withdraw(erasure: Erasure, rows: QuerySet[NotificationMessage], *, now: datetime) -> None:
    """Cancels waiting messages, and notes how many, and which are in flight."""
    cancelled, in_flight = withdraw(rows, by=SOURCE, now=now)
    before = erasure.removed.get("messages_cancelled", 0)
    erasure.removed = {**erasure.removed, "messages_cancelled": before + cancelled}
    erasure.in_flight = [*erasure.in_flight, *in_flight]


def erase_address(kind: str, address: str, *, reason: str, actor: str, now: datetime) -> Erasure:
    """Stops everything that waits for an address without a user, and stores the erasure.

    The suppression prevents that a later journal names a message to it.

    Raises:
        Conflict: address_of_user: it is an address of a user, whom a legal hold may protect.
        Conflict: not_sealed: rows of an older release are not sealed, so no key finds them.
    """
    if has_old_rows():
        raise Conflict(
            "rows of an older release are not sealed: run carillon keys seal first",
            code="not_sealed",
        )
    with transaction.atomic(), scope():
        normal = normalise_address(kind, address)
        if ContactPoint.objects.filter(kind=kind, address=normal).exists():
            raise Conflict(
                "this is an address of a user: erase the user instead", code="address_of_user"
            )
        keys = AddressKey.objects.filter(index=address_index(kind, address))
        erasure = Erasure.objects.create(
            kind=kind,
            reason=reason,
            actor=actor,
            state=Erasure.State.REQUESTED,
            requested_at=now,
            next_at=now,
        )
        _choose_keys(erasure, sorted(set(keys.values_list("key_id", flat=True))))
        listed = _list_address(kind, address)
        if kind == "email":
            StaffInvitation.objects.filter(email__in={normal, address.strip().lower()}).delete()
        _withdraw(erasure, messages_under(erasure.key_ids), now=now)
        erasure.save()
        record(erasure, [listed], at=now)
    return erasure


def record(erasure: Erasure, listed: Sequence[Listed], *, at: datetime) -> None:
    """Records an erasure in the audit log, with what is needed to erase again in a backup."""
    after = {
        "certificate": str(erasure.uuid),
        "state": erasure.state,
        "person": None if erasure.person is None else str(erasure.person),
        "kind": erasure.kind,
        "keys": erasure.key_ids,
        "in_flight": erasure.in_flight,
        "suppressions": [list(each) for each in listed],
    }
    record_erasure(
        erasure.user_id or 0, reason=erasure.reason, actor=erasure.actor, at=at, after=after
    )


def _keys_of(user: User) -> list[int]:
    """Returns the ids of the keys of a person and of their addresses."""
    indexes = [address_index(kind, address) for kind, address in _addresses_of(user)]
    stored = AddressKey.objects.filter(index__in=indexes).values_list("key_id", flat=True)
    own = [] if user.key_id is None else [user.key_id]
    return sorted({*own, *stored})


def _addresses_of(user: User) -> Iterable[tuple[str, str]]:
    for point in ContactPoint.objects.filter(user=user):
        if point.address:
            yield point.kind, point.address


def _list_addresses(user: User) -> list[Listed]:
    return [_list_address(kind, address) for kind, address in _addresses_of(user)]


def _list_address(kind: str, address: str) -> Listed:
    """Suppresses an address by its index alone: an import of it must not reach the person."""
    (form, *older) = Suppression.address_forms([address])
    Suppression.objects.list_index(kind, form, older, reason=REASON, source=SOURCE)
    return kind, form
