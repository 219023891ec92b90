"""Finds the user that a request is about: the caller, or a user that the caller may act for."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Protocol

from directory.lookup import is_staff_row
from directory.models import User
from directory.references import (
    PERSON_FORMS,
    InvalidPersonFields,
    PersonKey,
    read_person,
    read_person_fields,
)
from notifications.domain.callers import Caller
from notifications.domain.errors import FieldError, InvalidRequest, NotFound, Refused
from notifications.features.access.service import missing_scope

WRITE_PEOPLE = "users:write"
PROTECTED = "staff_protected"


class Releasable(Protocol):
    """What a second person releases: a broadcast, a campaign or a series."""

    @property
    def created_by_id(self) -> int | None:
        """The author."""

    @property
    def involved_user_ids(self) -> Collection[int]:
        """All who wrote, changed or sent it."""


def reviewer_of(source: str, caller: Caller) -> User:
    """Returns the person who reviews something. source: what it is, e.g. `broadcast`.

    Raises:
        Refused: person_required, for an API key and the command line.
    """
    found = User.objects.filter(pk=caller.user_id).first() if caller.user_id else None
    if found is None:
        raise Refused(f"A key cannot review a {source}; sign in instead", code="person_required")
    return found


def check_second_person(source: str, row: Releasable, *, by: User) -> None:
    """Checks that a person may release something, or decide that it needs no approval.

    Raises:
        Refused: self_approval, where `by` wrote, changed or sent it.
    """
    if by.pk == row.created_by_id or by.pk in row.involved_user_ids:
        detail = f"A person who wrote, changed or sent the {source} cannot approve it"
        raise Refused(detail, code="self_approval")


def person_for(caller: Caller, identifier: object, *, scope: str) -> User:
    """Returns the user that `identifier` names: a key, or its text in a path or query.

    An empty identifier means the caller.

    Raises:
        InvalidRequest: required, when a service names no user; invalid_user.
        Refused: missing_scope, for another user without the scope; staff_protected, when
            users:write would change a member of staff and the caller is no admin.
        NotFound: unknown_user.
    """
    key = _key(caller, identifier)
    user = User.objects.find(key)
    if (user is None or user.pk != caller.user_id) and not caller.may(scope):
        raise missing_scope(scope)  # do not reveal whether the user exists
    if user is None:
        raise NotFound(f"there is no user {identifier}", code="unknown_user")
    if scope == WRITE_PEOPLE and is_protected(user, caller):
        raise protected_staff_error()
    return user


def keys_of(users: Iterable[PersonKey]) -> dict[PersonKey, int]:
    """Returns the ids of users, by the key that names them. An id may be that of no user."""
    named = set(users)
    numbers: dict[PersonKey, int] = {each: each for each in named if isinstance(each, int)}
    others = named - numbers.keys()
    return {**numbers, **(User.objects.ids_of(others) if others else {})}


def is_protected(user: User, caller: Caller) -> bool:
    """Returns whether a user is a member of staff whom this caller may not change.

    A caller that changes the addresses, devices or names of staff could gain the rights of staff.
    So only admins change others of staff; each member changes their own.
    """
    return is_staff_row(user) and not caller.manages_staff and user.pk != caller.user_id


def protected_staff_error() -> Refused:
    """Returns the refusal to change a member of staff."""
    return Refused("only an admin may change a member of staff", code=PROTECTED)


def read_person_key(
    user_id: object = None,
    external_id: object = None,
    *,
    written: bool = False,
    field: str = "user_id",
) -> PersonKey | None:
    """Returns the user that two fields of a request name; None when both are left out.

    written: they are query parameters. field: what the request calls `user_id`.

    Raises:
        InvalidRequest: invalid_user, invalid_external_id, or both fields are given.
    """
    named = read_person_fields(user_id, external_id, written=written)
    if isinstance(named, InvalidPersonFields):
        detail = named.detail.replace("user_id", field)
        path = field if named.field == "user_id" else named.field
        raise InvalidRequest([FieldError(path, named.code, detail)])
    return named


def _key(caller: Caller, identifier: object) -> PersonKey:
    if identifier in (None, ""):
        if caller.user_id is None:
            raise _user_id_error("required", f"a service must name the user: {PERSON_FORMS}")
        return caller.user_id
    key = read_person(identifier, written=True)
    if key is None:
        raise _user_id_error("invalid_user", f"must be {PERSON_FORMS}")
    return key


def _user_id_error(code: str, detail: str) -> InvalidRequest:
    return InvalidRequest([FieldError("user_id", code, detail)])
