"""The roles of staff, and which columns of a user follow from them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from django.db import models

if TYPE_CHECKING:
    from directory.models.user import User

FIELDS = frozenset({"staff_role", "is_staff", "is_superuser"})


class StaffRole(models.TextChoices):
    """What a member of staff may do, the most rights first. A role of the platform is no such role.

    The rights are in `notifications.domain.staff_rights`.
    """

    ADMIN = "admin", "Administrator"
    OPERATOR = "operator", "Operator"
    AUTHOR = "author", "Author"
    ANALYST = "analyst", "Analyst"


def settle_staff(user: User, update_fields: Iterable[str] | None) -> set[str] | None:
    """Makes the three columns agree before a save: returns the fields to save.

    `staff_role` decides: `is_staff` is true where it is set, `is_superuser` where it is admin. A
    new user with one of Django's flags and no role becomes an administrator (`is_superuser`) or an
    analyst (`is_staff`), who may do the least. Of a stored user, the changed column counts.
    A break-glass account is one of an administrator, so it ends with that role.
    """
    names = None if update_fields is None else set(update_fields)
    if names is not None and FIELDS.isdisjoint(names):
        return names
    if names is None and not FIELDS.isdisjoint(user.get_deferred_fields()):
        return None
    if not _agrees(user):
        user.staff_role = _meant(user)
        user.is_staff = user.staff_role is not None
        user.is_superuser = user.staff_role == StaffRole.ADMIN
    if user.staff_role != StaffRole.ADMIN:
        user.break_glass = False
    return None if names is None else names | FIELDS | {"break_glass"}


def _agrees(user: User) -> bool:
    role = user.staff_role
    is_admin = role == StaffRole.ADMIN
    return bool(user.is_staff) is (role is not None) and bool(user.is_superuser) is is_admin


def _meant(user: User) -> str | None:
    """Returns the role that a contradiction means; asks the stored row what has changed."""
    role = user.staff_role or None
    if not user._state.adding:
        rows = type(user).objects.filter(pk=user.pk)
        stored = rows.values_list("staff_role", "is_staff", "is_superuser").first()
        if stored is not None:
            return _changed(user, role, *stored)
    return role or _of_flags(user.is_staff, user.is_superuser)


def _changed(
    user: User, role: str | None, stored: str | None, was_staff: bool, was_superuser: bool
) -> str | None:
    if role != stored:
        return role
    if user.is_staff is not was_staff and not user.is_staff:
        return None
    if user.is_superuser is not was_superuser:
        return StaffRole.ADMIN if user.is_superuser else StaffRole.ANALYST
    return role or _of_flags(user.is_staff, user.is_superuser)


def _of_flags(is_staff: bool, is_superuser: bool) -> str | None:
    if is_superuser:
        return StaffRole.ADMIN
    return StaffRole.ANALYST if is_staff else None
