"""ApiKeyService: issue, list, rotate and revoke the keys of services."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec
from django.db import transaction

from notifications.domain.callers import Caller
from notifications.domain.errors import Conflict, FieldError, InvalidRequest, NotFound, Refused
from notifications.domain.identifiers import parse_identifier, parse_key
from notifications.features.access.authentication import ALL_SCOPES
from notifications.infra import clock
from notifications.models import SCOPES, ApiKey, OperatorAction

WRITE_SCOPE = "api-keys:write"


class ApiKeyResponse(msgspec.Struct, kw_only=True):
    """A key, without its text."""

    id: int
    name: str
    prefix: str
    kind: str
    scopes: list[str]
    owner_id: int | None
    created_at: datetime
    last_used_at: datetime | None
    revoked_at: datetime | None


class IssuedKeyResponse(ApiKeyResponse, kw_only=True):
    """A key with its text, which is shown this once; null where an Idempotency-Key replays it."""

    key: str | None


class ApiKeyService:
    """Everything that can be done with API keys. Nobody hands out more than they hold."""

    def list(self, *, caller: Caller, after: int = 0, limit: int = 50) -> list[ApiKeyResponse]:
        """Keys by rising id, revoked ones too."""
        _demand_scope(caller)
        return [_answer(key) for key in ApiKey.objects.filter(pk__gt=after).order_by("pk")[:limit]]

    def issue(
        self, *, name: str, scopes: Sequence[str], kind: str = "live", caller: Caller
    ) -> IssuedKeyResponse:
        """Makes a key.

        Raises:
            InvalidRequest: with every error of name, scopes and kind.
            Refused: missing_scope, when the caller lacks a scope that the key would hold.
        """
        _demand_scope(caller)
        _check(name=name, scopes=scopes, kind=kind)
        _demand_no_more_than_held(caller, scopes, kind)
        with transaction.atomic():
            key, text = ApiKey.make(
                name=name, scopes=sorted(set(scopes)), kind=kind, owner_id=caller.owner_id
            )
            key.holders = sorted({*key.holders, *people_behind(caller)})
            key.save(update_fields=["holders"])
            _note(caller, "api-key.issued", key)
        return _issued(key, text)

    def rotate(self, *, identifier: object, caller: Caller) -> IssuedKeyResponse:
        """Gives a key a new text under its old id, name and scopes; the old text ends at once.

        Raises:
            NotFound, Conflict (revoked), Refused (missing_scope, test_key, stronger_key).
        """
        _demand_scope(caller)
        with transaction.atomic():
            key = self._find(identifier)
            if key.revoked_at is not None:
                raise Conflict("a revoked key cannot be rotated: issue another", code="revoked")
            _demand_no_more_than_held(caller, key.scopes, key.kind)
            _demand_no_staff_behind(caller, key)
            key.holders = sorted({*key.holders, *people_behind(caller)})
            text = key.renew()
            _note(caller, "api-key.rotated", key)
        return _issued(key, text)

    def revoke(self, *, identifier: object, caller: Caller) -> None:
        """Ends a key at once and for good; to revoke it again changes nothing.

        Raises:
            NotFound, Refused (missing_scope, test_key, stronger_key).
        """
        _demand_scope(caller)
        with transaction.atomic():
            key = self._find(identifier)
            _demand_no_more_than_held(caller, key.scopes, key.kind)
            _demand_no_staff_behind(caller, key)
            if key.revoked_at is None:
                key.revoked_at = clock.now()
                key.save(update_fields=["revoked_at"])
                _note(caller, "api-key.revoked", key)

    def _find(self, identifier: object) -> ApiKey:
        number = parse_identifier(identifier)
        rows = ApiKey.objects.select_for_update(of=("self",)).select_related("owner")
        key = rows.filter(pk=number).first() if isinstance(number, int) else None
        if key is None:
            raise NotFound(f"there is no API key {identifier}", code="unknown_api_key")
        return key


def people_behind(caller: Caller) -> set[int]:
    """The ids of the people who may be the one that calls: oneself, or all who were ever shown the
    key. Nobody, for a key that belongs to no person."""
    if caller.user_id is not None:
        return {caller.user_id}
    number = parse_key(caller.name.removeprefix("key:"))
    key = ApiKey.objects.filter(pk=number).first() if number else None
    return {*key.holders, key.owner_id} - {None} if key else set()


def _demand_scope(caller: Caller) -> None:
    if not caller.may(WRITE_SCOPE):
        raise missing_scope(WRITE_SCOPE)


def missing_scope(scope: str) -> Refused:
    """The refusal that names what is missing."""
    return Refused(
        f"this needs the scope {scope}: ask an administrator for a key that has it",
        code="missing_scope",
        scope=scope,
    )


def keep_to_tests(caller: Caller, *, is_test: bool) -> None:
    """Nothing that people are sent is touched by a test key.

    Raises:
        Refused: test_key.
    """
    if caller.is_test and not is_test:
        detail = "a test key reads what is sent to people, and changes only tests: use a live key"
        raise Refused(detail, code="test_key")


def _demand_no_more_than_held(caller: Caller, scopes: Sequence[str], kind: str) -> None:
    lacking = [scope for scope in scopes if not caller.may(scope)]
    if lacking:
        raise Refused(
            f"a key reaches no key that holds more than itself: {', '.join(lacking)}",
            code="missing_scope",
            scope=lacking[0],
        )
    if caller.is_test and kind != ApiKey.Kind.TEST:
        raise Refused("a test key reaches test keys only", code="test_key")


def _demand_no_staff_behind(caller: Caller, key: ApiKey) -> None:
    """A key of a member of staff is for staff, or for another key of the same person."""
    owner = key.owner
    if owner is None or caller.is_staff or owner.pk == caller.owner_id:
        return
    if owner.is_staff or owner.is_superuser:
        raise Refused(
            "this key belongs to a member of staff: it is ended and renewed by staff only",
            code="stronger_key",
        )


def _check(*, name: str, scopes: Sequence[str], kind: str) -> None:
    errors = []
    if not name.strip() or len(name) > 100 or "\x00" in name:
        errors.append(FieldError("name", "invalid", "must be 1 to 100 characters"))
    unknown = [scope for scope in scopes if scope not in SCOPES and scope != ALL_SCOPES]
    if unknown:
        known = ", ".join([*SCOPES, ALL_SCOPES])
        errors.append(
            FieldError("scopes", "unknown_scope", f"{unknown[0]!r} is not one of {known}")
        )
    if kind not in ApiKey.Kind.values:
        errors.append(FieldError("kind", "invalid_kind", "must be live or test"))
    if errors:
        raise InvalidRequest(errors)


def _note(caller: Caller, action: str, key: ApiKey) -> None:
    OperatorAction.objects.create(
        actor=caller.name, action=action, target=f"key:{key.pk}", at=clock.now()
    )


def _answer(key: ApiKey) -> ApiKeyResponse:
    return ApiKeyResponse(**_fields(key))


def _issued(key: ApiKey, text: str) -> IssuedKeyResponse:
    return IssuedKeyResponse(**_fields(key), key=text)


def _fields(key: ApiKey) -> dict[str, Any]:
    return {name: getattr(key, name) for name in ApiKeyResponse.__struct_fields__}


def check_operator(caller: Caller) -> None:
    """Refuses who may not operate the service."""
    if not caller.may("operations"):
        raise Refused("this needs the scope operations", code="missing_scope", scope="operations")
