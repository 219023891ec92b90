"""Resolves the names in an audience: UUIDs become ids, saved segments become their criteria.

A subject, tutor, teacher, group or segment that does not exist is an error. It is never an empty
audience, nor an audience of all users. Listed people who do not exist or are not active are
reported as missing.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal
from uuid import UUID

from django.db import connection, models

from directory.audiences.criteria import AllOf, AnyOf, Criterion, Not, Test
from directory.audiences.parse_context import ParseContext
from directory.audiences.parse_criteria import read_criterion
from directory.audiences.rules import (
    Difference,
    Identifier,
    InGroup,
    Intersection,
    Listed,
    Matching,
    OfSubject,
    OfTeacher,
    OfTutor,
    OnList,
    Rule,
    Saved,
    Union,
)
from directory.models import (
    Enrollment,
    Group,
    Segment,
    Subject,
    SubscriberList,
    TutorAssignment,
    User,
)
from directory.models.user import Role
from directory.references import ExternalId, PersonKey

_IDS_AT_ONCE = 10_000
_Named = type[Group | Subject | SubscriberList]
_MEMBERSHIPS: dict[str, tuple[_Named, str]] = {
    "groups": (Group, "group"),
    "lists": (SubscriberList, "list"),
    "subjects": (Subject, "subject"),
}
"""The model and the noun of what a field of memberships names."""
_UNKNOWN = {
    "group": "unknown_group",
    "list": "unknown_list",
    "segment": "unknown_segment",
    "subject": "unknown_subject",
    "teacher": "unknown_teacher",
    "tutor": "unknown_tutor",
}


@dataclass(frozen=True, slots=True)
class Missing:
    """A listed person who receives nothing."""

    user: PersonKey
    reason: Literal["unknown_user", "inactive_user"]
    #: The place of the list in the audience.
    path: str


@dataclass(frozen=True, slots=True)
class Resolution:
    """A rule whose names all exist."""

    rule: Rule
    missing: tuple[Missing, ...]
    #: (noun, id) -> name, for `describe`.
    names: dict[tuple[str, int], str]


def resolve_rule(rule: Rule, *, segments: Mapping[str, Any] | None = None) -> Resolution:
    """Resolves everything that a rule names.

    segments: criteria that count instead of those of a saved segment, by its id or UUID.

    Raises:
        AudienceError: with a fault for each name that does not exist.
    """
    resolver = _Resolver(segments or {})
    found = resolver.rule(rule)
    resolver.context.raise_faults()
    return Resolution(found, tuple(resolver.missing), resolver.names)


class _Resolver:
    def __init__(self, segments: Mapping[str, Any]) -> None:
        self.segments = segments
        self.context = ParseContext()
        self.missing: list[Missing] = []
        self.names: dict[tuple[str, int], str] = {}

    def rule(self, rule: Rule) -> Rule:
        match rule:
            case Union(parts):
                return Union(tuple(self.rule(part) for part in parts))
            case Intersection(parts):
                return Intersection(tuple(self.rule(part) for part in parts))
            case Difference(base, without):
                return Difference(self.rule(base), self.rule(without))
            case Listed():
                return self._listed(rule)
            case Saved():
                return self._saved(rule)
            case Matching(criteria):
                return Matching(self.criterion(criteria))
            case _:
                return self._reference(rule)

    def criterion(self, criterion: Criterion) -> Criterion:
        match criterion:
            case AllOf(parts):
                return AllOf(tuple(self.criterion(part) for part in parts))
            case AnyOf(parts):
                return AnyOf(tuple(self.criterion(part) for part in parts))
            case Not(part):
                return Not(self.criterion(part))
            case Test(field="groups" | "lists" | "subjects") if criterion.value is not True:
                return self._membership(criterion)
        return criterion

    def _membership(self, test: Test) -> Test:
        values: Any = test.value if isinstance(test.value, tuple) else (test.value,)
        model, noun = _MEMBERSHIPS[test.field]
        many = isinstance(test.value, tuple)
        ids = tuple(
            self._named(model, value, noun, f"{test.path}[{place}]" if many else test.path)
            for place, value in enumerate(values)
        )
        return replace(test, value=ids if many else ids[0])

    def _reference(self, rule: Rule) -> Rule:
        match rule:
            case OfSubject(subject, path):
                return OfSubject(self._named(Subject, subject, "subject", path), path)
            case InGroup(group, path):
                return InGroup(self._named(Group, group, "group", path), path)
            case OnList(mailing_list, path):
                return OnList(self._named(SubscriberList, mailing_list, "list", path), path)
            case OfTutor(tutor, path):
                return OfTutor(self._person(tutor, Role.TUTOR, path), path)
            case OfTeacher(teacher, path):
                return OfTeacher(self._person(teacher, Role.TEACHER, path), path)
        return rule

    def _named(self, model: _Named, named: Identifier, noun: str, path: str) -> int:
        """Returns the id of a named row; adds a fault and returns 0 where none exists."""
        manager: models.Manager[Any] = model._default_manager
        row = None
        if not isinstance(named, UUID) or hasattr(model, "uuid"):
            key = "uuid" if isinstance(named, UUID) else "pk"
            row = manager.filter(**{key: named}).values_list("pk", "name").first()
        if row is None:
            self.context.add_fault(path, _UNKNOWN[noun], f"there is no {noun} {named}")
            return 0
        self.names[noun, row[0]] = row[1]
        return int(row[0])

    def _person(self, named: PersonKey, role: Role, path: str) -> int:
        """Returns the id of a tutor or teacher; adds a fault and returns 0 where none exists.

        A person of another role is accepted if the person has students.
        """
        user = User.objects.find(named)
        row = (user.pk, user.role) if user is not None else None
        if row is None:
            self.context.add_fault(path, _UNKNOWN[role], f"there is no user {named}")
            return 0
        students: models.QuerySet[Any] = (
            TutorAssignment.objects.filter(tutor=row[0])
            if role == Role.TUTOR
            else Enrollment.objects.filter(teacher=row[0])
        )
        if row[1] != role and not students.exists():
            self.context.add_fault(path, _UNKNOWN[role], f"user {named} is no {role}")
        self.names[str(role), row[0]] = str(row[0])
        return int(row[0])

    def _saved(self, rule: Saved) -> Rule:
        given = self.segments.get(str(rule.segment))
        if given is None:
            given = criteria_of(rule.segment)
        if given is None:
            detail = f"there is no segment {rule.segment}"
            self.context.add_fault(rule.path, _UNKNOWN["segment"], detail)
            return rule
        path = f"{rule.path}.criteria"
        criteria = read_criterion(given, path, self.context, depth=1)
        if criteria is None:
            return rule
        return Matching(self.criterion(criteria))

    def _listed(self, rule: Listed) -> Listed:
        """Returns the ids of the listed people who exist."""
        known: dict[PersonKey, int] = {}
        inactive: set[int] = set()
        for start in range(0, len(rule.users), _IDS_AT_ONCE):
            part = rule.users[start : start + _IDS_AT_ONCE]
            for key, user_id, is_active in _people(part):
                known[key] = user_id
                if not is_active:
                    inactive.add(user_id)
        for named in rule.users:
            if named not in known:
                self.missing.append(Missing(named, "unknown_user", rule.path))
            elif known[named] in inactive:
                self.missing.append(Missing(named, "inactive_user", rule.path))
        return Listed(tuple(sorted(set(known.values()))), rule.path)


def criteria_of(segment: Identifier) -> Any:
    """Returns the criteria of a saved segment; None where there is no such segment."""
    key = "uuid" if isinstance(segment, UUID) else "pk"
    rows = Segment.objects.filter(**{key: segment})
    return rows.values_list("criteria", flat=True).first()


def _people(identifiers: Sequence[PersonKey]) -> list[tuple[PersonKey, int, bool]]:
    """Returns (key, id, is active) of the people who exist, by up to three statements."""
    ids = [each for each in identifiers if isinstance(each, int)]
    uuids = [each for each in identifiers if isinstance(each, UUID)]
    theirs = [each.value for each in identifiers if isinstance(each, ExternalId)]
    with connection.cursor() as cursor:
        found: list[tuple[PersonKey, int, bool]] = []
        if ids:
            cursor.execute(_select("id", "bigint"), [_list_parameter(ids)])
            found += [(row[1], row[1], bool(row[2])) for row in cursor.fetchall()]
        if uuids:
            native = connection.features.has_native_uuid_field
            written = [str(each) if native else each.hex for each in uuids]
            cursor.execute(_select("uuid", "uuid"), [_list_parameter(written)])
            found += [
                (row[0] if isinstance(row[0], UUID) else UUID(row[0]), row[1], bool(row[2]))
                for row in cursor.fetchall()
            ]
        if theirs:
            cursor.execute(_select("external_id", "text"), [_list_parameter(theirs)])
            found += [(ExternalId(row[0]), row[1], bool(row[2])) for row in cursor.fetchall()]
    return found


def _select(column: str, kind: str) -> str:
    listed = "(SELECT value FROM json_each(%s))"
    if connection.vendor == "postgresql":
        listed = f"(SELECT unnest(%s::{kind}[]))"
    return f"SELECT {column}, id, is_active FROM directory_user WHERE {column} IN {listed}"  # noqa: S608


def _list_parameter(values: list[Any]) -> Any:
    return values if connection.vendor == "postgresql" else json.dumps(values)
