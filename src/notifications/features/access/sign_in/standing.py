"""What could have ended tokens before their time, read for any number of them by one statement."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from django.db import connection

from directory.models import User
from notifications.domain.callers import TokenOrigin
from notifications.features.access.sign_in.endings import is_before
from notifications.features.access.sign_in.rules import may_renew
from notifications.features.access.sign_in.sign_ins import password_mark
from notifications.models import SignIn

_LISTS = {
    "postgresql": ("unnest(%s::bigint[]) AS v(id)", "unnest(%s::text[]) AS v(id)"),
    "sqlite": ("(SELECT value AS id FROM json_each(%s)) AS v",) * 2,
}
_NONE = {"postgresql": "CAST(NULL AS timestamptz)", "sqlite": "NULL"}
_STATEMENT = (
    "SELECT 'all' AS what, '' AS name, tokens_not_before AS moment, '' AS mark, '' AS password,"
    " '' AS method, '' AS role, 0 AS flags"
    " FROM notifications_installationstate WHERE tokens_not_before IS NOT NULL"
    " UNION ALL SELECT 'person', CAST(v.id AS text), u.tokens_not_before, '', '', '', '',"
    " CASE WHEN u.is_active THEN 1 ELSE 0 END"
    " FROM {ids} LEFT JOIN directory_user u ON u.id = v.id"
    " WHERE u.id IS NULL OR NOT u.is_active OR u.tokens_not_before IS NOT NULL"
    " UNION ALL SELECT 'family', CAST(s.id AS text), {none}, s.password_mark, u.password, s.method,"
    " coalesce(u.staff_role, ''), CASE WHEN s.second_factor THEN 1 ELSE 0 END"
    " + CASE WHEN u.break_glass THEN 2 ELSE 0 END"
    " FROM {ids} JOIN notifications_signin s ON s.id = v.id"
    " JOIN directory_user u ON u.id = s.user_id"
    " WHERE s.kind = 'tokens' AND s.expires_at > %s AND u.is_active"
    " UNION ALL SELECT 'token', t.key_hash, {none}, '', '', '', '', 0"
    " FROM {texts} JOIN notifications_persontoken t ON t.key_hash = v.id"
)
_SECOND_FACTOR, _BREAK_GLASS = 1, 2


@dataclass(slots=True)
class Standing:
    """What is valid and what has ended, of the people and sign-ins of some tokens."""

    #: All tokens that were issued earlier have ended.
    of_all: datetime | None = None
    #: Those of a person that were issued earlier have ended.
    of_people: dict[int, datetime] = field(default_factory=dict)
    #: People who are inactive or gone.
    gone: set[int] = field(default_factory=set)
    families: set[int] = field(default_factory=set)
    token_hashes: set[str] = field(default_factory=set)

    def ended(self, origin: TokenOrigin) -> bool:
        """Whether a token is refused, although its time is not over."""
        if origin.user_id in self.gone:
            return True
        if origin.family is not None and origin.family not in self.families:
            return True
        if origin.token_hash and origin.token_hash not in self.token_hashes:
            return True
        limits = (self.of_people.get(origin.user_id), self.of_all)
        return any(is_before(origin.issued, limit) for limit in limits if limit is not None)


def read_standing(origins: Collection[TokenOrigin], *, now: datetime) -> Standing:
    """Reads what could have ended these tokens."""
    vendor = connection.vendor
    ids, texts = _LISTS[vendor]
    statement = _STATEMENT.format(ids=ids, texts=texts, none=_NONE[vendor])
    values = [
        _given({each.user_id for each in origins}),
        _given({each.family for each in origins if each.family is not None}),
        connection.ops.adapt_datetimefield_value(now),
        _given({each.token_hash for each in origins if each.token_hash}),
    ]
    standing = Standing()
    with connection.cursor() as cursor:
        cursor.execute(statement, values)
        for what, name, moment, *rest in cursor.fetchall():
            _take(standing, what, name, _moment(moment), rest)
    return standing


def _take(standing: Standing, what: str, name: str, moment: datetime | None, rest: Any) -> None:
    mark, password, method, role, flags = rest
    if what == "all":
        standing.of_all = moment
    elif what == "person":
        if not flags:
            standing.gone.add(int(name))
        elif moment is not None:
            standing.of_people[int(name)] = moment
    elif what == "token":
        standing.token_hashes.add(name)
    else:
        user = User(
            password=password,
            is_active=True,
            staff_role=role or None,
            break_glass=bool(flags & _BREAK_GLASS),
        )
        family = SignIn(method=method, second_factor=bool(flags & _SECOND_FACTOR))
        if mark == password_mark(user) and may_renew(family, user):
            standing.families.add(int(name))


def _given(values: Iterable[Any]) -> Any:
    found = sorted(values)
    return found if connection.vendor == "postgresql" else json.dumps(found)


def _moment(value: Any) -> datetime | None:
    """Returns a time of the database; SQLite stores it as text, in UTC."""
    if isinstance(value, str):
        return datetime.fromisoformat(value).replace(tzinfo=UTC)
    return value  # type: ignore[no-any-return]  # a datetime of the driver, or None
