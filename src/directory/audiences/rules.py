"""Audiences as frozen values: a rule is one way to choose people, or a composition of rules.

Every rule holds active users only. What a rule names (a subject, a tutor) may be written as an
integer id or a UUID, a person also by their external_id. `resolve` turns all of them into ids and
says what does not exist.
"""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from directory.audiences.criteria import Criterion
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
    """The students that a tutor looks after."""

    tutor: PersonKey
    path: str = ""


@dataclass(frozen=True, slots=True)
class OfTeacher:
    """The students who learn with a teacher."""

    teacher: PersonKey
    path: str = ""


@dataclass(frozen=True, slots=True)
class InGroup:
    """The members of a group."""

    group: Identifier
    path: str = ""


@dataclass(frozen=True, slots=True)
class Listed:
    """People by name of their ids. After `resolve`: known ids, rising, each once."""

    users: tuple[PersonKey, ...]
    path: str = ""


@dataclass(frozen=True, slots=True)
class Matching:
    """The people who meet criteria."""

    criteria: Criterion


@dataclass(frozen=True, slots=True)
class Saved:
    """The people who meet a saved segment's criteria. `resolve` puts the criteria in its place."""

    segment: Identifier
    path: str = ""


@dataclass(frozen=True, slots=True)
class Union:
    """Who is in any of the rules."""

    parts: tuple[Rule, ...]


@dataclass(frozen=True, slots=True)
class Intersection:
    """Who is in all of the rules."""

    parts: tuple[Rule, ...]


@dataclass(frozen=True, slots=True)
class Difference:
    """Who is in the one rule and not in the other."""

    base: Rule
    without: Rule


Rule = (
    Everyone
    | OfRole
    | OfSubject
    | OfTutor
    | OfTeacher
    | InGroup
    | Listed
    | Matching
    | Saved
    | Union
    | Intersection
    | Difference
)
