"""Whose things a caller asks for: their own, or those of somebody they may see to."""

from __future__ import annotations

from directory.models import User
from directory.references import (
    HOW,
    Misnamed,
    PersonKey,
    person_named,
    read_person,
)
from notifications.domain.callers import Caller
from notifications.domain.errors import FieldError, InvalidRequest, NotFound, Refused
from notifications.features.access.service import missing_scope

WRITE_PEOPLE = "users:write"


def person_for(caller: Caller, identifier: object, *, scope: str) -> User:
    """The person that `identifier` names: a key, or one as a path or query writes it; empty: the
    caller.

    Raises:
        InvalidRequest: required, when a service names nobody; invalid_user.
        Refused: missing_scope, for somebody else without the scope; staff_is_protected, where
            users:write would change a member of staff and the caller is none.
        NotFound: unknown_user.
    """
    key = _key(caller, identifier)
    user = User.objects.find(key)
    if (user is None or user.pk != caller.user_id) and not caller.may(scope):
        raise missing_scope(scope)  # whether there is such a person is not theirs to know
    if user is None:
        raise NotFound(f"there is no user {identifier}", code="unknown_user")
    if scope == WRITE_PEOPLE and is_protected(user, caller):
        raise staff_is_protected()
    return user


def is_protected(user: User, caller: Caller) -> bool:
    """Whether a person is a member of staff whom this caller may not change: their addresses,
    devices and names decide who gets at what staff may do."""
    return (user.is_staff or user.is_superuser) and not caller.is_staff


def staff_is_protected() -> Refused:
    """The refusal to change a member of staff."""
    return Refused("members of staff are changed by staff only", code="staff_is_protected")


def whom(
    user_id: object = None,
    external_id: object = None,
    *,
    written: bool = False,
    field: str = "user_id",
) -> PersonKey | None:
    """Whom the two fields (or, `written`, the two query parameters) of a request mean; None where
    both are left out. field: what the request calls `user_id`.

    Raises:
        InvalidRequest: invalid_user, invalid_external_id, or both are given.
    """
    named = person_named(user_id, external_id, written=written)
    if isinstance(named, Misnamed):
        detail = named.detail.replace("user_id", field)
        path = field if named.field == "user_id" else named.field
        raise InvalidRequest([FieldError(path, named.code, detail)])
    return named


def _key(caller: Caller, identifier: object) -> PersonKey:
    if identifier in (None, ""):
        if caller.user_id is None:
            raise _fault("required", f"a service says whom it means: {HOW}")
        return caller.user_id
    key = read_person(identifier, written=True)
    if key is None:
        raise _fault("invalid_user", f"must be {HOW}")
    return key


def _fault(code: str, detail: str) -> InvalidRequest:
    return InvalidRequest([FieldError("user_id", code, detail)])
