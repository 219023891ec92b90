"""StaffService: who is a member of staff, and with which role."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence

from django.db import transaction

from directory.models import StaffRole, User
from notifications.domain.callers import Caller
from notifications.domain.errors import Conflict, FieldError, InvalidRequest, NotFound, Refused
from notifications.domain.scopes import STAFF_SCOPE
from notifications.domain.staff_rights import ADMIN, rights_of
from notifications.features.access.callers import forget_callers
from notifications.features.access.persons import person_for
from notifications.features.access.service import check_test_key, require_scope
from notifications.features.access.staff_schemas import StaffMemberResponse
from notifications.infra import clock
from notifications.models import StaffGroupMember
from notifications.models.audit.actions import record_action


class StaffService:
    """Lists staff, and gives and ends roles. Every change is logged with before and after.

    The process that made a change applies it at once, others within a second.
    """

    def list(
        self, *, caller: Caller, role: str = "", after: int = 0, limit: int = 50
    ) -> list[StaffMemberResponse]:
        """Returns members of staff by ascending id. role: only those with this role.

        Raises:
            Refused: missing_scope.
        """
        require_scope(caller, STAFF_SCOPE)
        rows = User.objects.filter(staff_role__isnull=False, pk__gt=after).order_by("pk")
        if role:
            rows = rows.filter(staff_role=role)
        return staff_responses(list(rows[: max(1, limit)]))

    def get(self, *, identifier: object, caller: Caller) -> StaffMemberResponse:
        """Returns one member of staff.

        Raises:
            Refused (missing_scope), NotFound (unknown_user, not_staff).
        """
        require_scope(caller, STAFF_SCOPE)
        user = person_for(caller, identifier, scope=STAFF_SCOPE)
        if user.staff_role is None:
            raise NotFound(f"user {identifier} is no member of staff", code="not_staff")
        return staff_responses([user])[0]

    def set_role(
        self, *, identifier: object, role: str | None, caller: Caller
    ) -> StaffMemberResponse:
        """Gives a user a role, or ends the membership of staff (None).

        The caller must have all rights of the role that is given and of the one that is ended.

        Raises:
            InvalidRequest: invalid_role.
            NotFound: unknown_user.
            Refused: missing_scope, role_above_own, wider_than_own, test_key.
            Conflict: last_admin.
        """
        require_scope(caller, STAFF_SCOPE)
        check_test_key(caller, is_test=False)
        if role is not None and role not in StaffRole.values:
            known = ", ".join(StaffRole.values)
            detail = f"must be one of {known}, or null"
            raise InvalidRequest([FieldError("staff_role", "invalid_role", detail)])
        user = person_for(caller, identifier, scope=STAFF_SCOPE)
        with transaction.atomic():
            user = User.objects.select_for_update().get(pk=user.pk)
            before, values = user.staff_role, _values(user)
            check_rights(caller, before, role)
            if role is not None:
                check_everywhere(caller)
            if before == role:
                return staff_responses([user])[0]
            if role != ADMIN:
                check_other_admin(user)
            user.staff_role = role
            user.save(update_fields=["staff_role"])
            if role is None:
                StaffGroupMember.objects.filter(user=user).delete()
            record_action(
                actor=caller.name,
                action="staff.role",
                target=f"user:{user.pk}",
                at=clock.now(),
                subject_id=user.pk,
                before=values,
                after=_values(user),
            )
            forget_callers()
        return staff_responses([user])[0]


def _values(user: User) -> dict[str, object]:
    """Returns what a change of the role changes, for the audit log."""
    ends = {"break_glass": True} if user.break_glass else {}
    return {"staff_role": user.staff_role, **ends}


def has_rights(caller: Caller, *roles: str | None) -> bool:
    """Returns whether a caller has all rights of these roles, and is limited by no group."""
    lacking = frozenset().union(*map(rights_of, roles)) - caller.scopes
    return not lacking and (caller.categories is None or not any(roles))


def check_rights(caller: Caller, *roles: str | None) -> None:
    """Checks that a caller has all rights of these roles, and is limited by no group.

    Raises:
        Refused: role_above_own.
    """
    if not has_rights(caller, *roles):
        raise Refused(
            "this changes the rights of a role that has more rights than you: ask an admin",
            code="role_above_own",
        )


def check_everywhere(caller: Caller) -> None:
    """Refuses a key with networks to make members of staff, who may come from everywhere.

    Raises:
        Refused: wider_than_own.
    """
    if caller.networks:
        raise Refused(
            "your key is limited to some networks, and a member of staff is not: use a key without"
            " addresses, or sign in",
            code="wider_than_own",
        )


def check_other_admin(user: User) -> None:
    """Checks, in the caller's transaction, that an active admin is left without this user.

    Raises:
        Conflict: last_admin.
    """
    if user.staff_role != ADMIN or not user.is_active:
        return
    rows = User.objects.select_for_update().filter(staff_role=ADMIN, is_active=True)
    if set(rows.order_by("pk").values_list("pk", flat=True)) <= {user.pk}:
        raise Conflict(
            "this is the last active admin: make another user an admin first", code="last_admin"
        )


def check_an_admin_is_left(changed: Iterable[User]) -> None:
    """Checks, after some users were written, that they did not include the last active admin.

    Raises:
        Conflict: last_admin.
    """
    if any(user.staff_role == ADMIN and not user.is_active for user in changed):
        # Locked, so that of two requests at once one sees what the other has changed.
        rows = User.objects.select_for_update().filter(staff_role=ADMIN).order_by("pk")
        if not any(rows.values_list("is_active", flat=True)):
            raise Conflict(
                "no active admin would be left: make another user an admin first",
                code="last_admin",
            )


def find_staff(ids: Sequence[int]) -> list[User]:
    """Returns the members of staff with these ids.

    Raises:
        InvalidRequest: not_staff, for ids of others.
    """
    found = list(User.objects.filter(pk__in=set(ids), staff_role__isnull=False))
    others = sorted(set(ids) - {user.pk for user in found})
    if others:
        detail = f"{others[0]} is no member of staff: give the user a role first"
        raise InvalidRequest([FieldError("user_ids", "not_staff", detail)])
    return found


def staff_responses(users: Sequence[User]) -> list[StaffMemberResponse]:
    """Returns what the API shows of members of staff, in order. Makes one query."""
    ids = [user.pk for user in users]
    groups: dict[int, list[int]] = defaultdict(list)
    rows = StaffGroupMember.objects.filter(user_id__in=ids).order_by("group_id")
    for user_id, group_id in rows.values_list("user_id", "group_id"):
        groups[user_id].append(group_id)
    return [
        StaffMemberResponse(
            user_id=user.pk,
            uuid=user.uuid,
            username=user.username,
            staff_role=user.staff_role,
            is_active=user.is_active,
            group_ids=groups[user.pk],
        )
        for user in users
    ]
