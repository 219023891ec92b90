"""How a stream walks through the ids of users: by the audience where it is a small one.

A list, a group, the students of a person and listed ids are read by their own index. So a list of
ten among a million users is one page, and not a walk over everybody. Any other audience is walked
by the ids of all users.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from typing import cast

from django.db import connection

from directory.audiences.compile import members_of
from directory.audiences.criteria import AllOf, AnyOf, Criterion, Test
from directory.audiences.dialects.sql import EVERY_USER, Members, Sql
from directory.audiences.fields import Op
from directory.audiences.rules import (
    Difference,
    InGroup,
    Intersection,
    Listed,
    Matching,
    OfTeacher,
    OfTutor,
    OnList,
    Rule,
    Union,
)

Source = Members | tuple[int, ...]
"""Where ids come from: the rows of a membership table, or sorted ids."""
_MEMBERSHIPS: dict[str, type[OnList | InGroup]] = {"lists": OnList, "groups": InGroup}


def sources_of(rule: Rule) -> tuple[Source, ...] | None:
    """Returns sources that hold everyone in a resolved rule together.

    None where only the table of users does.
    """
    match rule:
        case Listed(users):
            return (cast("tuple[int, ...]", users),)
        case OnList() | InGroup() | OfTutor() | OfTeacher():
            return (members_of(rule),)
        case Matching(criteria):
            return _sources_in(criteria)
        case Difference(base, _):
            return sources_of(base)
        case Intersection(parts):
            return _any_of(sources_of(part) for part in parts)
        case Union(parts):
            return _all_of(sources_of(part) for part in parts)
    return None


def _sources_in(criterion: Criterion) -> tuple[Source, ...] | None:
    match criterion:
        case AllOf(parts):
            return _any_of(_sources_in(part) for part in parts)
        case AnyOf(parts):
            return _all_of(_sources_in(part) for part in parts)
        case Test(field="lists" | "groups" as name, op=Op.EQ | Op.IN, value=value):
            named = value if isinstance(value, tuple) else (value,)
            return tuple(members_of(_MEMBERSHIPS[name](cast("int", each))) for each in named)
    return None


def _any_of(found: Iterable[tuple[Source, ...] | None]) -> tuple[Source, ...] | None:
    return next((each for each in found if each is not None), None)


def _all_of(found: Iterable[tuple[Source, ...] | None]) -> tuple[Source, ...] | None:
    parts = list(found)
    if any(part is None for part in parts):
        return None
    return tuple(source for part in parts for source in part or ())


def horizon(sources: tuple[Source, ...] | None, after: int, page: int) -> int | None:
    """Returns the last id of the next window above `after`, which holds at most `page` ids.

    None where no id is above `after`.
    """
    if sources is None or len(sources) > page:
        return _end_of("directory_user AS m", "id", EVERY_USER, after, page)[0]
    share = page // max(1, len(sources))
    found = [_end_of_source(source, after, share) for source in sources]
    full = [last for last, is_full in found if is_full and last is not None]
    rests = [last for last, is_full in found if not is_full and last is not None]
    return min(full) if full else max(rests, default=None)


def _end_of_source(source: Source, after: int, size: int) -> tuple[int | None, bool]:
    if isinstance(source, Members):
        table = f"{source.table} AS m"
        return _end_of(table, source.column, source.condition, after, size)
    first = bisect_right(source, after)
    part = source[first : first + size]
    return (part[-1] if part else None), len(part) == size


def _end_of(
    table: str, column: str, condition: Sql, after: int, size: int
) -> tuple[int | None, bool]:
    """Returns the last of the next `size` ids above `after`, and whether there are so many.

    None where no id is above `after`.
    """
    rest = f"FROM {table} WHERE {condition.text} AND m.{column} > %s"  # names of this package
    params = (*condition.params, after)
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT m.{column} {rest} ORDER BY m.{column} LIMIT 1 OFFSET %s",
            (*params, size - 1),
        )
        row = cursor.fetchone()
        if row is not None:
            return int(row[0]), True
        cursor.execute(f"SELECT max(m.{column}) {rest}", params)
        (last,) = cursor.fetchone()
    return last, False
