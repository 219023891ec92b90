"""Checks, within a time limit, whether the database can be read and written.

Each health response tries a read. A write is tried once every few seconds: it commits one row and
makes the database's disk allocate new space, which a full disk refuses.
"""

from __future__ import annotations

import errno
import os
import tempfile
from pathlib import Path

from django.db import connection, transaction

from notifications.infra import clock
from notifications.infra.database.errors import is_locked, is_missing, is_unavailable, sqlstate
from notifications.infra.process.probing import Probe
from notifications.models import WriteProbe

NO_ANSWER = "the database does not answer"
_FULL = "the database's disk is full: no request can be accepted"
_READ_ONLY = "the database is read-only"
_WRITE_EVERY_S = 5.0
_RETRY_S = 1.0
_WRITE_WAIT_S = 0.4
_STUCK_S = 5.0
_NEW_SPACE = 1 << 20  # bytes
_SPILL = (
    "SELECT count(*) FROM"
    " (SELECT repeat(i::text, 60) FROM generate_series(1, 4000) AS i ORDER BY 1) AS spilled"
)
"""1 MB to sort in 64 KB of memory: the rest goes to a temporary file on the database's disk."""
_TEMP_FILE_LIMIT = "53400"


def _read() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
        cursor.fetchone()


def _write() -> None:
    if connection.vendor == "postgresql":
        _write_postgres()
    else:
        _write_row()
        _claim_space(Path(str(connection.settings_dict["NAME"])).parent)


def _write_row() -> None:
    row = WriteProbe(pk=1, at=clock.now())
    with transaction.atomic():
        WriteProbe.objects.bulk_create(
            [row], update_conflicts=True, unique_fields=["id"], update_fields=["at"]
        )


def _write_postgres() -> None:
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute(
                "SET LOCAL statement_timeout = '4s'; SET LOCAL lock_timeout = '1s';"
                " SET LOCAL work_mem = '64kB'"
            )
            cursor.execute(_SPILL)
        _write_row()


def _claim_space(folder: Path) -> None:
    with tempfile.TemporaryFile(dir=folder) as file:
        os.posix_fallocate(file.fileno(), 0, _NEW_SPACE)


_reads = Probe("database-read", _read)
_writes = Probe("database-write", _write)


def reading_fault(within_s: float) -> str:
    """Returns why the database cannot be read; empty when it can."""
    found = _reads.check(within_s=within_s)
    return "" if found is not None and found.error is None else NO_ANSWER


def writing_fault() -> str:
    """Returns why writes fail; empty when they succeed, or when a write has only just begun."""
    found = _writes.check(within_s=_WRITE_WAIT_S, fresh_s=_WRITE_EVERY_S, retry_s=_RETRY_S)
    if found is None:
        seconds = _writes.hanging_s()
        return "" if seconds < _STUCK_S else f"a write has not ended for {seconds:.0f} s"
    return _reason(found.error) if found.error else ""


def forget() -> None:
    """Discards the results and running probes: the next check starts a new probe."""
    _reads.forget()
    _writes.forget()


def _reason(error: Exception) -> str:
    """Returns what an error of the write means; the driver's text may name hosts and users."""
    state = sqlstate(error)
    number = error.errno if isinstance(error, OSError) else None
    text = str(error)
    if state == "53100" or number in (errno.ENOSPC, errno.EDQUOT) or "disk is full" in text:
        return _FULL
    if state == "25006" or number == errno.EROFS or "readonly" in text:
        return _READ_ONLY
    if "locked" in text:
        return "another process holds the database's lock: no write got through"
    if is_locked(error) or state == _TEMP_FILE_LIMIT:
        return ""  # another process writes the same row, or the server limits temporary files
    if is_missing(error):
        return ""  # migrations are not applied: the check of migrations reports it
    return NO_ANSWER if is_unavailable(error) else f"a write failed: {type(error).__name__}"
