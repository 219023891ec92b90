"""Whose things a caller asks for: their own, or those of somebody they may see to."""

from __future__ import annotations

from uuid import UUID

from directory.models import User
from notifications.domain.callers import Caller
from notifications.domain.errors import FieldError, InvalidRequest, NotFound
from notifications.domain.identifiers import parse_identifier
from notifications.services.api_keys import missing_scope


def person_for(caller: Caller, identifier: object, *, scope: str) -> User:
    """The person that `identifier` (id or uuid; empty: the caller) names.

    Raises:
        InvalidRequest: required, when a service names nobody; invalid_user.
        Refused: missing_scope, for somebody else without the scope.
        NotFound: unknown_user.
    """
    key = _key(caller, identifier)
    user = User.objects.find(key)
    if (user is None or user.pk != caller.user_id) and not caller.may(scope):
        raise missing_scope(scope)  # whether there is such a person is not theirs to know
    if user is None:
        raise NotFound(f"there is no user {identifier}", code="unknown_user")
    return user


def _key(caller: Caller, identifier: object) -> int | UUID:
    if identifier in (None, ""):
        if caller.user_id is None:
            raise _fault("required", "a service says whom it means: an integer id or a UUID")
        return caller.user_id
    key = parse_identifier(identifier)
    if key is None:
        raise _fault("invalid_user", "must be an integer id or a UUID")
    return key


def _fault(code: str, detail: str) -> InvalidRequest:
    return InvalidRequest([FieldError("user_id", code, detail)])
