"""Django's SQLite backend plus one file lock around every write.

SQLite's own busy handler polls with growing sleeps (up to 100 ms), so a web request could wait long
behind a busy worker and lose to other writers. A lock on a file beside the database wakes the next
writer at once. Writers wait for it at most OPTIONS' `timeout` seconds, because a process may be
stopped inside a transaction. The file lock only orders writers: SQLite's own lock still protects
the database, also from programs that ignore the file lock.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from django.db import connections
from django.db.backends.sqlite3 import base
from django.utils.dateparse import parse_datetime

from carillon.sqlite import filelock
from carillon.sqlite.like import like
from directory.moments import EARLIEST, LATEST, clamp_moment
from notifications.infra import ports

_FIRST, _LAST = EARLIEST.replace(tzinfo=None), LATEST.replace(tzinfo=None)
_WRITES = frozenset({"INSERT", "UPDATE", "DELETE", "REPLAC"})
_inherited: list[Any] = []
"""Connections of a process that forked. SQLite does not allow the child even to close them."""


def read_time(data: bytes) -> datetime | None:
    """Returns a stored time (naive, UTC) within the accepted range; None for an invalid one.

    SQLite stores any text in such a column. One unreadable row would make the whole query fail,
    and with it the work for all its other rows.
    """
    text = data.decode(errors="replace")
    try:
        ordinary = datetime.fromisoformat(text)
        if ordinary.tzinfo is None and _FIRST <= ordinary <= _LAST:
            return ordinary  # the fast path: the pipeline reads one or two per message
        found = parse_datetime(text)
    except ValueError:
        return None
    if found is None:
        return None
    return clamp_moment(found).astimezone(UTC).replace(tzinfo=None)


for _kind in ("datetime", "timestamp"):
    sqlite3.register_converter(_kind, read_time)


class DatabaseWrapper(base.DatabaseWrapper):
    """Acquires the file lock before BEGIN IMMEDIATE and releases it with the transaction."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._lock_file: int | None = None
        self.lock_wait_s = float(self.settings_dict["OPTIONS"].get("timeout", 5.0))
        """How long a transaction waits for the file lock, in seconds. May be set at any time."""
        self.execute_wrappers.append(self._in_turn)

    def _in_turn(
        self, execute: Callable[..., Any], sql: str, params: Any, many: bool, context: Any
    ) -> Any:
        """Acquires the file lock for a statement that writes outside of any transaction.

        With SQLite's own busy handler, it would lose to all writers that queue.
        """
        alone = not self.in_atomic_block and self._lock_file is None and self.autocommit
        if not alone or sql[:6].upper() not in _WRITES:
            return execute(sql, params, many, context)
        self._acquire_lock()
        try:
            return execute(sql, params, many, context)
        finally:
            self._release_lock()

    def get_new_connection(self, conn_params: dict[str, Any]) -> Any:
        """Opens the file. Only its owner may read a new one: it has tokens and addresses.

        SQLite gives the files beside it (-wal, -shm) the mode of the database.
        """
        name = str(conn_params["database"])
        if name != ":memory:" and not name.startswith("file:"):
            # O_EXCL: only a new file. To close a database's file would release SQLite's own locks.
            with contextlib.suppress(OSError):
                os.close(os.open(name, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
        made = super().get_new_connection({**conn_params, "factory": ports.SQLiteConnection})
        made.create_function("LIKE", 2, like, deterministic=True)
        made.create_function("LIKE", 3, like, deterministic=True)
        return made

    def _start_transaction_under_autocommit(self) -> None:
        self._acquire_lock()
        try:
            super()._start_transaction_under_autocommit()  # type: ignore[misc]  # the stubs leave it out
        except BaseException:
            self._release_lock()
            raise

    def _commit(self) -> None:
        try:
            super()._commit()  # type: ignore[misc]  # the stubs leave it out
        finally:
            self._release_lock()

    def _rollback(self) -> None:
        try:
            super()._rollback()  # type: ignore[misc]  # the stubs leave it out
        finally:
            self._release_lock()

    def _close(self) -> None:
        self._release_lock()
        super()._close()  # type: ignore[misc]  # the stubs leave it out

    def _acquire_lock(self) -> None:
        name = str(self.settings_dict["NAME"])
        if self._lock_file is not None or ":memory:" in name or "mode=memory" in name:
            return
        self._lock_file = filelock.acquire(name + ".lock", self.lock_wait_s)
        if self._lock_file is None:
            with self.wrap_database_errors:
                raise sqlite3.OperationalError("database is locked")

    def _release_lock(self) -> None:
        if self._lock_file is not None:
            filelock.release(self._lock_file)
            self._lock_file = None

    def forget_after_fork(self) -> None:
        """Drops the parent's connection and lock in the child, without closing them."""
        if self.connection is not None:
            _inherited.append(self.connection)
            self.connection = None
        self.in_atomic_block = False
        self._lock_file = None


def _forget_after_fork() -> None:
    for wrapper in connections.all(initialized_only=True):
        if isinstance(wrapper, DatabaseWrapper):
            wrapper.forget_after_fork()


os.register_at_fork(after_in_child=_forget_after_fork)
