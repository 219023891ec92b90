"""Compiles an audience into one SQL predicate over `directory_user AS u`."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any, cast

from directory.audiences.criteria import Ago, AllOf, AnyOf, Criterion, Not, Scalar, Test
from directory.audiences.dialects.dialect import Dialect
from directory.audiences.dialects.sql import (
    EVERY_USER,
    Members,
    Sql,
    Window,
    either,
    every,
    negated,
)
from directory.audiences.fields import CONTACTS, FIELDS, PUSH, Field, Kind, Op
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
    Union,
)

_SUBSCRIBED = Sql("m.state = 'subscribed'")
_MEMBERSHIPS = {
    "groups": ("directory_groupmembership", "group_id", EVERY_USER),
    "lists": ("directory_listmembership", "list_id", _SUBSCRIBED),
}
_SIGNS = {Op.LT: "<", Op.LTE: "<=", Op.GT: ">", Op.GTE: ">="}


class Compiler:
    """Compiles resolved rules for one database, one moment and one window of users."""

    def __init__(self, dialect: Dialect, *, now: datetime, window: Window | None = None) -> None:
        self._dialect = dialect
        self._now = now
        self._window = window

    def people(self, rule: Rule) -> Sql:
        """Returns the condition under which an active user is in the audience."""
        parts = [Sql("u.is_active"), self.rule(rule)]
        if self._window is not None:
            parts.insert(0, Sql("u.id > %s AND u.id <= %s", self._window))
        return every(parts)

    def rule(self, rule: Rule) -> Sql:
        """Compiles one rule, without the condition that the user is active."""
        match rule:
            case Everyone():
                return EVERY_USER
            case OfRole(role):
                return Sql("u.role = %s", (role,))
            case Listed(users):
                return self._listed(cast("tuple[int, ...]", users))
            case Matching(criteria):
                return self.criterion(criteria)
            case Union(parts):
                return either(self.rule(part) for part in parts)
            case Intersection(parts):
                return every(self.rule(part) for part in parts)
            case Difference(base, without):
                return every([self.rule(base), negated(self.rule(without))])
            case OfSubject(subject):
                return self._subjects([subject])
            case _:
                return self._members(members_of(rule))

    def criterion(self, criterion: Criterion) -> Sql:
        """Compiles one criterion."""
        match criterion:
            case AllOf(parts):
                return every(self.criterion(part) for part in parts)
            case AnyOf(parts):
                return either(self.criterion(part) for part in parts)
            case Not(part):
                return negated(self.criterion(part))
            case Test(op=Op.NE):
                return negated(self._test(criterion, Op.EQ))
            case Test(op=Op.NOT_IN):
                return negated(self._test(criterion, Op.IN))
            case Test():
                return self._test(criterion, criterion.op)

    def _listed(self, users: Sequence[int]) -> Sql:
        """Compiles the part of a sorted list that is inside the window."""
        if self._window is not None:
            first, last = (bisect_right(users, bound) for bound in self._window)
            users = users[first:last]
        return self._dialect.listed(users)

    def _members(self, members: Members) -> Sql:
        return self._dialect.members(members, self._window)

    def _subjects(self, subjects: Sequence[Any] | None) -> Sql:
        """Compiles the students and teachers of one of these subjects; None: of any subject."""
        condition = EVERY_USER
        if subjects is not None:
            condition = self._dialect.one_of_ids("m.subject_id", subjects)
        return either(
            self._members(Members("directory_enrollment", column, condition))
            for column in ("student_id", "teacher_id")
        )

    def _test(self, test: Test, op: Op) -> Sql:
        field = FIELDS[test.field]
        values: Any = test.value if isinstance(test.value, tuple) else (test.value,)
        make: dict[Kind, Callable[[], Sql]] = {
            Kind.CHOICE: lambda: self._text(field, op, values),
            Kind.TEXT: lambda: self._text(field, op, values),
            Kind.MOMENT: lambda: self._moment(field, op, values[0]),
            Kind.MEMBERSHIP: lambda: self._membership(field, op, values),
            Kind.CONTACT: lambda: self._contact(op, values),
            Kind.ATTRIBUTE: lambda: self._attribute(test.keys, op, values),
        }
        return make[field.kind]()

    def _text(self, field: Field, op: Op, values: Sequence[str]) -> Sql:
        column = f"u.{field.column}"
        if op is Op.EXISTS:
            found = Sql(f"{column} <> ''")
        elif op is Op.CONTAINS:
            found = self._dialect.contains(column, values[0])
        elif op is Op.STARTS_WITH:
            found = self._dialect.starts_with(column, values[0])
        else:
            found = self._dialect.one_of(column, values)
        return _never_null(column, found)

    def _moment(self, field: Field, op: Op, value: datetime | Ago | bool) -> Sql:
        column = f"u.{field.column}"
        if op is Op.EXISTS:
            return Sql(f"({column} IS NOT NULL)")
        moment = self._now - timedelta(hours=value.hours) if isinstance(value, Ago) else value
        return _never_null(
            column, Sql(f"{column} {_SIGNS[op]} %s", (self._dialect.moment(moment),))
        )

    def _membership(self, field: Field, op: Op, values: Sequence[Any]) -> Sql:
        ids = None if op is Op.EXISTS else values
        if field.name == "subjects":
            return self._subjects(ids)
        table, column, condition = _MEMBERSHIPS[field.name]
        if ids is not None:
            condition = every([condition, self._dialect.one_of_ids(f"m.{column}", ids)])
        return self._members(Members(table, "user_id", condition, narrow=ids is not None))

    def _contact(self, op: Op, values: Sequence[str]) -> Sql:
        kinds = CONTACTS if op is Op.EXISTS else values
        addresses = [kind for kind in kinds if kind != PUSH]
        parts = []
        if addresses:
            one = self._dialect.one_of("m.kind", addresses)
            active = Sql(f"m.state = 'active' AND {one.text}", one.params)
            parts.append(Members("directory_contactpoint", "user_id", active, narrow=False))
        if PUSH in kinds:
            live = Sql("m.expired_at IS NULL")
            parts.append(Members("directory_device", "user_id", live, narrow=False))
        return either(self._members(part) for part in parts)

    def _attribute(self, keys: Sequence[str], op: Op, values: Sequence[Scalar]) -> Sql:
        if op is Op.EXISTS:
            return self._dialect.attribute_exists(keys)
        if op is Op.CONTAINS:
            return self._dialect.attribute_contains(keys, values[0])
        if op is Op.STARTS_WITH:
            return self._dialect.attribute_starts_with(keys, str(values[0]))
        if op in _SIGNS:
            return self._dialect.attribute_order(keys, _SIGNS[op], values[0])
        return self._dialect.attribute_in(keys, values)


def members_of(rule: Rule) -> Members:
    """Returns the table that a resolved membership rule reads.

    Raises:
        TypeError: the rule was not resolved.
    """
    match rule:
        case OfTutor(tutor):
            return Members(
                "directory_tutorassignment", "student_id", Sql("m.tutor_id = %s", (tutor,))
            )
        case OfTeacher(teacher):
            return Members(
                "directory_enrollment", "student_id", Sql("m.teacher_id = %s", (teacher,))
            )
        case InGroup(group):
            return Members("directory_groupmembership", "user_id", Sql("m.group_id = %s", (group,)))
        case OnList(mailing_list):
            condition = every([Sql("m.list_id = %s", (mailing_list,)), _SUBSCRIBED])
            return Members("directory_listmembership", "user_id", condition)
    raise TypeError(f"{type(rule).__name__} must be resolved before it is compiled")


def _never_null(column: str, found: Sql) -> Sql:
    return Sql(f"({column} IS NOT NULL AND {found.text})", found.params)
