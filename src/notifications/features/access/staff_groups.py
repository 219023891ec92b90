"""StaffGroupService: groups that limit their members to some categories."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from django.db import IntegrityError, transaction
from django.db.models import Count

from directory.models import User
from notifications.domain.callers import Caller
from notifications.domain.errors import Conflict, FieldError, InvalidRequest, NotFound
from notifications.domain.identifiers import parse_key
from notifications.domain.scopes import STAFF_SCOPE
from notifications.features.access.callers import forget_callers
from notifications.features.access.service import check_test_key, require_scope
from notifications.features.access.staff import check_rights, find_staff, staff_responses
from notifications.features.access.staff_schemas import (
    MOST_CATEGORIES,
    MOST_MEMBERS,
    StaffGroupResponse,
    StaffMemberResponse,
)
from notifications.infra import clock
from notifications.models import Category, StaffGroup, StaffGroupCategory, StaffGroupMember
from notifications.models.audit.actions import Values, record_action


class StaffGroupService:
    """Reads and writes groups of staff. Every change is logged with before and after.

    A member of groups may write and broadcast templates of their categories alone. A member of no
    group is not limited, and no group limits an admin. A change holds at once in this process and
    within a second in others.
    """

    def list(self, *, caller: Caller, after: int = 0, limit: int = 50) -> list[StaffGroupResponse]:
        """Returns groups by ascending id."""
        require_scope(caller, STAFF_SCOPE)
        rows = StaffGroup.objects.filter(pk__gt=after).order_by("pk")
        return _responses(list(rows[: max(1, limit)]))

    def get(self, *, identifier: str, caller: Caller) -> StaffGroupResponse:
        """Returns one group.

        Raises:
            NotFound: unknown_staff_group.
        """
        require_scope(caller, STAFF_SCOPE)
        return _responses([_find(identifier)])[0]

    def create(self, *, name: str, categories: Sequence[str], caller: Caller) -> StaffGroupResponse:
        """Creates a group without members.

        Raises:
            InvalidRequest: invalid (name), unknown_category, too_many.
            Conflict: name_taken.
            Refused: missing_scope, test_key.
        """
        _require_write(caller)
        rows = _categories(categories)
        try:
            with transaction.atomic():
                group = StaffGroup.objects.create(name=_clean_name(name))
                _set_categories(group, rows)
                _log(caller, "staff-group.created", group, after=_values(group))
        except IntegrityError as error:
            raise _name_taken(name) from error
        return _responses([group])[0]

    def change(
        self, *, identifier: str, name: str, categories: Sequence[str], caller: Caller
    ) -> StaffGroupResponse:
        """Sets the name and the categories of a group.

        Raises:
            NotFound: unknown_staff_group.
            InvalidRequest, Conflict: as `create`.
            Refused: missing_scope, test_key, role_above_own (of a member).
        """
        _require_write(caller)
        rows = _categories(categories)
        try:
            with transaction.atomic():
                group = _find(identifier, lock=True)
                _check_members(caller, group)
                before = _values(group)
                group.name = _clean_name(name)
                group.save(update_fields=["name"])
                _set_categories(group, rows)
                _log(caller, "staff-group.changed", group, before=before, after=_values(group))
        except IntegrityError as error:
            raise _name_taken(name) from error
        return _responses([group])[0]

    def delete(self, *, identifier: str, caller: Caller) -> None:
        """Deletes a group that has no members: its end must not lift their limit unseen.

        Raises:
            NotFound: unknown_staff_group.
            Conflict: group_in_use.
            Refused: missing_scope, test_key.
        """
        _require_write(caller)
        with transaction.atomic():
            group = _find(identifier, lock=True)
            if group.member_rows.exists():
                detail = "the group has members, who would no longer be limited: remove them first"
                raise Conflict(detail, code="group_in_use")
            _log(caller, "staff-group.deleted", group, before=_values(group))
            group.delete()

    def members(
        self, *, identifier: str, caller: Caller, after: int = 0, limit: int = 50
    ) -> Sequence[StaffMemberResponse]:
        """Returns the members of a group by ascending id.

        Raises:
            NotFound: unknown_staff_group.
        """
        require_scope(caller, STAFF_SCOPE)
        rows = _find(identifier).member_rows.filter(user_id__gt=after).order_by("user_id")
        ids = list(rows.values_list("user_id", flat=True)[: max(1, limit)])
        return staff_responses(list(User.objects.filter(pk__in=ids).order_by("pk")))

    def set_members(
        self, *, identifier: str, user_ids: Sequence[int], caller: Caller
    ) -> StaffGroupResponse:
        """Makes exactly these members of staff the members of a group.

        Raises:
            NotFound: unknown_staff_group.
            InvalidRequest: not_staff, too_many.
            Refused: missing_scope, test_key, role_above_own (of a member).
        """
        _require_write(caller)
        if len(user_ids) > MOST_MEMBERS:
            detail = f"at most {MOST_MEMBERS:,} a group"
            raise InvalidRequest([FieldError("user_ids", "too_many", detail)])
        with transaction.atomic():
            group = _find(identifier, lock=True)
            _check_members(caller, group)
            check_rights(caller, *(user.staff_role for user in find_staff(user_ids)))
            before = _values(group)
            group.member_rows.exclude(user_id__in=user_ids).delete()
            StaffGroupMember.objects.bulk_create(
                [StaffGroupMember(group=group, user_id=each) for each in sorted(set(user_ids))],
                ignore_conflicts=True,
            )
            _log(caller, "staff-group.members", group, before=before, after=_values(group))
        return _responses([group])[0]


def _require_write(caller: Caller) -> None:
    require_scope(caller, STAFF_SCOPE)
    check_test_key(caller, is_test=False)


def _find(identifier: str, *, lock: bool = False) -> StaffGroup:
    rows = StaffGroup.objects.select_for_update() if lock else StaffGroup.objects.all()
    group = rows.filter(pk=parse_key(identifier) or 0).first()
    if group is None:
        raise NotFound(f"there is no group of staff {identifier}", code="unknown_staff_group")
    return group


def _clean_name(name: str) -> str:
    text = name.strip()
    if not text or not text.isprintable() or len(text) > 100:
        detail = "must be 1 to 100 characters, without control characters"
        raise InvalidRequest([FieldError("name", "invalid", detail)])
    return text


def _name_taken(name: str) -> Conflict:
    return Conflict(f"a group of staff {name.strip()!r} exists already", code="name_taken")


def _categories(keys: Sequence[str]) -> list[Category]:
    if len(keys) > MOST_CATEGORIES:
        detail = f"at most {MOST_CATEGORIES} a group"
        raise InvalidRequest([FieldError("categories", "too_many", detail)])
    found = list(Category.objects.filter(key__in=set(keys), retired_at__isnull=True))
    unknown = sorted(set(keys) - {row.key for row in found})
    if unknown:
        detail = f"there is no category {unknown[0]!r}: GET /api/v1/categories lists them"
        raise InvalidRequest([FieldError("categories", "unknown_category", detail)])
    return found


def _set_categories(group: StaffGroup, rows: Collection[Category]) -> None:
    wanted = {row.pk for row in rows}
    group.category_rows.exclude(category_id__in=wanted).delete()
    StaffGroupCategory.objects.bulk_create(
        [StaffGroupCategory(group=group, category_id=each) for each in sorted(wanted)],
        ignore_conflicts=True,
    )


def _check_members(caller: Caller, group: StaffGroup) -> None:
    """Refuses a change for members who have more rights than the caller: it could widen them."""
    roles = group.member_rows.values_list("user__staff_role", flat=True).distinct()
    check_rights(caller, *roles)


def _values(group: StaffGroup) -> dict[str, Any]:
    categories = group.category_rows.order_by("category__key")
    members = group.member_rows.order_by("user_id")
    return {
        "name": group.name,
        "categories": list(categories.values_list("category__key", flat=True)),
        "user_ids": list(members.values_list("user_id", flat=True)),
    }


def _log(
    caller: Caller, action: str, group: StaffGroup, *, before: Values = None, after: Values = None
) -> None:
    record_action(
        actor=caller.name,
        action=action,
        target=f"staff-group:{group.pk}",
        at=clock.now(),
        before=before,
        after=after,
    )
    forget_callers()


def _responses(groups: Sequence[StaffGroup]) -> list[StaffGroupResponse]:
    ids = [group.pk for group in groups]
    keys: dict[int, list[str]] = {pk: [] for pk in ids}
    rows = StaffGroupCategory.objects.filter(group_id__in=ids).order_by("category__key")
    for group_id, key in rows.values_list("group_id", "category__key"):
        keys[group_id].append(key)
    counts = StaffGroupMember.objects.filter(group_id__in=ids).values_list("group_id")
    sizes = dict(counts.annotate(size=Count("pk")).order_by("group_id"))
    return [
        StaffGroupResponse(
            id=group.pk,
            name=group.name,
            categories=keys[group.pk],
            members=sizes.get(group.pk, 0),
            created_at=group.created_at,
        )
        for group in groups
    ]
