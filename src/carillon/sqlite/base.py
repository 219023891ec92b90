"""Django's SQLite backend plus one file lock around every write.

SQLite's own busy handler polls with growing sleeps (up to 100 ms), so a web request could wait long
behind a busy worker and lose to luckier writers. A lock on a file beside the database wakes the
next writer at once, and is waited for no longer than OPTIONS' `timeout` says: a process may have
been stopped inside a transaction. It guards nothing: SQLite's own lock still does, whoever opens
the file.
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
"""Connections of a process that forked. SQLite forbids its child even to close them."""


def read_time(data: bytes) -> datetime | None:
    """A time as Django stores it (naive, UTC), within the accepted range; None for what is none.

    SQLite holds any text in such a column. A row that cannot be read would take with it all who
    stand in the other rows of a query.
    """
    text = data.decode(errors="replace")
    try:
        ordinary = datetime.fromisoformat(text)
        if ordinary.tzinfo is None and _FIRST <= ordinary <= _LAST:
            return ordinary  # nearly all are so; the pipeline reads one or two a message
        found = parse_datetime(text)
    except ValueError:
        return None
    if found is None:
        return None
    return clamp_moment(found).astimezone(UTC).replace(tzinfo=None)


for _kind in ("datetime", "timestamp"):
    sqlite3.register_converter(_kind, read_time)


class DatabaseWrapper(base.DatabaseWrapper):
    """Takes the file lock before BEGIN IMMEDIATE and drops it with the transaction."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._lock_file: int | None = None
        self.lock_wait_s = float(self.settings_dict["OPTIONS"].get("timeout", 5.0))
        """How long a transaction waits for its turn. May be set at any time."""
        self.execute_wrappers.append(self._in_turn)

    def _in_turn(
        self, execute: Callable[..., Any], sql: str, params: Any, many: bool, context: Any
    ) -> Any:
        """A statement that writes outside of any transaction waits in the same queue: by SQLite's
        own busy handler it would lose to all who do."""
        alone = not self.in_atomic_block and self._lock_file is None and self.autocommit
        if not alone or sql[:6].upper() not in _WRITES:
            return execute(sql, params, many, context)
        self._acquire_lock()
        try:
            return execute(sql, params, many, context)
        finally:
            self._release_lock()

    def get_new_connection(self, conn_params: dict[str, Any]) -> Any:
        """Opens the file. A new one is its owner's alone: it holds tokens and addresses.

        SQLite gives the files beside it (-wal, -shm) the mode of the database.
        """
        name = str(conn_params["database"])
        if name != ":memory:" and not name.startswith("file:"):
            # Only where there is none: to close a database's file would drop SQLite's own locks.
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
        """In the child: what was the parent's is left alone."""
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
