"""ApiKeyService: issues, lists, rotates and revokes the keys of services."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Annotated, Any

import msgspec
from django.db import transaction

from directory.lookup import is_staff_row
from notifications.domain.callers import Caller, Network
from notifications.domain.errors import Conflict, FieldError, InvalidRequest, NotFound, Refused
from notifications.domain.identifiers import parse_identifier, parse_key
from notifications.features.access.callers import forget_callers
from notifications.features.access.principals import EVERY_SCOPE
from notifications.infra import clock
from notifications.infra.field_types import choice
from notifications.models import SCOPES, ApiKey
from notifications.models.audit.actions import Values, record_action, values_of

WRITE_SCOPE = "api-keys:write"
MOST_ADDRESSES = 50
LONGEST_OVERLAP_S = 7 * 24 * 3600


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

    holders: list[int]
    """The integer ids of the users who were shown a text of the key. Rotate the key when one of
    them leaves. Example: `[42]`"""

    addresses: list[str]
    """The networks from which the key may be used; empty for all. Example: `["192.0.2.0/24"]`"""

    last_used_at: datetime | None
    """When the present text of the key was last used (RFC 3339), or null."""

    previous_until: datetime | None
    """Until when the text before the last rotation is accepted, too (RFC 3339), or null."""

    previous_used_at: datetime | None
    """When the text before the last rotation was last used (RFC 3339), or null."""

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
        self,
        *,
        name: str,
        scopes: Sequence[str],
        kind: str = "live",
        addresses: Sequence[str] = (),
        caller: Caller,
    ) -> IssuedKeyResponse:
        """Creates a key.

        Raises:
            InvalidRequest: with every error of name, scopes, kind and addresses.
            Refused: missing_scope, when the caller lacks a scope that the key would have;
                wider_than_own; test_key.
        """
        _require_scope(caller)
        _check(name=name, scopes=scopes, kind=kind)
        networks = read_networks(addresses)
        _require_scopes(caller, scopes, kind)
        _require_networks(caller, networks)
        with transaction.atomic():
            key, text = ApiKey.make(
                name=name,
                scopes=sorted(set(scopes)),
                kind=kind,
                owner_id=caller.owner_id,
                addresses=networks,
            )
            key.holders = sorted({*key.holders, *people_behind(caller)})
            key.save(update_fields=["holders"])
            _log_action(caller, "api-key.issued", key, after=values_of(key))
        return _issued(key, text)

    def rotate(
        self, *, identifier: object, overlap_s: int = 0, caller: Caller
    ) -> IssuedKeyResponse:
        """Gives a key a new text; its id, name and scopes stay.

        overlap_s: for how long the old text is accepted, too, in seconds up to 7 days. A text
        before that one is refused at once.

        Raises:
            NotFound, Conflict (revoked), InvalidRequest (invalid).
            Refused (missing_scope, test_key, staff_key, wider_than_own).
        """
        _require_scope(caller)
        if not 0 <= overlap_s <= LONGEST_OVERLAP_S:
            detail = f"must be 0 to {LONGEST_OVERLAP_S:,}"
            raise InvalidRequest([FieldError("overlap_seconds", "invalid", detail)])
        with transaction.atomic():
            key = self._find(identifier)
            if key.revoked_at is not None:
                raise Conflict("a revoked key cannot be rotated: issue another", code="revoked")
            _require_scopes(caller, key.scopes, key.kind)
            _require_no_staff_owner(caller, key)
            _require_networks(caller, key.addresses)
            key.holders = sorted({*key.holders, *people_behind(caller)})
            before = values_of(key)
            now = clock.now()
            text = key.renew(until=now + timedelta(seconds=overlap_s) if overlap_s else None)
            forget_callers()
            _log_action(caller, "api-key.rotated", key, before=before, after=values_of(key))
        return _issued(key, text)

    def set_addresses(
        self, *, identifier: object, addresses: Sequence[str], caller: Caller
    ) -> ApiKeyResponse:
        """Sets the networks from which a key may be used; an empty list allows all addresses.

        Raises:
            InvalidRequest: invalid_network, too_many.
            NotFound, Refused (missing_scope, test_key, staff_key, wider_than_own).
        """
        _require_scope(caller)
        networks = read_networks(addresses)
        with transaction.atomic():
            key = self._find(identifier)
            _require_scopes(caller, key.scopes, key.kind)
            _require_no_staff_owner(caller, key)
            _require_networks(caller, key.addresses)
            _require_networks(caller, networks)
            before = values_of(key)
            key.addresses = networks
            key.save(update_fields=["addresses"])
            forget_callers()
            _log_action(caller, "api-key.addresses", key, before=before, after=values_of(key))
        return _to_response(key)

    def revoke(self, *, identifier: object, caller: Caller) -> None:
        """Revokes a key with all its texts, at once and for good. Repeating it changes nothing.

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


def person_of(caller: Caller) -> int:
    """Returns the id of the person who calls.

    Raises:
        Refused: person_required, for an API key and the command line.
    """
    if caller.is_service or caller.user_id is None:
        raise person_required()
    return caller.user_id


def person_required() -> Refused:
    """Returns the refusal of a caller that is no person: what a person has is theirs alone."""
    return Refused("only a person has this: use the token of a user", code="person_required")


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
    every = {EVERY_SCOPE} if caller.manages_staff else set()  # those of later releases, too
    lacking = [scope for scope in scopes if scope not in every and not caller.may(scope)]
    if lacking:
        raise Refused(
            f"the key has scopes that the caller lacks: {', '.join(lacking)}",
            code="missing_scope",
            scope=lacking[0],
        )
    if caller.is_test and kind != ApiKey.Kind.TEST:
        raise Refused("a test key can manage only test keys", code="test_key")


def read_networks(addresses: Sequence[str]) -> list[str]:
    """Returns networks in their usual spelling, without repetitions.

    Raises:
        InvalidRequest: invalid_network, too_many.
    """
    if len(addresses) > MOST_ADDRESSES:
        detail = f"at most {MOST_ADDRESSES} networks a key"
        raise InvalidRequest([FieldError("addresses", "too_many", detail)])
    found: list[str] = []
    errors: list[FieldError] = []
    for place, text in enumerate(addresses):
        try:
            found.append(str(_network(text.strip())))
        except ValueError:
            detail = "must be an address or a network, such as 192.0.2.7 or 2001:db8::/32"
            errors.append(FieldError(f"addresses.{place}", "invalid_network", detail))
    if errors:
        raise InvalidRequest(errors)
    return list(dict.fromkeys(found))


def _network(text: str) -> Network:
    """Returns a network; that of IPv4 addresses for one that is written as IPv6."""
    if "%" in text:
        raise ValueError("a network has no zone")
    found = ipaddress.ip_network(text)
    if isinstance(found, ipaddress.IPv6Network) and found.prefixlen >= 96:
        mapped = found.network_address.ipv4_mapped
        if mapped is not None:
            return ipaddress.ip_network((int(mapped), found.prefixlen - 96))
    return found


def _require_networks(caller: Caller, networks: Sequence[str]) -> None:
    """Refuses a key that could be used from where the caller's own key may not be."""
    if not caller.networks:
        return
    wanted = [ipaddress.ip_network(each) for each in networks]
    if not wanted or not all(caller.may_come_from_all(each) for each in wanted):
        raise Refused(
            "the key could be used from addresses that your own key is not allowed from: give it"
            " addresses within those of your own",
            code="wider_than_own",
        )


def _require_no_staff_owner(caller: Caller, key: ApiKey) -> None:
    """Refuses to change a staff member's key, except for admins and the same owner."""
    owner = key.owner
    if owner is None or caller.manages_staff or owner.pk == caller.owner_id:
        return
    if is_staff_row(owner):
        raise Refused(
            "this key belongs to a member of staff: only an admin may change it",
            code="staff_key",
        )


def _check(*, name: str, scopes: Sequence[str], kind: str) -> None:
    errors = []
    if not name.strip() or len(name) > 100 or "\x00" in name:
        errors.append(FieldError("name", "invalid", "must be 1 to 100 characters"))
    unknown = [scope for scope in scopes if scope not in SCOPES and scope != EVERY_SCOPE]
    if unknown:
        known = ", ".join([*SCOPES, EVERY_SCOPE])
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
