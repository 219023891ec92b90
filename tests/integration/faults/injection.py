"""Errors of the database, injected at the n-th call that a worker's threads make.

Every statement and every commit of both drivers counts. `before`: the call fails and does nothing.
`after`: it is carried out, and its answer is lost.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable
from typing import Any

import psycopg
from django.db.backends.sqlite3.base import SQLiteCursorWrapper

from carillon.sqlite.base import DatabaseWrapper


class Faults:
    """Counts the calls of threads whose name begins with `carillon-`, and fails one of them."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.fail_at = 0
        self.after = False
        self._lock = threading.Lock()

    def __call__(self, what: str, call: Callable[[], Any], error: type[Exception]) -> Any:
        if not threading.current_thread().name.startswith("carillon-"):
            return call()
        with self._lock:
            self.calls.append(what)
            now = len(self.calls) == self.fail_at
        if not now:
            return call()
        if self.after:
            call()
        raise error("injected: the connection is lost")


def install(monkeypatch: Any, faults: Faults) -> None:
    """Puts the faults between Carillon and both drivers."""
    _install_sqlite(monkeypatch, faults)
    _install_postgres(monkeypatch, faults)


def _install_sqlite(monkeypatch: Any, faults: Faults) -> None:
    error = sqlite3.OperationalError

    class Connection(sqlite3.Connection):
        def execute(self, *args: Any) -> Any:
            return faults(str(args[0]), lambda: super(Connection, self).execute(*args), error)

        def executemany(self, *args: Any) -> Any:
            return faults(str(args[0]), lambda: super(Connection, self).executemany(*args), error)

        def commit(self) -> None:
            faults("COMMIT", super().commit, error)

    plain = DatabaseWrapper.get_connection_params
    monkeypatch.setattr(
        DatabaseWrapper,
        "get_connection_params",
        lambda self: {**plain(self), "factory": Connection},
    )
    for name in ("execute", "executemany"):
        original = getattr(SQLiteCursorWrapper, name)

        def faulty(self: Any, *args: Any, original: Any = original) -> Any:
            return faults(str(args[0]), lambda: original(self, *args), error)

        monkeypatch.setattr(SQLiteCursorWrapper, name, faulty)


def _install_postgres(monkeypatch: Any, faults: Faults) -> None:
    error = psycopg.OperationalError
    for name in ("execute", "executemany", "copy"):
        original = getattr(psycopg.Cursor, name)

        def faulty(self: Any, *args: Any, original: Any = original, **more: Any) -> Any:
            return faults(str(args[0]), lambda: original(self, *args, **more), error)

        monkeypatch.setattr(psycopg.Cursor, name, faulty)
    commit = psycopg.Connection.commit
    monkeypatch.setattr(
        psycopg.Connection, "commit", lambda self: faults("COMMIT", lambda: commit(self), error)
    )
