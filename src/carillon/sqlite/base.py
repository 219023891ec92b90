"""Django's SQLite backend plus one file lock around every write transaction.

SQLite's own busy handler polls with growing sleeps (up to 100 ms), so a web request could wait long
behind a busy worker and lose to luckier writers. An `flock` beside the database wakes the next
writer at once. It guards nothing: SQLite's own lock still does, whoever opens the file.
"""

from __future__ import annotations

import fcntl
import os
from typing import Any

from django.db.backends.sqlite3 import base


class DatabaseWrapper(base.DatabaseWrapper):
    """Takes the file lock before BEGIN IMMEDIATE and drops it with the transaction."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._lock_file: int | None = None

    def _start_transaction_under_autocommit(self) -> None:
        self._take_lock()
        try:
            super()._start_transaction_under_autocommit()  # type: ignore[misc]  # the stubs leave it out
        except BaseException:
            self._drop_lock()
            raise

    def _commit(self) -> None:
        try:
            super()._commit()  # type: ignore[misc]  # the stubs leave it out
        finally:
            self._drop_lock()

    def _rollback(self) -> None:
        try:
            super()._rollback()  # type: ignore[misc]  # the stubs leave it out
        finally:
            self._drop_lock()

    def _close(self) -> None:
        self._drop_lock()
        super()._close()  # type: ignore[misc]  # the stubs leave it out

    def _take_lock(self) -> None:
        name = str(self.settings_dict["NAME"])
        if self._lock_file is not None or ":memory:" in name or "mode=memory" in name:
            return
        self._lock_file = os.open(name + ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        fcntl.flock(self._lock_file, fcntl.LOCK_EX)

    def _drop_lock(self) -> None:
        if self._lock_file is not None:
            os.close(self._lock_file)  # closing drops the lock
            self._lock_file = None
