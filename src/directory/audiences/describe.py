"""Describes an audience in English, for the people who approve it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from directory.audiences.criteria import Ago, AllOf, AnyOf, Criterion, Not, Test
from directory.audiences.fields import Op
from directory.audiences.rules import (
    Difference,
    Everyone,
    InGroup,
    Intersection,
    Listed,
    Matching,
    OfRole,
    OfSubject,
    OfTeacher,
    OfTutor,
    OnList,
    Rule,
    Saved,
    Union,
)

Names = Mapping[tuple[str, int], str]
_SHOWN = 5
_WORDS = {
    Op.EQ: "is",
    Op.NE: "is not",
    Op.IN: "is one of",
    Op.NOT_IN: "is none of",
    Op.LT: "is under",
    Op.LTE: "is at most",
    Op.GT: "is over",
    Op.GTE: "is at least",
    Op.CONTAINS: "contains",
    Op.STARTS_WITH: "starts with",
}
_TIME_WORDS = {
    Op.LT: "is before",
    Op.LTE: "is not after",
    Op.GT: "is after",
    Op.GTE: "is not before",
}


def describe(rule: Rule, names: Names) -> str:
    """Returns one line of English.

    names: (noun, id) -> name. An id is shown where the name is not known.
    """
    match rule:
        case Union(parts):
            return _joined(parts, " or ", names)
        case Intersection(parts):
            return _joined(parts, " who are also ", names)
        case Difference(base, without):
            return f"{_part(base, names)} except {_part(without, names)}"
        case Matching(criteria):
            return f"people where {describe_criteria(criteria, names)}"
    return _simple(rule, names)


def _simple(rule: Rule, names: Names) -> str:
    match rule:
        case Everyone():
            return "everyone"
        case OfRole(role):
            return f"all {role}s"
        case OfSubject(subject):
            return f"students and teachers of {_name('subject', subject, names)}"
        case OfTutor(tutor):
            return f"students of tutor {tutor}"
        case OfTeacher(teacher):
            return f"students of teacher {teacher}"
        case InGroup(group):
            return f"members of {_name('group', group, names)}"
        case OnList(mailing_list):
            return f"subscribers of {_name('list', mailing_list, names)}"
        case Listed(users):
            return f"{len(users):,} listed {'person' if len(users) == 1 else 'people'}"
        case Saved(segment):
            return f"segment {segment}"
    raise TypeError(f"no words for {type(rule).__name__}")


def describe_criteria(criterion: Criterion, names: Names) -> str:
    """Returns criteria as one line of English."""
    match criterion:
        case AllOf(parts):
            return _words(parts, " and ", names)
        case AnyOf(parts):
            return _words(parts, " or ", names)
        case Not(Test(op=Op.EXISTS) as test):
            return f"{_field(test)} is missing"
        case Not(part):
            return f"not ({describe_criteria(part, names)})"
        case Test(op=Op.EXISTS):
            return f"{_field(criterion)} is there"
        case Test():
            return _test(criterion, names)


def _test(test: Test, names: Names) -> str:
    values: tuple[Any, ...] = test.value if isinstance(test.value, tuple) else (test.value,)
    timely = test.field in ("date_joined", "last_login")
    word = (_TIME_WORDS if timely else _WORDS)[test.op]
    shown = [_value(value, test.field, names) for value in values[:_SHOWN]]
    more = f" and {len(values) - _SHOWN} more" if len(values) > _SHOWN else ""
    return f"{_field(test)} {word} {', '.join(shown)}{more}"


def _field(test: Test) -> str:
    return ".".join((test.field, *test.keys))


def _value(value: Any, field: str, names: Names) -> str:
    if isinstance(value, Ago):
        days, hours = divmod(value.hours, 24)
        return f"{hours + 24 * days} hours ago" if hours else f"{days} days ago"
    if field in ("groups", "lists", "subjects"):
        return _name(field.removesuffix("s"), value, names)
    if isinstance(value, bool):
        return str(value).lower()
    return f"“{value}”" if isinstance(value, str) else str(value)


def _name(noun: str, key: Any, names: Names) -> str:
    name = names.get((noun, key))
    return f"{noun} “{name}”" if name else f"{noun} {key}"


def _joined(parts: tuple[Rule, ...], word: str, names: Names) -> str:
    return word.join(_part(part, names) for part in parts)


def _part(rule: Rule, names: Names) -> str:
    text = describe(rule, names)
    return f"({text})" if isinstance(rule, Union | Intersection | Difference) else text


def _words(parts: tuple[Criterion, ...], word: str, names: Names) -> str:
    shown = (describe_criteria(part, names) for part in parts)
    return word.join(
        f"({text})" if isinstance(part, AllOf | AnyOf) else text
        for part, text in zip(parts, shown, strict=True)
    )
