"""Loads what the decisions of a slice need, in plain SQL for both databases.

Each statement returns rows of text, in which many users have the same text (flags, not objects).
The text is the key of caches: a changed preference changes the text, and every process sees it with
its next slice. No cache has to be invalidated.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple
from uuid import UUID

from django.db import connection

from directory.keys import KEY_COLUMNS, KeyRow, keys_of_people
from directory.models.contact import (
    ADDRESSES,
    ContactAddress,
    addresses_by_user,
    device_about,
    written_to,
)
from directory.models.suppression import Suppression
from directory.models.user import user_about
from notifications.domain.preferences import CATEGORY_BITS, GENERAL_BITS
from notifications.models.content.template import HEAD_COLUMNS, NotificationTemplate
from notifications.models.delivery import hot_sqlite
from notifications.models.delivery.hot import PlainQuery, Row, fetch, fetch_together
from notifications.models.delivery.hot_rows import HALTED_SOURCES
from vault.cells import Key
from vault.sealed import open_texts

USER_COLUMNS = (
    "id",
    "uuid",
    "username",
    "email",
    "first_name",
    "last_name",
    "locale",
    "timezone",
    "avatar_url",
    "subscription_tier",
    "date_joined",
    "last_login",
    "role",
)


def _text(*columns: str) -> str:
    return " || '|' || ".join(columns)


def _bits(columns: Sequence[str]) -> str:
    return "'' || " + " || ".join(f"CAST({column} AS integer)" for column in columns)


_GENERAL = _text(
    _bits(GENERAL_BITS),
    "chosen",
    "CAST(quiet_hours_start AS text)",
    "CAST(quiet_hours_end AS text)",
    "digest_frequency",
    "timezone",
    "coalesce(CAST(dnd_until AS text), '')",
)
_CATEGORY = _text(_bits(CATEGORY_BITS), "chosen")
_STOPS = f"SELECT scope, value FROM notifications_killswitch UNION ALL SELECT {HALTED_SOURCES}"  # noqa: S608
_CIRCUMSTANCES = (
    "SELECT 'stop', 0, scope, value FROM notifications_killswitch"  # noqa: S608 -- constant text
    f" UNION ALL SELECT 'stop', 0, {HALTED_SOURCES}"
    f" UNION ALL SELECT 'general', user_id, '', {_GENERAL}"
    " FROM notifications_usernotificationpreference WHERE user_id {users}"
    f" UNION ALL SELECT 'category', user_id, category, {_CATEGORY}"
    " FROM notifications_notificationcategorypreference WHERE user_id {users}"
)
_COUNTS = (
    " UNION ALL SELECT 'count', user_id, scope || '|' || channel || '|' || window_s, entries"
    " FROM notifications_frequencycount WHERE user_id {users}"
)
_USERS = (
    f"SELECT {', '.join(USER_COLUMNS)}, is_active, sealed, {KEY_COLUMNS}"  # noqa: S608 -- constant
    " FROM directory_user AS u WHERE id {users}"
)
_HEADS = (
    f"SELECT {', '.join(HEAD_COLUMNS)} FROM notifications_notificationtemplate WHERE path {{texts}}"  # noqa: S608
)
_ADDRESSES = f"{ADDRESSES} WHERE point.user_id {{users}}"
_KEYS = f"SELECT id, {KEY_COLUMNS} FROM directory_user AS u WHERE id {{users}}"  # noqa: S608
_LISTED = (
    "EXISTS (SELECT 1 FROM directory_suppression s"
    " WHERE s.kind = point.kind AND s.address = point.address)"
)
_POINTS = (
    "SELECT point.user_id, point.kind, point.sealed, point.address, point.spelling,"  # noqa: S608
    f" point.state, {_LISTED}"
    " FROM directory_contactpoint point WHERE point.user_id {users} AND point.kind = {mark}"
)
_NEWEST = 20  # the most devices of one user that get a push
_EACH_DEVICE = (
    "SELECT user_id, id, kind, sealed, token, keys FROM ("  # noqa: S608 -- constant text
    "SELECT user_id, id, kind, sealed, token, keys, row_number() OVER"
    " (PARTITION BY user_id ORDER BY last_seen DESC, id DESC) AS place"
    " FROM directory_device WHERE user_id {users} AND expired_at IS NULL"
    f") AS d WHERE place <= {_NEWEST} ORDER BY place"
)
_ATTEMPTED = (
    "SELECT message_id, device_id, verdict FROM notifications_deliveryattempt"
    " WHERE message_id {users} AND device_id IS NOT NULL"
)
_ON_LISTS = (
    "SELECT list_id, user_id FROM directory_listmembership"
    " WHERE list_id {users} AND state = 'subscribed' AND user_id {users}"
)
_SUPPRESSED = "SELECT address FROM directory_suppression WHERE kind = {mark} AND address {texts}"


_SEALED = len(USER_COLUMNS) + 1
"""The position of the sealed column in a row of _USERS."""
_SEALED_COLUMNS = ("username", "email", "first_name", "last_name")
_FIRST_SEALED = USER_COLUMNS.index(_SEALED_COLUMNS[0])


class Circumstances(NamedTuple):
    """What is read again for every slice."""

    #: Pairs of (scope, value).
    stops: list[tuple[str, str]]
    #: The stored text of the general preferences, by user.
    preferences: dict[int, str]
    #: The stored text of the preferences for one category, by (user, category key).
    category_preferences: dict[tuple[int, str], str]
    #: Packed entries, by (user, "scope|channel|window").
    counts: dict[tuple[int, str], str]


def load_stops() -> list[tuple[str, str]]:
    """Returns (scope, value) of the kill switches in force and of paused broadcasts."""
    return [(row[0], row[1]) for row in fetch(PlainQuery(_STOPS))]


def load_circumstances(user_ids: Sequence[int], *, counts: bool = False) -> Circumstances:
    """Loads kill switches, and preferences and optionally counts of users, in one statement."""
    sql = _CIRCUMSTANCES + _COUNTS if counts else _CIRCUMSTANCES
    return _circumstances(fetch(PlainQuery(sql, (user_ids,) * (3 if counts else 2))))


def _circumstances(rows: Iterable[Row]) -> Circumstances:
    found = Circumstances([], {}, {}, {})
    for what, user_id, name, value in rows:
        if what == "stop":
            found.stops.append((name, value))
        elif what == "general":
            found.preferences[user_id] = value
        elif what == "category":
            found.category_preferences[user_id, name] = value
        else:
            found.counts[user_id, name] = value
    return found


class People(NamedTuple):
    """People, and the keys that sealed what is stored about them."""

    #: Rows of USER_COLUMNS and is_active, by user.
    rows: dict[int, Row]
    #: By user. An erased person has none.
    keys: dict[int, Key]


def load_people(user_ids: Sequence[int]) -> People:
    """Loads people."""
    return _open_people(fetch(PlainQuery(_USERS, (user_ids,)))) if user_ids else People({}, {})


def _open_people(found: list[Row]) -> People:
    keys = keys_of_people(_key_rows(found))
    rows = _typed_users(found)
    return People({row[0]: _opened(row, keys.get(row[0])) for row in rows}, keys)


def _opened(row: Row, key: Key | None) -> Row:
    """Replaces the indexes in a person's row by their texts."""
    sealed = row[_SEALED]
    if sealed is None:
        return row[:_SEALED]
    texts = open_texts(sealed, user_about(row[1]), key) if key is not None else {}
    opened = [texts.get(name, "") for name in _SEALED_COLUMNS]
    return (*row[:_FIRST_SEALED], *opened, *row[_FIRST_SEALED + len(opened) : _SEALED])


def _key_rows(rows: Iterable[Row]) -> list[KeyRow]:
    """Returns the user, who is first in a row, and the columns of the key, which are last."""
    return [(row[0], row[-2], row[-1]) for row in rows]


class SendFacts(NamedTuple):
    """What the acceptance of single sends needs."""

    #: By path, without their texts.
    templates: dict[str, NotificationTemplate]
    #: Rows of USER_COLUMNS and is_active, by user.
    users: dict[int, Row]
    #: By user.
    keys: dict[int, Key]
    here: Circumstances
    #: By user, then by kind.
    addresses: dict[int, dict[str, ContactAddress]]


def load_for_sends(paths: Sequence[str], user_ids: Sequence[int]) -> SendFacts:
    """Loads the templates at these paths, and these users with all that decides on a send to them.

    One round trip. Without users, only the templates are loaded.
    """
    if not user_ids:
        return SendFacts(load_heads(paths), {}, {}, _circumstances([]), {})
    templates, users, here, points = fetch_together(
        [
            PlainQuery(_HEADS, (paths,)),
            PlainQuery(_USERS, (user_ids,)),
            PlainQuery(_CIRCUMSTANCES, (user_ids, user_ids)),
            PlainQuery(_ADDRESSES, (user_ids,)),
        ]
    )
    people = _open_people(users)
    rows = {user_id: row for user_id, row in people.rows.items() if user_id in people.keys}
    heads = NotificationTemplate.objects.heads_of(templates)
    addresses = addresses_by_user(points, people.keys)
    return SendFacts(heads, rows, people.keys, _circumstances(here), addresses)


def load_heads(paths: Sequence[str]) -> dict[str, NotificationTemplate]:
    """Loads the templates at these paths, by path, without their texts."""
    return NotificationTemplate.objects.heads_of(fetch(PlainQuery(_HEADS, (paths,))))


def load_for_bulks(
    paths: Sequence[str], user_ids: Sequence[int]
) -> tuple[dict[str, NotificationTemplate], dict[int, Key]]:
    """Loads the templates at these paths, by path, and the keys of the users who exist, by user.

    One round trip.
    """
    queries = [PlainQuery(_HEADS, (paths,)), PlainQuery(_KEYS, (user_ids,))]
    templates, users = fetch_together(queries)
    return NotificationTemplate.objects.heads_of(templates), keys_of_people(_key_rows(users))


def _typed_users(rows: list[Row]) -> list[Row]:
    return [_typed(row) for row in rows] if connection.vendor == "sqlite" else rows


def _typed(row: tuple[Any, ...]) -> tuple[Any, ...]:
    """Converts a row of SQLite: its UUID and its times."""
    joined, seen = map(hot_sqlite.parse_time, row[10:12])
    return (row[0], UUID(row[1]), *row[2:10], joined, seen, row[12], bool(row[13]), *row[14:])


class Point(NamedTuple):
    """A contact point of a user."""

    user_id: int
    #: In the spelling that is written to.
    address: str
    state: str
    #: Whether the address is on the suppression list.
    listed: bool


def load_contacts(user_ids: Sequence[int], kind: str, keys: Mapping[int, Key]) -> list[Point]:
    """Loads the contact points of a kind. keys: the people's data keys, by user."""
    rows = fetch(PlainQuery(_POINTS, (user_ids, kind))) if user_ids else []
    return [
        Point(
            user_id,
            written_to((user_id, kind), sealed, (address, spelling), keys.get(user_id)),
            state,
            bool(listed),
        )
        for user_id, kind, sealed, address, spelling, state, listed in rows
    ]


def load_subscribed(list_ids: Sequence[int], user_ids: Sequence[int]) -> set[tuple[int, int]]:
    """Returns who of these users is on which of these mailing lists now: (list, user)."""
    rows = fetch(PlainQuery(_ON_LISTS, (list_ids, user_ids))) if list_ids and user_ids else []
    return {(row[0], row[1]) for row in rows}


def load_listed(kind: str, addresses: Iterable[str]) -> set[str]:
    """Returns which of these addresses, in their normal form, are on the suppression list."""
    forms = Suppression.address_forms(addresses)
    rows = fetch(PlainQuery(_SUPPRESSED, (kind, list(forms)))) if forms else []
    return {forms[row[0]] for row in rows}


class DeviceRow(NamedTuple):
    """A device that can receive a push."""

    user_id: int
    id: int
    kind: str
    token: str
    #: The keys of a browser's subscription.
    keys: dict[str, str]


def load_devices(user_ids: Sequence[int], data_keys: Mapping[int, Key]) -> list[DeviceRow]:
    """Returns the newest devices of these users, each user's newest first.

    data_keys: the people's data keys, by user.
    """
    found = []
    for user_id, device_id, kind, sealed, token, keys in (
        fetch(PlainQuery(_EACH_DEVICE, (user_ids,))) if user_ids else []
    ):
        key = data_keys.get(user_id)
        if sealed is not None:
            token = open_texts(sealed, device_about(user_id), key).get("token", "") if key else ""
        if token:
            read = json.loads(keys) if isinstance(keys, str) else keys
            found.append(DeviceRow(user_id, device_id, kind, token, read))
    return found


def load_attempted(message_ids: Sequence[int]) -> list[tuple[Any, ...]]:
    """Returns the results of earlier calls for these messages: (message, device, verdict)."""
    return fetch(PlainQuery(_ATTEMPTED, (message_ids,))) if message_ids else []


_KEYS_OF = (
    "SELECT m.id,"
    " n.collapse_key IS NOT NULL AND EXISTS ("
    "  SELECT 1 FROM notifications_notification o"
    "  JOIN notifications_notificationmessage om ON om.notification_id = o.id"
    "  WHERE o.user_id = n.user_id AND o.collapse_key = n.collapse_key"
    "  AND (o.created_at > n.created_at OR (o.created_at = n.created_at AND o.id > n.id))"
    "  AND om.channel = m.channel AND om.status <> 'cancelled'),"
    " n.ordering_key IS NOT NULL AND EXISTS ("
    "  SELECT 1 FROM notifications_notification o"
    "  JOIN notifications_notificationmessage om ON om.notification_id = o.id"
    "  WHERE o.user_id = n.user_id AND o.ordering_key = n.ordering_key"
    "  AND (o.created_at < n.created_at OR (o.created_at = n.created_at AND o.id < n.id))"
    "  AND om.channel = m.channel AND om.status IN ('pending', 'uncertain'))"
    " FROM notifications_notificationmessage m"
    " JOIN notifications_notification n ON n.id = m.notification_id"
    " WHERE m.id {users}"
)


def load_keys(message_ids: Sequence[int]) -> tuple[set[int], set[int]]:
    """Returns the messages that are replaced, and those that must wait.

    A newer message with the same collapse key replaces a message. A message waits for an earlier
    one with the same ordering key.
    """
    rows = fetch(PlainQuery(_KEYS_OF, (message_ids,)))
    return {row[0] for row in rows if row[1]}, {row[0] for row in rows if row[2]}


def unique(ids: Iterable[int | None]) -> list[int]:
    """Returns the ids without None and repetitions, sorted."""
    return sorted({each for each in ids if each is not None})
