"""ApiKeyService: issues, lists, rotates and revokes the keys of services."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any

import msgspec
from django.db import transaction

from notifications.domain.callers import Caller
from notifications.domain.errors import Conflict, FieldError, InvalidRequest, NotFound, Refused
from notifications.domain.identifiers import parse_identifier, parse_key
from notifications.features.access.authentication import ALL_SCOPES
from notifications.features.access.callers import forget_callers
from notifications.infra import clock
from notifications.infra.field_types import choice
from notifications.models import SCOPES, ApiKey
from notifications.models.audit.actions import Values, record_action, values_of

WRITE_SCOPE = "api-keys:write"


KEY_KIND = choice(
    "ApiKeyKind",
    ApiKey.Kind.values,
    "The kind of an API key. The messages of a `test` key end in the sandbox.",
)
SCOPE = choice("Scope", ("*", *SCOPES), "A permission. `*` stands for every scope.")


class ApiKeyResponse(msgspec.Struct, kw_only=True):
    """An API key, without its text."""

    id: int
    """The integer id of the key. Example: `7`"""

    name: str
    """What the key is for. Example: `billing service`"""

    prefix: str
    """The part of the key's text that is stored and shown. Example: `Xk29ab`"""

    kind: Annotated[str, KEY_KIND]

    scopes: list[Annotated[str, SCOPE]]
    """The scopes of the key. Example: `["notifications:send"]`"""

    owner_id: int | None
    """The integer id of the user who issued the key, or null. Example: `42`"""

    created_at: datetime
    """When the key was issued (RFC 3339)."""

    last_used_at: datetime | None
    """When the key was last used (RFC 3339), or null."""

    revoked_at: datetime | None
    """When the key was revoked (RFC 3339), or null."""


class IssuedKeyResponse(ApiKeyResponse, kw_only=True):
    """An API key with its text, which is shown once."""

    key: str | None
    """The text of the key; null when an `Idempotency-Key` replays the response.
    Example: `ck_live_Xk29ab_3vJ8`"""


class ApiKeyService:
    """Manages API keys. A caller cannot give a key more scopes than the caller has."""

    def list(self, *, caller: Caller, after: int = 0, limit: int = 50) -> list[ApiKeyResponse]:
        """Returns keys by ascending id, including revoked ones."""
        _require_scope(caller)
        return [
            _to_response(key) for key in ApiKey.objects.filter(pk__gt=after).order_by("pk")[:limit]
        ]

    def issue(
        self, *, name: str, scopes: Sequence[str], kind: str = "live", caller: Caller
    ) -> IssuedKeyResponse:
        """Creates a key.

        Raises:
            InvalidRequest: with every error of name, scopes and kind.
            Refused: missing_scope, when the caller lacks a scope that the key would have.
        """
        _require_scope(caller)
        _check(name=name, scopes=scopes, kind=kind)
        _require_scopes(caller, scopes, kind)
        with transaction.atomic():
            key, text = ApiKey.make(
                name=name, scopes=sorted(set(scopes)), kind=kind, owner_id=caller.owner_id
            )
            key.holders = sorted({*key.holders, *people_behind(caller)})
            key.save(update_fields=["holders"])
            _log_action(caller, "api-key.issued", key, after=values_of(key))
        return _issued(key, text)

    def rotate(self, *, identifier: object, caller: Caller) -> IssuedKeyResponse:
        """Gives a key a new text; its id, name and scopes stay. The old text is invalid at once.

        Raises:
            NotFound, Conflict (revoked), Refused (missing_scope, test_key, staff_key).
        """
        _require_scope(caller)
        with transaction.atomic():
            key = self._find(identifier)
            if key.revoked_at is not None:
                raise Conflict("a revoked key cannot be rotated: issue another", code="revoked")
            _require_scopes(caller, key.scopes, key.kind)
            _require_no_staff_owner(caller, key)
            key.holders = sorted({*key.holders, *people_behind(caller)})
            text = key.renew()
            forget_callers()
            _log_action(caller, "api-key.rotated", key)
        return _issued(key, text)

    def revoke(self, *, identifier: object, caller: Caller) -> None:
        """Revokes a key at once and for good. Revoking it again changes nothing.

        Raises:
            NotFound, Refused (missing_scope, test_key, staff_key).
        """
        _require_scope(caller)
        with transaction.atomic():
            key = self._find(identifier)
            _require_scopes(caller, key.scopes, key.kind)
            _require_no_staff_owner(caller, key)
            if key.revoked_at is None:
                key.revoked_at = clock.now()
                key.save(update_fields=["revoked_at"])
                forget_callers()
                _log_action(caller, "api-key.revoked", key, before=values_of(key))

    def _find(self, identifier: object) -> ApiKey:
        number = parse_identifier(identifier)
        rows = ApiKey.objects.select_for_update(of=("self",)).select_related("owner")
        key = rows.filter(pk=number).first() if isinstance(number, int) else None
        if key is None:
            raise NotFound(f"there is no API key {identifier}", code="unknown_api_key")
        return key


def people_behind(caller: Caller) -> set[int]:
    """Returns the ids of the users who may be the caller.

    For a user, that is the user. For a key, it is its owner and all users who were ever shown its
    text; the set is empty for a key that belongs to no user.
    """
    if caller.user_id is not None:
        return {caller.user_id}
    number = parse_key(caller.name.removeprefix("key:"))
    key = ApiKey.objects.filter(pk=number).first() if number else None
    return {*key.holders, key.owner_id} - {None} if key else set()


def require_scope(caller: Caller, scope: str) -> None:
    """Checks that the caller has a scope.

    Raises:
        Refused: missing_scope.
    """
    if not caller.may(scope):
        raise missing_scope(scope)


def _require_scope(caller: Caller) -> None:
    if not caller.may(WRITE_SCOPE):
        raise missing_scope(WRITE_SCOPE)


def missing_scope(scope: str) -> Refused:
    """Returns the refusal that names the missing scope."""
    return Refused(
        f"this needs the scope {scope}: ask an administrator for a key that has it",
        code="missing_scope",
        scope=scope,
    )


def check_test_key(caller: Caller, *, is_test: bool) -> None:
    """Refuses a test key that would change anything but test notifications.

    Raises:
        Refused: test_key.
    """
    if caller.is_test and not is_test:
        detail = "a test key can change only test notifications: use a live key"
        raise Refused(detail, code="test_key")


def _require_scopes(caller: Caller, scopes: Sequence[str], kind: str) -> None:
    lacking = [scope for scope in scopes if not caller.may(scope)]
    if lacking:
        raise Refused(
            f"the key has scopes that the caller lacks: {', '.join(lacking)}",
            code="missing_scope",
            scope=lacking[0],
        )
    if caller.is_test and kind != ApiKey.Kind.TEST:
        raise Refused("a test key can manage only test keys", code="test_key")


def _require_no_staff_owner(caller: Caller, key: ApiKey) -> None:
    """Refuses to change a staff member's key, except for staff and the same owner."""
    owner = key.owner
    if owner is None or caller.is_staff or owner.pk == caller.owner_id:
        return
    if owner.is_staff or owner.is_superuser:
        raise Refused(
            "this key belongs to a member of staff: only staff may rotate or revoke it",
            code="staff_key",
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


def _log_action(
    caller: Caller, action: str, key: ApiKey, *, before: Values = None, after: Values = None
) -> None:
    record_action(
        actor=caller.name,
        action=action,
        target=f"key:{key.pk}",
        at=clock.now(),
        before=before,
        after=after,
    )


def _to_response(key: ApiKey) -> ApiKeyResponse:
    return ApiKeyResponse(**_fields(key))


def _issued(key: ApiKey, text: str) -> IssuedKeyResponse:
    return IssuedKeyResponse(**_fields(key), key=text)


def _fields(key: ApiKey) -> dict[str, Any]:
    return {name: getattr(key, name) for name in ApiKeyResponse.__struct_fields__}


def check_operator(caller: Caller) -> None:
    """Refuses a caller without the scope `operations`."""
    if not caller.may("operations"):
        raise Refused("this needs the scope operations", code="missing_scope", scope="operations")
