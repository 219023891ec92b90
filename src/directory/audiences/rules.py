"""Audiences as frozen values: a rule is one way to select people, or a combination of rules.

Every rule selects active users only. A rule names a subject or a group by integer id or UUID, and
a person also by external_id. `resolve` turns all names into ids and reports those that do not
exist.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from uuid import UUID

from directory.audiences.criteria import AllOf, AnyOf, Criterion, Not, Test
from directory.audiences.fields import Op
from directory.references import PersonKey

Identifier = int | UUID

ROLE_RULES = {
    "all_students": "student",
    "all_teachers": "teacher",
    "all_tutors": "tutor",
    "all_parents": "parent",
}


@dataclass(frozen=True, slots=True)
class Everyone:
    """Every active user."""


@dataclass(frozen=True, slots=True)
class OfRole:
    """The active users of a role."""

    role: str


@dataclass(frozen=True, slots=True)
class OfSubject:
    """The students and the teachers of a subject."""

    subject: Identifier
    path: str = ""


@dataclass(frozen=True, slots=True)
class OfTutor:
    """The students of a tutor."""

    tutor: PersonKey
    path: str = ""


@dataclass(frozen=True, slots=True)
class OfTeacher:
    """The students of a teacher."""

    teacher: PersonKey
    path: str = ""


@dataclass(frozen=True, slots=True)
class InGroup:
    """The members of a group."""

    group: Identifier
    path: str = ""


@dataclass(frozen=True, slots=True)
class OnList:
    """The people who are subscribed to a mailing list."""

    mailing_list: Identifier
    path: str = ""


@dataclass(frozen=True, slots=True)
class Listed:
    """Listed people. After `resolve`: the ids that exist, in ascending order, each once."""

    users: tuple[PersonKey, ...]
    path: str = ""


@dataclass(frozen=True, slots=True)
class Matching:
    """The people who match criteria."""

    criteria: Criterion


@dataclass(frozen=True, slots=True)
class Saved:
    """The people who match a saved segment's criteria. `resolve` replaces it with the criteria."""

    segment: Identifier
    path: str = ""


@dataclass(frozen=True, slots=True)
class Union:
    """The people who are in at least one of the rules."""

    parts: tuple[Rule, ...]


@dataclass(frozen=True, slots=True)
class Intersection:
    """The people who are in all of the rules."""

    parts: tuple[Rule, ...]


@dataclass(frozen=True, slots=True)
class Difference:
    """The people who are in one rule and not in the other."""

    base: Rule
    without: Rule


Rule = (
    Everyone
    | OfRole
    | OfSubject
    | OfTutor
    | OfTeacher
    | InGroup
    | OnList
    | Listed
    | Matching
    | Saved
    | Union
    | Intersection
    | Difference
)


def list_of(rule: Rule) -> int | None:
    """Returns the id of the mailing list to which everyone in a resolved rule is subscribed.

    None where a rule may hold people who are not on one and the same list. Of several lists that
    all hold everyone, the first one counts. A segment whose criteria test `lists` is on a list,
    too.
    """
    match rule:
        case OnList(int() as found):
            return found
        case Matching(criteria):
            return _list_in(criteria, holds=True)
        case Difference(base, _):
            return list_of(base)
        case Intersection(parts):
            return _first(list_of(part) for part in parts)
        case Union(parts):
            return _common(list_of(part) for part in parts)
    return None


def _list_in(criterion: Criterion, *, holds: bool) -> int | None:
    """Returns the list of all who match a criterion, or of all who do not, where `holds` is false.

    A negated `all` is an `any` of negations, and the other way round.
    """
    match criterion:
        case Not(part):
            return _list_in(part, holds=not holds)
        case AllOf(parts) | AnyOf(parts):
            found = (_list_in(part, holds=holds) for part in parts)
            return _first(found) if isinstance(criterion, AllOf) is holds else _common(found)
        case Test(field="lists", op=Op.EQ | Op.IN) if holds:
            return _only(criterion.value)
        case Test(field="lists", op=Op.NE | Op.NOT_IN) if not holds:
            return _only(criterion.value)
    return None


def _only(value: object) -> int | None:
    """Returns the one list that a resolved test names; None for several."""
    values = set(value) if isinstance(value, tuple) else {value}
    found = values.pop() if len(values) == 1 else None
    return found if isinstance(found, int) else None


def _first(found: Iterable[int | None]) -> int | None:
    return next((each for each in found if each), None)


def _common(found: Iterable[int | None]) -> int | None:
    """Returns the list that all parts have in common."""
    named = set(found)
    return named.pop() if len(named) == 1 else None


def segments_in(rule: Rule) -> set[Identifier]:
    """Returns the saved segments that a rule names, before `resolve`."""
    match rule:
        case Saved(segment):
            return {segment}
        case Difference(base, without):
            return segments_in(base) | segments_in(without)
        case Union(parts) | Intersection(parts):
            return set[Identifier]().union(*(segments_in(part) for part in parts))
    return set()


def lists_in(rule: Rule) -> set[Identifier]:
    """Returns the mailing lists that a rule or its criteria name, resolved or not.

    Those that saved segments name are left out.
    """
    match rule:
        case OnList(mailing_list):
            return {mailing_list}
        case Matching(criteria):
            return _lists_tested(criteria)
        case Difference(base, without):
            return lists_in(base) | lists_in(without)
        case Union(parts) | Intersection(parts):
            return set[Identifier]().union(*(lists_in(part) for part in parts))
    return set()


def _lists_tested(criterion: Criterion) -> set[Identifier]:
    match criterion:
        case Not(part):
            return _lists_tested(part)
        case AllOf(parts) | AnyOf(parts):
            return set[Identifier]().union(*(_lists_tested(part) for part in parts))
        case Test(field="lists", value=value) if criterion.op is not Op.EXISTS:
            values = value if isinstance(value, tuple) else (value,)
            return {each for each in values if isinstance(each, int | UUID)}
    return set()
