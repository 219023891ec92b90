"""Writes groups, devices and addresses of many people at once, by a few statements."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from uuid import UUID

from django.db.models import Q

from directory.imports.related_fields import DeviceEntry
from directory.lookup import of_staff
from directory.models import ContactPoint, Device, Group, GroupMembership, User
from directory.models.contact import ContactKind, ContactState, columns_of
from directory.rows import maker_of

_AT_ONCE = 500

_make_point = maker_of(ContactPoint)
_KIND_OF_FIELD = {
    "email": ContactKind.EMAIL,
    "phone_number": ContactKind.PHONE,
    "telegram_id": ContactKind.TELEGRAM,
}


class UnknownGroup(ValueError):
    """A group that a UUID names does not exist."""


def groups_of_names(names: Iterable[str | UUID]) -> dict[str | UUID, int]:
    """Returns the ids of groups by name or UUID; creates a group for each unknown name."""
    wanted = set(names)
    texts = sorted(name for name in wanted if isinstance(name, str))
    uuids = [name for name in wanted if isinstance(name, UUID)]
    found: dict[str | UUID, int] = {}
    for start in range(0, len(uuids), _AT_ONCE):
        rows = Group.objects.filter(uuid__in=uuids[start : start + _AT_ONCE])
        found.update(rows.values_list("uuid", "pk"))
    for start in range(0, len(texts), _AT_ONCE):
        part = texts[start : start + _AT_ONCE]
        found.update(Group.objects.filter(name__in=part).values_list("name", "pk"))
        fresh = [Group(name=name) for name in part if name not in found]
        if fresh:
            Group.objects.bulk_create(fresh, ignore_conflicts=True)
            found.update(
                Group.objects.filter(name__in=[g.name for g in fresh]).values_list("name", "pk")
            )
    return found


def set_groups(wanted: Mapping[int, set[int]]) -> None:
    """Makes people members of exactly these groups: user id -> group ids."""
    users = sorted(wanted)
    for start in range(0, len(users), _AT_ONCE):
        part = users[start : start + _AT_ONCE]
        held = GroupMembership.objects.filter(user_id__in=part)
        rows = list(held.values_list("pk", "user_id", "group_id"))
        gone = [key for key, user, group in rows if group not in wanted[user]]
        known = {(user, group) for _, user, group in rows}
        GroupMembership.objects.filter(pk__in=gone).delete()
        GroupMembership.objects.bulk_create(
            [
                GroupMembership(user_id=user, group_id=group)
                for user in part
                for group in sorted(wanted[user])
                if (user, group) not in known
            ],
            ignore_conflicts=True,
            batch_size=_AT_ONCE,
        )


def tokens_of_staff(tokens: Iterable[str]) -> set[str]:
    """Returns the tokens among these that belong to members of staff."""
    wanted = sorted(set(tokens))
    found: set[str] = set()
    for start in range(0, len(wanted), _AT_ONCE):
        some = wanted[start : start + _AT_ONCE]
        rows = Device.objects.filter(of_staff("user__"), token__in=some)
        found.update(device.token for device in rows)
    return found


def register_devices(entries: Sequence[tuple[int, DeviceEntry]], *, at: datetime) -> None:
    """Registers devices of people: (user id, device).

    A token that another person had moves to the new person: the phone has a new owner, or another
    account logged in on it.
    """
    devices = [
        Device(
            user_id=user,
            token=entry.token,
            kind=entry.kind,
            platform=entry.platform,
            keys=entry.keys,
            last_seen=at,
            expired_at=None,
        )
        for user, entry in {entry.token: (user, entry) for user, entry in entries}.values()
    ]
    if devices:
        Device.objects.bulk_create(
            devices,
            update_conflicts=True,
            unique_fields=["token"],
            update_fields=["user", "token", "kind", "platform", "keys", "last_seen", "expired_at"],
            batch_size=_AT_ONCE,
        )


def set_urls(entries: Sequence[tuple[User, Mapping[str, str]]]) -> None:
    """Sets webhook and chat addresses; an empty address removes the contact point."""
    for user, points in entries:
        for kind, address in points.items():
            ContactPoint.objects.set_primary(user_id=user.pk, kind=kind, address=address)


def write_addresses(changed: Sequence[User]) -> None:
    """Writes the contact points of changed people; a new address is active again."""
    points: list[ContactPoint] = []
    respelled: list[ContactPoint] = []
    gone = Q()
    held = _held_points(changed)
    for user in changed:
        wanted = {point.kind: point for point in points_of(user)}
        for kind in _KIND_OF_FIELD.values():
            point, before = wanted.get(kind), held.get((user.pk, kind))
            if point is None:
                gone |= Q(user=user, kind=kind) if before is not None else Q()
            elif before is None or point.address != before.address:
                points.append(point)
            elif point.spelling != before.spelling:  # the same address: its state stays
                before.spelling = point.spelling
                respelled.append(before)
    if gone:
        ContactPoint.objects.filter(gone).delete()
    ContactPoint.objects.bulk_update(respelled, ["spelling"])
    ContactPoint.objects.bulk_create(
        points,
        update_conflicts=True,
        unique_fields=["user", "kind"],
        update_fields=["address", "spelling", "state", "state_reason", "verified_at", "updated_at"],
    )


def points_of(user: User) -> list[ContactPoint]:
    """Returns the contact points of the addresses in a person's columns, all active."""
    found = []
    for name, kind in _KIND_OF_FIELD.items():
        if given := getattr(user, name):
            address, spelling = columns_of(kind, given)
            found.append(
                _make_point(
                    {
                        "user_id": user.pk,
                        "kind": kind,
                        "address": address,
                        "spelling": spelling,
                        "state": ContactState.ACTIVE,
                    }
                )
            )
    return found


def _held_points(users: Sequence[User]) -> dict[tuple[int, str], ContactPoint]:
    rows = ContactPoint.objects.filter(
        user__in=[user.pk for user in users], kind__in=list(_KIND_OF_FIELD.values())
    )
    return {(row.user_id, row.kind): row for row in rows}
