"""The key store: creates, loads, rotates and erases data keys.

A key is committed here before the rows that need it are written. Nothing is cached beyond a
`scope`, so that an erasure has no process to inform.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime

from django.conf import settings
from django.db import IntegrityError, connections, transaction
from django.utils import timezone

from vault.cells import Key, KeyErased, SealBroken, key_id_of
from vault.master import KEY_BYTES, master_keys
from vault.models import DataKey, ErasedKey

_AT_ONCE = 1_000
_RANDOM_BITS = 22
_DRAWS = 8


class KeyStoreMismatch(SealBroken):
    """The key store lacks a key that was never erased. It concerns the rows of that key only."""


class _Scope(threading.local):
    """The keys that the current slice or request has loaded."""

    depth = 0

    def __init__(self) -> None:
        self.keys: dict[int, Key | None] = {}


_scope = _Scope()


@contextlib.contextmanager
def scope() -> Iterator[None]:
    """Holds loaded keys until the block ends. Blocks may be nested; the outermost one counts."""
    _scope.depth += 1
    try:
        yield
    finally:
        _scope.depth -= 1
        if not _scope.depth:
            _scope.keys.clear()


def create_keys(count: int, kind: str = DataKey.Kind.PERSON) -> list[Key]:
    """Creates data keys and commits them at once. Their ids follow one another."""
    for _ in range(_DRAWS):
        drawn = _draw(count)
        try:
            _insert(drawn, kind)
        except IntegrityError:
            continue  # another process drew the same ids in the same millisecond
        found = [key for key, _ in drawn]
        if _scope.depth:
            _scope.keys.update((key.id, key) for key in found)
        return found
    raise RuntimeError("no free ids of data keys were found")


def draw_keys(count: int, kind: str) -> tuple[list[Key], list[DataKey]]:
    """Returns new data keys, and their rows, which are not written yet."""
    drawn = _draw(count)
    rows = [DataKey(id=key.id, kind=kind, wrapped=wrapped) for key, wrapped in drawn]
    return [key for key, _ in drawn], rows


def _draw(count: int) -> list[tuple[Key, bytes]]:
    """Returns new data keys, each with its wrapped form."""
    masters, first = master_keys(), _first_id()
    made = [(first + n, os.urandom(KEY_BYTES)) for n in range(count)]
    return [(Key(key_id, secret), masters.wrap(secret, key_id)) for key_id, secret in made]


def _insert(drawn: Sequence[tuple[Key, bytes]], kind: str) -> None:
    """Inserts keys by one statement; on SQLite by one that the driver prepares once."""
    store = connections[settings.KEYS_ALIAS]
    at = store.ops.adapt_datetimefield_value(timezone.now())
    with transaction.atomic(using=settings.KEYS_ALIAS), store.cursor() as cursor:
        if store.vendor == "postgresql":
            cursor.execute(
                "INSERT INTO vault_datakey (id, kind, wrapped, created_at)"
                " SELECT id, %s, wrapped, %s"
                " FROM unnest(%s::bigint[], %s::bytea[]) AS drawn (id, wrapped)",
                [str(kind), at, [key.id for key, _ in drawn], [wrapped for _, wrapped in drawn]],
            )
        else:
            rows = [(key.id, str(kind), wrapped, at) for key, wrapped in drawn]
            cursor.executemany(
                "INSERT INTO vault_datakey (id, kind, wrapped, created_at) VALUES (%s, %s, %s, %s)",
                rows,
            )


def _first_id() -> int:
    """Returns an id of 63 bits: milliseconds since 1970, then random bits."""
    return (time.time_ns() // 1_000_000) << _RANDOM_BITS | secrets.randbits(_RANDOM_BITS - 1)


def first_id_at(at: datetime) -> int:
    """Returns the lowest id that a key of this time can have."""
    return int(at.timestamp() * 1000) << _RANDOM_BITS


def load_data_keys(ids: Iterable[int | None]) -> dict[int, Key]:
    """Returns the data keys with these ids, by id. Erased ones are left out.

    Raises:
        KeyStoreMismatch: a key is missing that was never erased.
    """
    wanted = {each for each in ids if each is not None}
    known = _scope.keys if _scope.depth else {}
    found = {each: key for each in wanted if (key := known.get(each)) is not None}
    absent = sorted(wanted - known.keys())
    for start in range(0, len(absent), _AT_ONCE):
        found.update(_read(absent[start : start + _AT_ONCE]))
    _check_erased(set(absent) - found.keys())
    if _scope.depth:
        known.update((each, found.get(each)) for each in absent)
    return found


def _check_erased(ids: set[int]) -> None:
    """Checks that missing keys were erased: with another installation's store, all would be."""
    erased: set[int] = set()
    for start in range(0, len(ids), _AT_ONCE):
        part = sorted(ids)[start : start + _AT_ONCE]
        erased.update(ErasedKey.objects.filter(pk__in=part).values_list("pk", flat=True))
    if lost := sorted(ids - erased):
        raise KeyStoreMismatch(
            f"the key store lacks the key {lost[0]}, which was never erased: check"
            " CARILLON_KEYS_DIR or CARILLON_KEYS_DATABASE_URL, or restore the key store"
        )


def _read(ids: Sequence[int]) -> dict[int, Key]:
    connection, masters = connections[settings.KEYS_ALIAS], master_keys()
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute("SELECT id, wrapped FROM vault_datakey WHERE id = ANY(%s)", [list(ids)])
        else:
            marks = ", ".join(["%s"] * len(ids))
            cursor.execute(f"SELECT id, wrapped FROM vault_datakey WHERE id IN ({marks})", ids)  # noqa: S608 -- marks
        rows = cursor.fetchall()
    return {row[0]: Key(row[0], masters.unwrap(row[1], row[0])) for row in rows}


def open_cell(cell: bytes | memoryview, about: bytes = b"") -> bytes:
    """Returns the content of a cell, with its key from the store.

    Raises:
        KeyErased: the key was erased.
        SealBroken: the bytes are no cell, or were altered.
    """
    key_id = key_id_of(cell)
    if key_id is None:
        raise SealBroken("sealed bytes of an unknown format")
    key = load_data_keys([key_id]).get(key_id)
    if key is None:
        raise KeyErased(f"the key {key_id} was erased")
    return key.open(cell, about)


def erase_keys(ids: Iterable[int], *, at: datetime | None = None) -> int:
    """Deletes keys and logs that they were erased, in one transaction; returns how many existed."""
    wanted, at = sorted(set(ids)), at or timezone.now()
    erased = 0
    for start in range(0, len(wanted), _AT_ONCE):
        part = wanted[start : start + _AT_ONCE]
        with transaction.atomic(using=settings.KEYS_ALIAS):
            kinds = dict(DataKey.objects.filter(pk__in=part).values_list("pk", "kind"))
            ErasedKey.objects.bulk_create(
                [
                    ErasedKey(id=each, kind=kinds.get(each, DataKey.Kind.PERSON), erased_at=at)
                    for each in part
                ],
                ignore_conflicts=True,
            )
            erased += DataKey.objects.filter(pk__in=part).delete()[0]
    for each in wanted:
        _scope.keys.pop(each, None)
    return erased


def rewrap_keys(after: int, count: int = _AT_ONCE) -> tuple[int, int, int]:
    """Wraps some keys by the current master key; it may run while others use them.

    Args:
        after: the id of the last key that was looked at; 0 at the beginning.
        count: the most keys to look at.

    Returns:
        the id of the last key, how many keys were looked at, and how many were wrapped again.
    """
    masters = master_keys()
    with transaction.atomic(using=settings.KEYS_ALIAS):
        rows = list(DataKey.objects.filter(pk__gt=after).order_by("pk")[:count])
        old = [row for row in rows if not masters.is_current(row.wrapped)]
        for row in old:
            # Compared with what was read: of two rotations at once, each key is wrapped by one.
            before, key_id = bytes(row.wrapped), row.pk
            wrapped = masters.wrap(masters.unwrap(before, key_id), key_id)
            DataKey.objects.filter(pk=key_id, wrapped=before).update(wrapped=wrapped)
    return (rows[-1].pk if rows else after), len(rows), len(old)
