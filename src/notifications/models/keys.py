"""Integer keys for notifications and messages, reserved before the rows are written.

Rows that refer to each other can then be inserted with one statement for each table. PostgreSQL
hands keys out in blocks from a sequence, so that single sends query the database once a block.
SQLite increments a counter row inside the writer's transaction. A block is used for an hour at
most, so that keys rise with time: old rows are found in the order of keys.
"""

from __future__ import annotations

import os
import threading

from django.db import connection, models

from notifications.infra import clock

BLOCK = 512
BLOCK_S = 3600.0
_SEQUENCE = "notifications_key_seq"


class KeyCounter(models.Model):
    """SQLite's counter: the next free key. PostgreSQL uses a sequence instead."""

    next_key = models.BigIntegerField()


class _Block(threading.local):
    pid = 0
    start = 0
    stop = 0
    #: When the block ends, by the monotonic clock.
    until = 0.0


_block = _Block()


def reserve_keys(count: int) -> list[int]:
    """Returns `count` unique keys in ascending order, often but not always consecutive."""
    if connection.vendor == "sqlite":
        return _reserve_sqlite(count)
    if count < BLOCK:
        return _reserve_from_block(count)
    blocks = -(-count // BLOCK)
    with connection.cursor() as cursor:
        cursor.execute("SELECT nextval(%s) FROM generate_series(1, %s)", [_SEQUENCE, blocks])
        starts = sorted(row[0] for row in cursor.fetchall())
    keys: list[int] = []
    for start in starts:
        keys.extend(range(start, start + BLOCK))
    return keys[:count]


def _reserve_sqlite(count: int) -> list[int]:
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE notifications_keycounter SET next_key = next_key + %s WHERE id = 1"
            " RETURNING next_key",
            [count],
        )
        stop = cursor.fetchone()[0]
    return list(range(stop - count, stop))


def _reserve_from_block(count: int) -> list[int]:
    keys: list[int] = []
    if _block.pid != os.getpid() or _block.until <= clock.monotonic():
        # A forked child must not use its parent's block, and no process one of long ago.
        _block.pid, _block.start, _block.stop = os.getpid(), 0, 0
    while len(keys) < count:
        if _block.start == _block.stop:
            with connection.cursor() as cursor:
                cursor.execute("SELECT nextval(%s)", [_SEQUENCE])
                _block.start = cursor.fetchone()[0]
            _block.stop, _block.until = _block.start + BLOCK, clock.monotonic() + BLOCK_S
        count_here = min(count - len(keys), _block.stop - _block.start)
        keys.extend(range(_block.start, _block.start + count_here))
        _block.start += count_here
    return keys
