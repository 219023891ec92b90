"""Groups and their members."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from django.db import IntegrityError, transaction
from django.db.models import Count

from directory.lookup import Reference, find_people, read_reference, staff_among
from directory.models import Group, GroupMembership, User
from notifications.domain.callers import Caller
from notifications.domain.errors import Conflict, FieldError, InvalidRequest, NotFound
from notifications.domain.identifiers import parse_identifier
from notifications.features.access.persons import protected_staff_error
from notifications.features.access.service import require_scope
from notifications.features.people.relation_schemas import GroupResponse, MembersResponse
from notifications.features.people.schemas import UserResponse
from notifications.features.people.service import READ, WRITE, user_responses
from notifications.infra import clock
from notifications.models.audit.actions import Values, record_change, values_of

MAX_MEMBERS = 10_000
_AT_ONCE = 500


class GroupService:
    """Reads and writes groups (courses, classes and topics) and their members."""

    def list(
        self, *, caller: Caller, name: str = "", kind: str = "", after: int = 0, limit: int = 50
    ) -> Sequence[GroupResponse]:
        """Returns groups, the oldest first. name: the beginning of the name."""
        require_scope(caller, READ)
        rows = Group.objects.filter(pk__gt=after)
        if name:
            rows = rows.filter(name__istartswith=name)
        if kind:
            rows = rows.filter(kind=kind)
        counted = rows.annotate(size=Count("memberships")).order_by("pk")[: max(1, limit)]
        return [_response(group, group.size) for group in counted]

    def get(self, *, identifier: str, caller: Caller) -> GroupResponse:
        """Returns one group, by id or UUID."""
        require_scope(caller, READ)
        group = find_group(identifier)
        return _response(group, group.memberships.count())

    def create(self, *, name: str, kind: str, caller: Caller) -> GroupResponse:
        """Creates a group.

        Raises:
            Conflict: name_taken.
        """
        require_scope(caller, WRITE)
        try:
            with transaction.atomic():
                group = Group.objects.create(name=clean_name(name), kind=kind)
                _record(caller, "group.created", group, after=values_of(group))
                return _response(group, 0)
        except IntegrityError as error:
            raise _name_taken(name) from error

    def change(self, *, identifier: str, name: str, kind: str, caller: Caller) -> GroupResponse:
        """Renames a group or changes its kind."""
        require_scope(caller, WRITE)
        group = find_group(identifier)
        before = values_of(group)
        group.name, group.kind = clean_name(name), kind
        try:
            with transaction.atomic():
                group.save(update_fields=["name", "kind"])
                _record(caller, "group.changed", group, before=before, after=values_of(group))
        except IntegrityError as error:
            raise _name_taken(name) from error
        return _response(group, group.memberships.count())

    def delete(self, *, identifier: str, caller: Caller) -> None:
        """Deletes a group and its memberships; the members stay."""
        require_scope(caller, WRITE)
        group = find_group(identifier)
        with transaction.atomic():
            _record(caller, "group.deleted", group, before=values_of(group))
            group.delete()

    def members(
        self, *, identifier: str, caller: Caller, after: int = 0, limit: int = 50
    ) -> Sequence[UserResponse]:
        """Returns the members of a group in ascending order of id."""
        require_scope(caller, READ)
        rows = User.objects.filter(pk__gt=after, group_memberships__group=find_group(identifier))
        return user_responses(rows.order_by("pk")[: max(1, limit)])

    def change_members(
        self,
        *,
        identifier: str,
        add: Sequence[int | str],
        remove: Sequence[int | str],
        caller: Caller,
    ) -> MembersResponse:
        """Adds and removes members; a person who is in both lists is removed.

        Raises:
            Refused: staff_protected, one of them is a member of staff.
        """
        require_scope(caller, WRITE)
        group = find_group(identifier)
        added_ids, unknown = _people(add, "add")
        removed_ids, unknown_removed = _people(remove, "remove")
        _check_staff(added_ids | removed_ids, caller)
        with transaction.atomic():
            removed = _remove(group, removed_ids)
            added = _add(group, added_ids - removed_ids)
            _record_members(caller, group, added_ids - removed_ids, removed_ids)
        return MembersResponse(added=added, removed=removed, unknown=unknown + unknown_removed)

    def set_members(
        self, *, identifier: str, members: Sequence[int | str], caller: Caller
    ) -> MembersResponse:
        """Makes exactly these people the group's members.

        Members of staff stay in the group, unless the caller is a member of staff.

        Raises:
            Refused: staff_protected, a member of staff would be added.
        """
        require_scope(caller, WRITE)
        group = find_group(identifier)
        wanted, unknown = _people(members, "members")
        with transaction.atomic():
            held = set(group.memberships.values_list("user_id", flat=True))
            _check_staff(wanted - held, caller)
            if not caller.manages_staff:
                wanted |= staff_among(held - wanted)
            removed = _remove(group, held - wanted)
            added = _add(group, wanted - held)
            _record_members(caller, group, wanted - held, held - wanted)
        return MembersResponse(added=added, removed=removed, unknown=unknown)


def _record(
    caller: Caller, action: str, group: Group, *, before: Values = None, after: Values = None
) -> None:
    record_change(
        actor=caller.name,
        action=action,
        target=f"group:{group.pk}",
        at=clock.now(),
        before=before,
        after=after,
    )


def _record_members(caller: Caller, group: Group, added: set[int], removed: set[int]) -> None:
    if added or removed:
        after = {"added_ids": sorted(added), "removed_ids": sorted(removed)}
        _record(caller, "group.members", group, after=after)


def find_group(identifier: str) -> Group:
    """Returns the group with this id or UUID.

    Raises:
        NotFound: unknown_group.
    """
    key = parse_identifier(identifier)
    if isinstance(key, UUID):
        group = Group.objects.filter(uuid=key).first()
    else:
        group = Group.objects.filter(pk=key or 0).first()
    if group is None:
        raise NotFound(f"there is no group {identifier}", code="unknown_group")
    return group


def clean_name(name: str) -> str:
    """Returns a name without spaces around it.

    Raises:
        InvalidRequest: the name is empty or contains a control character.
    """
    text = name.strip()
    if not text or not text.isprintable():
        detail = "must contain a visible character, and no control characters"
        raise InvalidRequest([FieldError("name", "invalid", detail)])
    return text


def _people(named: Sequence[int | str], field: str) -> tuple[set[int], list[int | str]]:
    """Returns the ids of the people who exist, and the names of the others."""
    if len(named) > MAX_MEMBERS:
        detail = f"at most {MAX_MEMBERS:,} a call"
        raise InvalidRequest([FieldError(field, "too_many", detail)])
    read: dict[int | str, Reference | None] = {name: read_reference(name) for name in named}
    found = find_people({ref for ref in read.values() if ref is not None})
    unknown = [name for name, ref in read.items() if ref is None or ref not in found]
    return {found[ref] for ref in read.values() if ref in found and ref is not None}, unknown


def _check_staff(ids: set[int], caller: Caller) -> None:
    if not caller.manages_staff and staff_among(ids):
        raise protected_staff_error()


def _add(group: Group, users: set[int]) -> int:
    before = group.memberships.count()
    GroupMembership.objects.bulk_create(
        [GroupMembership(group=group, user_id=user) for user in sorted(users)],
        ignore_conflicts=True,
        batch_size=_AT_ONCE,
    )
    return group.memberships.count() - before


def _remove(group: Group, users: set[int]) -> int:
    gone, some = 0, sorted(users)
    for start in range(0, len(some), _AT_ONCE):
        gone += group.memberships.filter(user_id__in=some[start : start + _AT_ONCE]).delete()[0]
    return gone


def _response(group: Group, members: int) -> GroupResponse:
    return GroupResponse(
        id=group.uuid,
        number=group.pk,
        name=group.name,
        kind=group.kind,
        members=members,
        created_at=group.created_at,
    )


def _name_taken(name: str) -> Conflict:
    return Conflict(f"a group {name!r} already exists", code="name_taken")
