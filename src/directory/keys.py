"""The data keys of people: found, or created where a person of an older release has none.

It reads the table in plain SQL, so that models can import it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from django.db import connection, transaction

from vault.cells import Key
from vault.store import create_keys, keys_of_rows

_AT_ONCE = 1_000


class KeyColumns(NamedTuple):
    """What a person's row says of their key."""

    #: None where the person has no key yet.
    key_id: int | None
    #: The wrapped key, where it is in the main database.
    wrapped: bytes | None = None


def keys_of_people(found: Mapping[int, KeyColumns]) -> dict[int, Key]:
    """Returns the keys of people, by user id. A person without a key gets one.

    People whose key was erased are left out.
    """
    loaded = keys_of_rows(columns for columns in found.values() if columns.key_id is not None)
    without = [user_id for user_id, columns in found.items() if columns.key_id is None]
    given = _create(without) if without else {}
    keys = {
        user_id: loaded.get(columns.key_id or 0)
        for user_id, columns in found.items()
        if columns.key_id is not None
    }
    return {**{user: key for user, key in keys.items() if key is not None}, **given}


def load_keys_of_people(user_ids: Iterable[int]) -> dict[int, Key]:
    """Does the same for the ids of people; unknown ids are left out."""
    return keys_of_people(_stored(sorted(set(user_ids))))


def _stored(user_ids: list[int]) -> dict[int, KeyColumns]:
    found: dict[int, KeyColumns] = {}
    with connection.cursor() as cursor:
        for start in range(0, len(user_ids), _AT_ONCE):
            part = user_ids[start : start + _AT_ONCE]
            marks = ", ".join(["%s"] * len(part))
            cursor.execute(
                f"SELECT id, key_id FROM directory_user WHERE id IN ({marks})",  # noqa: S608 -- marks
                part,
            )
            found.update((row[0], KeyColumns(row[1])) for row in cursor.fetchall())
    return found


def _create(user_ids: list[int]) -> dict[int, Key]:
    """Gives keys to people of an older release. Of two processes, the first one's keys count."""
    made = dict(zip(user_ids, create_keys(len(user_ids)), strict=True))
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.executemany(
            "UPDATE directory_user SET key_id = %s WHERE id = %s AND key_id IS NULL",
            [(key.id, user_id) for user_id, key in made.items()],
        )
        stored = _stored(user_ids)
    others = {pk: each for pk, each in stored.items() if each.key_id != made[pk].id}
    loaded = keys_of_rows(others.values())
    ours = {pk: made[pk] for pk in stored if pk not in others}
    return ours | {pk: loaded[each.key_id] for pk, each in others.items() if each.key_id in loaded}
