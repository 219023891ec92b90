"""An audience that can be counted and streamed.

audience = Audience.of({"rule": "all_students"}, now=now)
audience.count()
for ids in audience.stream(): ...
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import connection
from django.db.models import QuerySet
from django.db.models.expressions import RawSQL

from directory.audiences.compile import Compiler
from directory.audiences.describe import describe
from directory.audiences.dialects.dialect import dialect
from directory.audiences.dialects.sql import Sql, Window
from directory.audiences.parse import parse_audience
from directory.audiences.resolve import Missing, resolve_rule
from directory.audiences.rules import Rule
from directory.audiences.walk import horizon, sources_of
from directory.models import User

PAGE = 5_000
"""The users that one statement of a stream reads; a page cannot hold more."""


@dataclass(frozen=True, slots=True)
class Audience:
    """A resolved rule at a moment."""

    rule: Rule
    #: Relative dates are counted back from this moment.
    now: datetime
    #: The listed people who receive nothing, because they do not exist or are not active.
    missing: tuple[Missing, ...] = ()
    #: The rule in English.
    description: str = ""

    @classmethod
    def of(
        cls,
        data: Any,
        *,
        now: datetime,
        path: str = "audience",
        segments: Mapping[str, Any] | None = None,
    ) -> Audience:
        """Returns the audience that a JSON object describes.

        segments: criteria that count instead of those of a saved segment, by its id or UUID.

        Raises:
            AudienceError: with every fault.
        """
        return cls.of_rule(parse_audience(data, path=path), now=now, segments=segments)

    @classmethod
    def of_rule(
        cls, rule: Rule, *, now: datetime, segments: Mapping[str, Any] | None = None
    ) -> Audience:
        """Returns the audience of a parsed rule.

        Raises:
            AudienceError: the rule names something that does not exist.
        """
        found = resolve_rule(rule, segments=segments)
        text = describe(found.rule, found.names)
        return cls(rule=found.rule, now=now, missing=found.missing, description=text)

    def count(self) -> int:
        """Returns the exact number of users in the audience, by one statement."""
        condition = self._condition(None)
        return int(_value(Sql("SELECT count(*) FROM directory_user u", ()), condition) or 0)

    def people(self) -> QuerySet[User]:
        """Returns a lazy query of the users, in ascending order of id."""
        condition = self._condition(None)
        ids = RawSQL(  # noqa: S611 -- the text is a constant, values are parameters
            f"SELECT u.id FROM directory_user u WHERE {condition.text}",  # noqa: S608
            tuple(condition.params),
        )
        return User.objects.filter(pk__in=ids).order_by("pk")

    def stream(self, *, after: int = 0, page: int = PAGE) -> Iterator[list[int]]:
        """Yields the ids above `after` in ascending order, in lists of 1 to `page` ids.

        Each list is one short statement over the next `page` ids, so that neither memory nor a
        transaction grows with the audience. They are those of the audience where an index has it,
        such as a list's or a group's, else those of all users. A reader that stopped resumes after
        its last id.
        """
        return (ids for _, ids in self.windows(after=after, page=page) if ids)

    def windows(self, *, after: int = 0, page: int = PAGE) -> Iterator[tuple[int, list[int]]]:
        """Yields each window of `stream`: its last id, and its people, who may be none.

        A reader that stopped resumes after that id.
        """
        sources = sources_of(self.rule)
        while True:
            last = horizon(sources, after, page)
            if last is None:
                return
            yield last, self._ids(Window(after, last))
            after = last

    def _ids(self, window: Window) -> list[int]:
        condition = self._condition(window)
        with connection.cursor() as cursor:
            cursor.execute(
                f"SELECT u.id FROM directory_user u WHERE {condition.text} ORDER BY u.id",  # noqa: S608
                condition.params,
            )
            return [row[0] for row in cursor.fetchall()]

    def _condition(self, window: Window | None) -> Sql:
        return Compiler(dialect(), now=self.now, window=window).people(self.rule)


def _value(select: Sql, condition: Sql) -> Any:
    with connection.cursor() as cursor:
        cursor.execute(f"{select.text} WHERE {condition.text}", condition.params)
        row = cursor.fetchone()
    return row[0] if row else None
