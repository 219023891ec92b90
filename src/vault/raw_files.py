"""Removes what deleted rows leave in the files of a database, as far as a database does it at once.

SQLite overwrites deleted rows (`secure_delete`), but its write-ahead log has earlier pages until it
is truncated. PostgreSQL leaves dead rows until a vacuum.
"""

from __future__ import annotations

import structlog
from django.conf import settings
from django.db import DEFAULT_DB_ALIAS, OperationalError, connections

log = structlog.get_logger("carillon.keys")
_WAIT_MS = 50
"""How long readers may delay the truncation. Writers wait meanwhile, so it is short."""


def truncate_logs() -> bool:
    """Truncates the write-ahead logs of SQLite databases; returns whether nothing is left in them.

    It is False while a reader uses one of them: call again later. True on PostgreSQL.
    """
    done = {alias: _truncate(alias) for alias in (settings.KEYS_ALIAS, DEFAULT_DB_ALIAS)}
    return all(done.values())


def _truncate(alias: str) -> bool:
    connection = connections[alias]
    if connection.vendor != "sqlite" or connection.in_atomic_block:
        return True
    with connection.cursor() as cursor:
        cursor.execute("PRAGMA busy_timeout")
        before = cursor.fetchone()[0]
        cursor.execute(f"PRAGMA busy_timeout = {_WAIT_MS}")
        try:
            cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            busy = cursor.fetchone()[0]
        except OperationalError:  # another connection has it locked
            return False
        finally:
            cursor.execute(f"PRAGMA busy_timeout = {int(before)}")
    return not busy


def vacuum_keys() -> None:
    """Frees the dead rows of erased keys on PostgreSQL, unless another vacuum runs.

    Its cost is that of the pages that changed since the last vacuum.
    """
    connection = connections[settings.KEYS_ALIAS]
    if connection.vendor != "postgresql" or connection.in_atomic_block:
        return
    try:
        with connection.cursor() as cursor:
            cursor.execute("VACUUM (SKIP_LOCKED) vault_datakey")
    except OperationalError as error:  # a limit of time: autovacuum does it later
        log.warning("keys.not_vacuumed", reason=" ".join(str(error).split()))
