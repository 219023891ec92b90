"""The data keys of people and of addresses: found, or created where there is none yet."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from django.db import connection, transaction

from directory.addresses import normalise_address
from directory.models import AddressKey, User
from vault.cells import Key
from vault.indexes import blind_index
from vault.models import DataKey
from vault.store import create_keys, keys_of_rows

_AT_ONCE = 1_000


Addresses = Mapping[str, str]
"""The addresses of one send, by kind: `email`, `phone`, `telegram`."""


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
    wanted = sorted(set(user_ids))
    rows: dict[int, KeyColumns] = {}
    for start in range(0, len(wanted), _AT_ONCE):
        part = User.objects.filter(pk__in=wanted[start : start + _AT_ONCE])
        rows.update((pk, KeyColumns(key)) for pk, key in part.values_list("pk", "key_id"))
    return keys_of_people(rows)


def _create(user_ids: list[int]) -> dict[int, Key]:
    """Gives keys to people of an older release. Of two processes, the first one's keys count."""
    made = dict(zip(user_ids, create_keys(len(user_ids)), strict=True))
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.executemany(
            "UPDATE directory_user SET key_id = %s WHERE id = %s AND key_id IS NULL",
            [(key.id, user_id) for user_id, key in made.items()],
        )
        rows = User.objects.filter(pk__in=user_ids).values_list("pk", "key_id")
        stored = {pk: KeyColumns(key_id) for pk, key_id in rows}
    others = {pk: each for pk, each in stored.items() if each.key_id != made[pk].id}
    loaded = keys_of_rows(others.values())
    kept = {pk: made[pk] for pk in stored if pk not in others}
    return kept | {pk: loaded[each.key_id] for pk, each in others.items() if each.key_id in loaded}


def keys_of_addresses(sends: Sequence[Addresses]) -> list[Key | None]:
    """Returns the key of each send without a user: that of the first address it names.

    An address without a key gets one. None where the key was erased.
    """
    indexes = [[address_index(kind, text) for kind, text in each.items()] for each in sends]
    kinds = {
        index: kind
        for each, own in zip(sends, indexes, strict=True)
        for kind, index in zip(each, own, strict=True)
    }
    firsts = list(dict.fromkeys(own[0] for own in indexes))
    stored = _stored(firsts)
    without = [index for index in firsts if index not in stored]
    if without:
        made = create_keys(len(without), DataKey.Kind.ADDRESS)
        _link(zip(without, (key.id for key in made), strict=True), kinds)
        stored |= _stored(without)
    further = [(other, stored[own[0]]) for own in indexes for other in own[1:]]
    if further:
        _link(further, kinds)
    loaded = keys_of_rows(KeyColumns(key_id) for key_id in stored.values())
    return [loaded.get(stored[own[0]]) for own in indexes]


def _stored(indexes: Iterable[str]) -> dict[str, int]:
    rows = AddressKey.objects.filter(index__in=list(indexes)).order_by("-key_id")
    return dict(rows.values_list("index", "key_id"))  # the first key of an address wins


def _link(pairs: Iterable[tuple[str, int]], kinds: Mapping[str, str]) -> None:
    AddressKey.objects.bulk_create(
        [AddressKey(kind=kinds[index], index=index, key_id=key_id) for index, key_id in pairs],
        ignore_conflicts=True,
    )


def address_index(kind: str, given: str) -> str:
    """Returns the blind index of an address, of its kind and normal form."""
    return blind_index(f"{kind}:{normalise_address(kind, given)}")
