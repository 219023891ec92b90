"""UserService: reads and writes users, which the platform synchronizes with its own data."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Any
from uuid import UUID

import msgspec
from django.db import IntegrityError, transaction
from django.db.models import Q

from directory.imports.import_rows import Line, LineFault, read_line
from directory.lookup import find_people, read_reference
from directory.models import ContactPoint, GroupMembership, User, normalise_address
from directory.models.contact import ContactKind
from directory.models.search_token import people_matching
from directory.people import UpsertReport, upsert_people
from directory.references import ExternalId, read_person
from notifications.domain.callers import Caller
from notifications.domain.errors import Conflict, FieldError, InvalidRequest
from notifications.features.access.callers import forget_callers
from notifications.features.access.persons import PROTECTED, person_for, protected_staff_error
from notifications.features.access.service import require_scope
from notifications.features.access.staff import check_an_admin_is_left
from notifications.features.people.schemas import (
    ContactPointResponse,
    GroupName,
    UserResponse,
    UsersResponse,
)
from notifications.features.preferences.consents import set_consent_of
from notifications.features.sending.schemas import RejectionResponse
from notifications.infra import clock
from notifications.models.audit.actions import record_change
from notifications.models.audit.security import note_refused_records

READ = "users:read"
WRITE = "users:write"
MAX_USERS = 10_000
_AT_ONCE = 1_000
_MAX_SHARED = 1_000  # the most users of one address that a filter finds
_TOO_SHORT = (
    "is too short: name a whole email, username or phone number, or three letters of each word"
)
_PRIVATE = "attributes_private "
_FILTERS = ("username", "role", "external_id")


_SIGN_IN = frozenset({"is_active", "external_id"})
"""Fields that decide whether a token is valid."""


class UserService:
    """Reads and writes users."""

    def get(self, *, identifier: object, caller: Caller) -> UserResponse:
        """Returns one user: the caller, or any user with the scope users:read.

        Raises:
            NotFound (unknown_user), Refused (missing_scope).
        """
        return user_responses([person_for(caller, identifier, scope=READ)])[0]

    def list(
        self, *, caller: Caller, filters: Mapping[str, str], after: int = 0, limit: int = 50
    ) -> Sequence[UserResponse]:
        """Returns users in ascending order of id.

        filters: username, role, external_id (exact), email (in any spelling), search (a whole
        username, email or phone number, or beginnings of words of a name, in any case).

        Raises:
            InvalidRequest: search_too_short.
        """
        require_scope(caller, READ)
        rows = User.objects.filter(pk__gt=after)
        rows = rows.filter(**{n: filters[n] for n in _FILTERS if filters.get(n)})
        if email := filters.get("email"):
            rows = rows.filter(Q(email=email) | Q(pk__in=_ids_reached_by(email)))
        word = filters.get("search", "").strip()
        if word:
            named = people_named(word)
            if named is None:
                raise InvalidRequest([FieldError("search", "search_too_short", _TOO_SHORT)])
            rows = rows.filter(named)
        return user_responses(rows.order_by("pk")[: max(1, min(limit, _AT_ONCE))])

    def upsert(
        self, *, uuid: str, record: Mapping[str, Any], caller: Caller
    ) -> tuple[bool, UserResponse]:
        """Creates or changes the user with this UUID, or `ext:` and external_id.

        Returns whether the user is new. Fields that are left out retain their value. `attributes`
        are merged, `groups` is the whole list, and `devices` are added to the known devices.

        Raises:
            InvalidRequest: with every field's error.
            Conflict: another user has this external_id or username.
            Refused: staff_protected, for a member of staff unless the caller is one.
        """
        require_scope(caller, WRITE)
        line = _read(uuid, record)
        try:
            done = _upsert_one(line, uuid, caller)
        except IntegrityError as error:
            raise _conflict("the username or external_id") from error
        if done.errors:
            reason = done.errors[0][1]
            if done.protected:
                raise protected_staff_error()
            if reason.startswith("groups "):
                raise InvalidRequest([FieldError("groups", "unknown_group", reason[7:])])
            if reason.startswith(_PRIVATE):
                detail = reason.removeprefix(_PRIVATE)
                raise InvalidRequest([FieldError("attributes_private", "invalid", detail)])
            raise Conflict(reason, code="identity_conflict")
        if not _SIGN_IN.isdisjoint(record):
            forget_callers()
        return done.created == 1, user_responses([done.people[0]])[0]

    def upsert_many(
        self, *, records: Iterable[tuple[int, dict[str, Any] | str]], caller: Caller
    ) -> UsersResponse:
        """Creates or changes up to 10,000 users; valid records are written, others are reported.

        records: (index, record), or (index, what is wrong with it). Every 1,000 records are one
        transaction, so that an interrupted call is safe to repeat.

        Raises:
            InvalidRequest: too_many.
        """
        require_scope(caller, WRITE)
        run = _BulkUpsert(caller)
        for count, (index, record) in enumerate(records, start=1):
            if count > MAX_USERS:
                detail = f"at most {MAX_USERS:,} a call; the records before were written"
                raise InvalidRequest([FieldError("users", "too_many", detail)])
            run.add(index, record)
        return run.finish()


class _BulkUpsert:
    """One bulk call, in batches."""

    def __init__(self, caller: Caller) -> None:
        self._caller = caller
        self._created = self._updated = self._unchanged = 0
        self._rejected: list[RejectionResponse] = []
        self._batch: list[Line] = []
        self._changes_callers = False

    def add(self, index: int, record: dict[str, Any] | str) -> None:
        if isinstance(record, str):
            self._reject(index, "invalid_record", record)
            return
        try:
            line = read_line(index, record)
        except LineFault as fault:
            self._reject(index, "invalid_record", str(fault))
            return
        self._changes_callers |= isinstance(record, dict) and not _SIGN_IN.isdisjoint(record)
        if len(self._batch) >= _AT_ONCE:
            self._write()
        self._batch.append(line)

    def finish(self) -> UsersResponse:
        self._write()
        note_refused_records(self._caller.name, [each.code for each in self._rejected])
        return UsersResponse(
            created=self._created,
            updated=self._updated,
            unchanged=self._unchanged,
            rejected=sorted(self._rejected, key=lambda each: each.index),
        )

    def _write(self) -> None:
        lines, self._batch = self._batch, []
        try:
            self._count(upsert_people(lines, **_upsert_options(self._caller)))
        except IntegrityError:
            for line in lines:  # one of them belongs to another user: write them one by one
                self._write_alone(line)
        if self._changes_callers:
            forget_callers()

    def _write_alone(self, line: Line) -> None:
        try:
            with transaction.atomic():
                done = upsert_people([line], **_upsert_options(self._caller))
            self._count(done)
        except IntegrityError:
            self._reject(
                line.number, "identity_conflict", str(_conflict("username or external_id"))
            )

    def _count(self, done: UpsertReport) -> None:
        self._created += done.created
        self._updated += done.updated
        self._unchanged += done.unchanged
        for index, reason in done.errors:
            code = "unknown_group" if reason.startswith("groups ") else "identity_conflict"
            code = "invalid_record" if reason.startswith(_PRIVATE) else code
            code = PROTECTED if index in done.protected else code
            self._reject(index, code, reason)

    def _reject(self, index: int, code: str, detail: str) -> None:
        self._rejected.append(RejectionResponse(index=index, code=code, detail=detail))


def _upsert_one(line: Line, name: str, caller: Caller) -> UpsertReport:
    """Writes one user, with an entry of the audit log that has the changed values."""
    reference = read_reference(name, written=True)
    options = {**_upsert_options(caller), "on_written": consents_into_ledger}
    with transaction.atomic():
        keys = find_people([reference]) if reference is not None else {}
        known = User.objects.filter(pk__in=keys.values()).first()
        before = person_values(known) if known is not None else None
        done = upsert_people([line], **options)
        check_an_admin_is_left(done.people.values())
        for user in done.people.values():
            record_change(
                actor=caller.name,
                action="user.changed" if before else "user.created",
                target=f"user:{user.pk}",
                at=clock.now(),
                subject_id=user.pk,
                before=before,
                after=person_values(User.objects.get(pk=user.pk)),
            )
    return done


def person_values(user: User) -> dict[str, Any]:
    """Returns what the API shows of a user, as values for the audit log."""
    values: dict[str, Any] = msgspec.to_builtins(user_responses([user])[0])
    return values


def _upsert_options(caller: Caller) -> dict[str, Any]:
    return {
        "at": clock.now(),
        "on_written": partial(record_people, caller=caller),
        "include_staff": caller.manages_staff,
    }


def record_people(done: UpsertReport, *, caller: Caller) -> None:
    """Stores consents, and who was written, in the transaction that writes the users.

    Raises:
        Conflict: last_admin.
    """
    consents_into_ledger(done)
    check_an_admin_is_left(done.people.values())
    if done.created or done.updated:
        record_change(
            actor=caller.name,
            action="users.written",
            target="users",
            at=clock.now(),
            after={
                "created": done.created,
                "updated": done.updated,
                "user_ids": sorted(user.pk for user in done.people.values()),
            },
        )


def consents_into_ledger(done: UpsertReport) -> None:
    """Stores the consents in records, in the transaction that writes the users."""
    for granted, ids in done.consents.items():
        set_consent_of(ids, granted=granted, source="sync")


def _read(uuid: str, record: Mapping[str, Any]) -> Line:
    key = read_person(uuid)
    if not isinstance(key, UUID | ExternalId):
        detail = "must be a UUID, or ext: and an external_id"
        raise InvalidRequest([FieldError("uuid", "invalid_uuid", detail)])
    field, value = ("uuid", str(key)) if isinstance(key, UUID) else ("external_id", key.value)
    named = record.get(field)
    if named is not None and (str(named).lower() if field == "uuid" else named) != value:
        detail = "differs from the one in the path"
        raise InvalidRequest([FieldError(field, "uuid_mismatch", detail)])
    try:
        return read_line(0, {**record, field: value})
    except LineFault as fault:
        raise InvalidRequest(
            [FieldError(name, "invalid", words) for name, words in fault.faults]
        ) from fault


def user_responses(users: Iterable[User]) -> list[UserResponse]:
    """Builds the responses for users: two more queries for any number of users."""
    rows = list(users)
    ids = [user.pk for user in rows]
    points: dict[int, list[ContactPointResponse]] = defaultdict(list)
    for point in ContactPoint.objects.filter(user_id__in=ids).order_by("kind"):
        points[point.user_id].append(
            ContactPointResponse(
                kind=point.kind,
                address=point.written_to,
                state=point.state,
                state_reason=point.state_reason,
                verified_at=point.verified_at,
            )
        )
    groups: dict[int, list[GroupName]] = defaultdict(list)
    held = GroupMembership.objects.filter(user_id__in=ids).order_by("group__name")
    for user_id, uuid, name in held.values_list("user_id", "group__uuid", "group__name"):
        groups[user_id].append(GroupName(uuid=uuid, name=name))
    return [_response(user, points[user.pk], groups[user.pk]) for user in rows]


def people_named(word: str) -> Q | None:
    """Returns the condition for people whom a search names; None where it is too short.

    It is a whole username, email in any spelling or phone number, or beginnings of words of a name.
    """
    named = people_matching(word)
    reached = _ids_reached_by(word) if "@" in word else ()
    if named is None or not reached:
        return named
    known = User.objects.filter(named).order_by("pk").values_list("pk", flat=True)
    return Q(pk__in={*known[:_MAX_SHARED], *reached})


def _ids_reached_by(email: str) -> Sequence[int]:
    """Returns the ids of the users with this address in any spelling, up to 1,000."""
    points = ContactPoint.objects.filter(
        kind=ContactKind.EMAIL, address=normalise_address(ContactKind.EMAIL, email)
    )
    return list(points.values_list("user_id", flat=True).order_by("user_id")[:_MAX_SHARED])


def _response(
    user: User, points: list[ContactPointResponse], groups: list[GroupName]
) -> UserResponse:
    return UserResponse(
        id=user.pk,
        uuid=user.uuid,
        external_id=user.external_id,
        username=user.username,
        first_name=user.first_name,
        last_name=user.last_name,
        role=user.role,
        locale=user.locale,
        timezone=user.timezone,
        avatar_url=user.avatar_url,
        subscription_tier=user.subscription_tier,
        attributes=user.attributes,
        attributes_private=user.attributes_private,
        is_active=user.is_active,
        date_joined=user.date_joined,
        contact_points=points,
        groups=groups,
    )


def _conflict(what: str) -> Conflict:
    return Conflict(f"{what} belongs to another user", code="identity_conflict")
