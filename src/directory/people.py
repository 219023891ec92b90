"""Writes many people and their contact points at once, by a few statements for each batch."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from django.contrib.auth.hashers import UNUSABLE_PASSWORD_PREFIX
from django.db import transaction
from django.utils import timezone

from directory.addresses import normalise_address
from directory.imports.csv_records import Cell
from directory.imports.import_rows import MAX_PRIVATE_BYTES, Line, private_size
from directory.lookup import is_staff_row
from directory.memberships import (
    UnknownGroup,
    groups_of_names,
    points_of,
    register_devices,
    set_groups,
    set_urls,
    tokens_of_staff,
    write_addresses,
)
from directory.models import ContactPoint, User
from directory.models.contact import ContactKind
from directory.models.search_token import save_tokens
from directory.rows import copying, insert_rows, maker_of, reserve_ids

_make_user = maker_of(User)
_IDS_AT_ONCE = 500
_WRITTEN = (
    "external_id",
    "username",
    "email",
    "first_name",
    "last_name",
    "role",
    "locale",
    "timezone",
    "phone_number",
    "telegram_id",
    "avatar_url",
    "subscription_tier",
    "attributes",
    "is_active",
)


@dataclass(slots=True)
class UpsertReport:
    """The result of writing a batch."""

    created: int = 0
    updated: int = 0
    unchanged: int = 0
    #: (line, reason).
    errors: list[tuple[int, str]] = field(default_factory=list)
    #: The wrong lines that name a member of staff.
    protected: set[int] = field(default_factory=set)
    #: The people who were written, by line.
    people: dict[int, User] = field(default_factory=dict)
    #: The ids of the people whose record contains consent to data processing (True) or a refusal
    #: (False). The callback `on_written` of `upsert_people` stores them.
    consents: dict[bool, list[int]] = field(default_factory=dict)


OnWritten = Callable[[UpsertReport], object]


class StaffProtected(ValueError):
    """The record names a member of staff, whom only staff may change."""

    def __init__(self) -> None:
        super().__init__("is a member of staff, who may be changed by staff only")


class _KnownPeople:
    """The people whom a batch may name, by each of their keys."""

    def __init__(self, lines: Sequence[Line], *, include_staff: bool) -> None:
        self._include_staff = include_staff
        tokens = [each.token for line in lines for each in line.related.get("devices", ())]
        self._staff_tokens = tokens_of_staff(tokens) if tokens and not include_staff else set()
        self._by: dict[str, dict[object, User]] = {"uuid": {}, "external_id": {}, "username": {}}
        found: list[User] = []
        for name, index in self._by.items():
            wanted = {value for line in lines for key, value in line.keys if key == name}
            if wanted:  # people whom another key found are not read twice
                index.update((getattr(user, name), user) for user in found)
                found += (more := list(_users_with(name, list(wanted - index.keys()))))
                index.update((getattr(user, name), user) for user in more)
        self._find_by_email(lines)
        same: dict[int, User] = {}  # one object for each person, for all keys
        for index in self._by.values():
            for key, user in index.items():
                index[key] = same.setdefault(user.pk, user)

    def _find_by_email(self, lines: Sequence[Line]) -> None:
        """Finds people of lines with an email address only, by its contact point.

        Their username is another spelling of the address.
        """
        names = self._by["username"]
        wanted = [line.values["username"] for line in lines if line.by_email]
        absent = [address for address in wanted if address not in names]
        for start in range(0, len(absent), _IDS_AT_ONCE):
            points = ContactPoint.objects.filter(
                kind=ContactKind.EMAIL, address__in=absent[start : start + _IDS_AT_ONCE]
            )
            rows = User.objects.select_for_update().filter(pk__in=points.values("user_id"))
            for user in rows.order_by("-pk"):  # the oldest of several people wins
                names[normalise_address(ContactKind.EMAIL, user.username)] = user

    def find(self, line: Line) -> dict[str, User]:
        """Returns the stored person whom each key of a line names; keys of no one are left out."""
        named = ((key, self._by[key].get(value)) for key, value in line.keys)
        return {key: user for key, user in named if user is not None}

    def person_of(self, line: Line, found: Mapping[str, User]) -> User | None:
        """Returns the person of a line, or None for a new person. found: by each of its keys.

        Raises:
            StaffProtected: one of the keys or devices belongs to a member of staff.
            ValueError: the keys belong to different people.
        """
        people = found.values()
        if not self._include_staff and any(is_staff_row(user) for user in people):
            raise StaffProtected
        if any(each.token in self._staff_tokens for each in line.related.get("devices", ())):
            raise StaffProtected
        person = next(iter(people), None)
        for key, user in found.items():
            if user is not person:
                raise ValueError(f"{key} belongs to another person")
        strongest = line.keys[0][0]
        if person is not None and strongest != "username" and strongest not in found:
            _check_takeover(line, person, strongest)
        return person


def _check_takeover(line: Line, person: User, key: str) -> None:
    """Checks that a person found by a weaker key also has the line's value of the stronger key.

    A username alone must not connect a person to an identity of the platform.

    Raises:
        ValueError: the stronger key has another value, or none.
    """
    held = getattr(person, key)
    if held != line.values[key]:
        weaker = next(name for name, value in line.keys if getattr(person, name) == value)
        raise ValueError(
            f"{weaker} belongs to a person {'with another' if held else 'without'} {key}"
        )


def _users_with(name: str, values: Sequence[object]) -> Iterable[User]:
    rows = User.objects.select_for_update()
    for start in range(0, len(values), _IDS_AT_ONCE):
        yield from rows.filter(**{f"{name}__in": values[start : start + _IDS_AT_ONCE]})


def upsert_people(
    lines: Sequence[Line],
    *,
    at: datetime | None = None,
    on_written: OnWritten | None = None,
    include_staff: bool = False,
) -> UpsertReport:
    """Writes people, their contact points, groups and devices in one transaction.

    Lines may name the same person: the last one wins. include_staff: the caller is a member of
    staff and may change members of staff; for other callers these lines are errors. on_written is
    called inside the transaction, so that other apps can store data about these people.

    Raises:
        IntegrityError: another process wrote one of these people at the same time.
    """
    done, start, count = UpsertReport(), 0, len(lines)
    with transaction.atomic():
        at = at or timezone.now()
        while start < len(lines):
            part = lines[start : start + count]
            written = _upsert_different(part, done, at, include_staff=include_staff)
            # Where a person was named twice, the next one may soon be, too: read fewer ahead.
            start, count = start + written, 2 * written
        if on_written:
            on_written(done)
    return done


def _upsert_different(
    lines: Sequence[Line], done: UpsertReport, at: datetime, *, include_staff: bool
) -> int:
    """Writes lines until one names a person whom an earlier one named.

    Returns their number, which is at least 1. The next line must find the row of the earlier one.
    """
    known, groups = _KnownPeople(lines, include_staff=include_staff), _groups_of(lines)
    fresh: list[User] = []
    changed: list[User] = []
    keys: set[tuple[str, object]] = set()
    named: set[int] = set()
    count = 0
    for line in lines:
        found = known.find(line)
        if not keys.isdisjoint(line.keys) or any(user.pk in named for user in found.values()):
            break
        keys.update(line.keys)
        count += 1
        try:
            _check_groups(line, groups)
            person = known.person_of(line, found)
            _check_private(person, line)
        except ValueError as error:
            done.errors.append((line.number, str(error)))
            done.protected |= {line.number} if isinstance(error, StaffProtected) else set()
            continue
        if person is None:
            person = _new(line)
            fresh.append(person)
        else:
            named.add(person.pk)
            if _apply(person, _changes_of(line)):
                changed.append(person)
            else:
                done.unchanged += 1
        done.people[line.number] = person
    _insert(fresh, at)
    _write_changes(changed)
    write_addresses(changed)
    _write_related(lines[:count], done, groups, at)
    done.created += len(fresh)
    done.updated += len(changed)
    return count


def _groups_of(lines: Sequence[Line]) -> dict[str | UUID, int]:
    names = {name for line in lines for name in line.related.get("groups", ())}
    return groups_of_names(names) if names else {}


def _check_groups(line: Line, groups: Mapping[str | UUID, int]) -> None:
    absent = next((name for name in line.related.get("groups", ()) if name not in groups), None)
    if absent is not None:
        raise UnknownGroup(f"groups names {absent}, which does not exist")


def _write_related(
    lines: Sequence[Line], done: UpsertReport, groups: Mapping[str | UUID, int], at: datetime
) -> None:
    with_related = [
        (done.people[line.number], line.related)
        for line in lines
        if line.related and line.number in done.people
    ]
    set_groups(
        {
            user.pk: {groups[name] for name in related["groups"]}
            for user, related in with_related
            if "groups" in related
        }
    )
    devices = [
        (user.pk, each) for user, related in with_related for each in related.get("devices", ())
    ]
    register_devices(devices, at=at)
    set_urls([(user, r["contact_points"]) for user, r in with_related if "contact_points" in r])
    for user, related in with_related:
        if "data_processing_consent" in related:
            done.consents.setdefault(related["data_processing_consent"], []).append(user.pk)


def _new(line: Line) -> User:
    columns, private = line.values, None
    if "attributes_private" in columns:  # no column: it is in the sealed one
        columns = {**columns}
        private = columns.pop("attributes_private")
    user = _make_user({"password": UNUSABLE_PASSWORD_PREFIX + secrets.token_hex(20), **columns})
    if private:
        user.attributes_private = private
    if not user.username:
        user.username = f"user-{user.uuid.hex[:12]}"
    return user


def _changes_of(line: Line) -> dict[str, Any]:
    """Returns the values of a line, without a username that was taken from its address."""
    if not line.by_email:
        return line.values
    return {name: value for name, value in line.values.items() if name != "username"}


def _apply(user: User, values: dict[str, Any]) -> bool:
    """Sets the fields that a line names; returns whether one of them changed."""
    changed = False
    for name, value in values.items():
        if name == "uuid":
            continue  # the uuid identifies a person and never changes
        if name in ("attributes", "attributes_private"):
            held = getattr(user, name)
            value = {**held, **_typed(value, held)}
        if getattr(user, name) != value:
            setattr(user, name, value)
            changed = True
    return changed


def _check_private(person: User | None, line: Line) -> None:
    """Checks the size of the private attributes that a line is merged with.

    Raises:
        ValueError: they would be too large.
    """
    given = line.values.get("attributes_private")
    if given and person is not None:
        size = private_size({**person.attributes_private, **given})
        if size > MAX_PRIVATE_BYTES:
            raise ValueError(
                f"attributes_private must be at most {MAX_PRIVATE_BYTES:,} bytes with those stored"
            )


def _typed(given: Mapping[str, Any], held: Mapping[str, Any]) -> dict[str, Any]:
    """Converts a CSV's texts to the types of the person's stored attributes."""
    return {
        name: value.typed_as(held.get(name)) if isinstance(value, Cell) else value
        for name, value in given.items()
    }


def _write_changes(users: Sequence[User]) -> None:
    if users:
        User.objects.bulk_create(
            users, update_conflicts=True, unique_fields=["id"], update_fields=list(_WRITTEN)
        )


def _insert(fresh: Sequence[User], at: datetime) -> None:
    """Inserts new people and their contact points."""
    if not fresh:
        return
    User.prepare_keys(fresh)
    for user, key in zip(fresh, reserve_ids(User, len(fresh)), strict=True):
        user.pk = key
        user._state.adding = False
    keys = {user.pk: user.data_key() for user in fresh}
    for user in fresh:
        user.__dict__["_data_key"] = keys[user.pk]
    with copying() as insert:  # the longest first, so that the rest is prepared meanwhile
        save_tokens(fresh, fresh=True, insert=insert)
        insert_rows(fresh, insert)
        points = [point for user in fresh for point in points_of(user)]
        for point in points:
            point.__dict__["_data_key"] = keys[point.user_id]
            point.created_at = point.updated_at = at
        insert_rows(points, insert)
