"""The data keys of people: found, or created where a person of an older release has none.

It reads the table in plain SQL, so that models can import it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.conf import settings
from django.db import connection, transaction

from vault.cells import Key
from vault.master import master_keys
from vault.store import create_keys, load_data_keys

_AT_ONCE = 1_000


KEY_COLUMNS = (
    "key_id, (SELECT k.wrapped FROM vault_datakey k WHERE k.id = u.key_id)"
    if settings.KEYS_ALIAS == "default"
    else "key_id, NULL"
)
"""SQL for the columns of a KeyRow but the first, of the person named `u`."""
KeyRow = tuple[int, int | None, bytes | None]
"""The id of a person; the id of their key, where they have one; and the key in its wrapped form,
where it was read from the main database together with the person."""


def keys_of_people(rows: Iterable[KeyRow]) -> dict[int, Key]:
    """Returns the keys of people, by user id. A person without a key gets one.

    People whose key was erased are left out.
    """
    unwrap = master_keys().unwrap
    found: dict[int, Key] = {}
    elsewhere: dict[int, int] = {}
    without: list[int] = []
    for user_id, key_id, wrapped in rows:
        if key_id is None:
            without.append(user_id)
        elif wrapped is None:
            elsewhere[user_id] = key_id
        else:
            found[user_id] = Key(key_id, unwrap(wrapped, key_id))
    if elsewhere:
        keys = load_data_keys(elsewhere.values())
        found.update((user, keys[key]) for user, key in elsewhere.items() if key in keys)
    return found | _create(without) if without else found


def load_keys_of_people(user_ids: Iterable[int]) -> dict[int, Key]:
    """Does the same for the ids of people; unknown ids are left out."""
    return keys_of_people(_stored(sorted(set(user_ids))))


def _stored(user_ids: list[int]) -> list[KeyRow]:
    found: list[KeyRow] = []
    with connection.cursor() as cursor:
        for start in range(0, len(user_ids), _AT_ONCE):
            part = user_ids[start : start + _AT_ONCE]
            which, values = _among(part)
            cursor.execute(
                f"SELECT id, {KEY_COLUMNS} FROM directory_user AS u WHERE id {which}",  # noqa: S608
                values,
            )
            found += cursor.fetchall()
    return found


def _among(ids: list[int]) -> tuple[str, list[Any]]:
    """Returns a condition with its values. One array costs less than a mark for each id."""
    if connection.vendor == "postgresql":
        return "= ANY(%s)", [ids]
    return f"IN ({', '.join(['%s'] * len(ids))})", list(ids)


def _create(user_ids: list[int]) -> dict[int, Key]:
    """Gives keys to people of an older release. Of two processes, the first one's keys count."""
    made = dict(zip(user_ids, create_keys(len(user_ids)), strict=True))
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.executemany(
            "UPDATE directory_user SET key_id = %s WHERE id = %s AND key_id IS NULL",
            [(key.id, user_id) for user_id, key in made.items()],
        )
        stored = _stored(user_ids)
    ids = {user_id: key_id for user_id, key_id, _ in stored if key_id is not None}
    others = load_data_keys(key for user, key in ids.items() if key != made[user].id)
    ours = {user: made[user] for user, key in ids.items() if key == made[user].id}
    return ours | {user: others[key] for user, key in ids.items() if key in others}
