"""Makes the `Caller` of a user or of an API key: who it is, and what it may do."""

from __future__ import annotations

import ipaddress
from collections import defaultdict
from collections.abc import Iterable, Mapping

from directory.models import User
from notifications.domain.callers import Caller
from notifications.domain.identifiers import parse_key
from notifications.domain.scopes import SCOPES
from notifications.domain.staff_rights import ADMIN, rights_of
from notifications.models import ApiKey, StaffGroupCategory, StaffGroupMember

OPERATIONS = "operations"
EVERY_SCOPE = "*"
"""What stands for every scope in the list of a key."""


def caller_of_user(user: User) -> Caller:
    """Returns the caller for a user, who acts for themselves; staff have the scopes of their role.

    Only `staff_role` makes a member of staff: a row with Django's flag and no role has no rights.
    """
    return callers_of_users([user])[user.pk]


def callers_of_users(users: Iterable[User]) -> dict[int, Caller]:
    """Returns the callers by the ids of their users. Makes two queries at most, for groups."""
    rows = list(users)
    limits = categories_of([row.pk for row in rows if row.staff_role not in (None, ADMIN)])
    return {
        row.pk: Caller(
            name=f"user:{row.pk}",
            user_id=row.pk,
            owner_id=row.pk,
            is_staff=row.staff_role is not None,
            scopes=rights_of(row.staff_role),
            categories=limits.get(row.pk),
        )
        for row in rows
    }


def may_operate(user: object) -> bool:
    """Returns whether the user of a session is an active member of staff who operates the service.

    Such members see the outbox, and the reasons of kill switches in health reports.
    """
    return isinstance(user, User) and user.is_active and OPERATIONS in rights_of(user.staff_role)


def may_manage_staff(user: object) -> bool:
    """Returns whether the user of a session is an active administrator."""
    return isinstance(user, User) and user.is_active and user.staff_role == ADMIN


def categories_of(user_ids: Iterable[int]) -> Mapping[int, frozenset[int]]:
    """Returns the ids of the categories that their groups allow, by user.

    A user without a group is not in the result. A user with groups has the categories of all of
    them together; none where the groups have none.
    """
    wanted = list(user_ids)
    if not wanted:
        return {}
    groups: dict[int, set[int]] = defaultdict(set)
    members = StaffGroupMember.objects.filter(user_id__in=wanted)
    for user_id, group_id in members.values_list("user_id", "group_id"):
        groups[user_id].add(group_id)
    if not groups:
        return {}
    held: dict[int, set[int]] = defaultdict(set)
    rows = StaffGroupCategory.objects.filter(group_id__in=set().union(*groups.values()))
    for group_id, category_id in rows.values_list("group_id", "category_id"):
        held[group_id].add(category_id)
    return {
        user_id: frozenset().union(*(held[group] for group in some))
        for user_id, some in groups.items()
    }


def caller_by_name(name: str) -> Caller | None:
    """Returns the user or the key that an actor's name means (`user:7`, `key:3`), as it is now.

    None where it is gone, not active or revoked, and for any other name.
    """
    kind, _, number = name.partition(":")
    key = parse_key(number) or 0
    if kind == "user":
        user = User.objects.filter(pk=key, is_active=True).first()
        return caller_of_user(user) if user is not None else None
    if kind == "key":
        found = ApiKey.objects.filter(pk=key, revoked_at__isnull=True).first()
        return caller_of_key(found) if found is not None else None
    return None


def caller_of_key(key: ApiKey) -> Caller:
    """Returns the caller for a service key: has the key's scopes; `*` means all scopes."""
    scopes = frozenset(key.scopes)
    if EVERY_SCOPE in scopes:
        scopes |= frozenset(SCOPES)
    return Caller(
        name=f"key:{key.pk}",
        owner_id=key.owner_id,
        is_service=True,
        is_test=key.kind == ApiKey.Kind.TEST,
        scopes=scopes,
        networks=tuple(ipaddress.ip_network(each) for each in key.addresses),
    )
