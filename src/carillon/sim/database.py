"""SQLite on the baton: each statement and commit is a port, and waits for locks use virtual time.

The killer of a process closes its connections, which rolls back their open transactions.
"""

from __future__ import annotations

import functools
import re
import sqlite3
from collections.abc import Callable
from functools import partial
from typing import Any

from carillon.sim.baton import Baton, Killed

_BUSY_S = 5.0
_AGAIN_S = 0.05
_LABEL = 48
_SAVEPOINT = re.compile(r"s\d+_x\d+")  # named after the thread, which differs from run to run


class FileLocks:
    """`carillon.sqlite.filelock` on the baton: the lock that writers queue for."""

    def __init__(self, baton: Baton) -> None:
        self._baton = baton
        self._holder: dict[str, int] = {}
        self._next = 1_000_000

    def acquire(self, path: str, seconds: float) -> int | None:
        """Locks a file; None when another thread held the lock all the time."""
        if not self._baton.is_inside():
            return 0
        if not self._baton.wait(lambda: path not in self._holder, seconds, "write lock"):
            return None
        self._next += 1
        self._holder[path] = self._next
        number, process = self._next, self._baton.current.process
        process.on_kill.append(lambda: self.release(number))
        return number

    def release(self, file: int) -> None:
        """Unlocks the file."""
        self._holder = {path: holder for path, holder in self._holder.items() if holder != file}


class SimCursor(sqlite3.Cursor):
    """A cursor whose statements are ports."""

    def execute(self, sql: str, *args: Any) -> Any:
        """Runs a statement when the thread has the baton again."""
        _port(sql)
        return _patiently(partial(super().execute, sql, *args))

    def executemany(self, sql: str, *args: Any) -> Any:
        """Does the same for many rows."""
        _port(sql)
        return _patiently(partial(super().executemany, sql, *args))


class SimConnection(sqlite3.Connection):
    """A connection whose statements and commits are ports. It ends with its process."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **{**kwargs, "timeout": 0.0})
        if _run.baton.is_inside():
            _run.baton.current.process.on_kill.append(self.close)

    def cursor(self, factory: Any = sqlite3.Cursor) -> Any:
        """Returns a cursor of the requested class, with ports."""
        _check_alive()
        return super().cursor(_with_ports(factory))

    def execute(self, *args: Any) -> Any:
        """Runs a statement on a new cursor."""
        return self.cursor().execute(*args)

    def executemany(self, *args: Any) -> Any:
        """Does the same for many rows."""
        return self.cursor().executemany(*args)

    def commit(self) -> None:
        """Commits, with a port before and one after: the response may be lost."""
        _port("COMMIT")
        _patiently(super().commit)
        _port("committed")

    def rollback(self) -> None:
        """Rolls back without a port: the end of a transaction after a fault is not interrupted."""
        _check_alive()
        super().rollback()


class _Run:
    baton: Baton


_run = _Run()


def use(baton: Baton) -> None:
    """Makes every connection of this process run on a baton."""
    _run.baton = baton


@functools.cache
def _with_ports(factory: type[sqlite3.Cursor]) -> type[sqlite3.Cursor]:
    """Returns a class whose base is SimCursor, because Django's wrapper calls `super()`."""
    return SimCursor if factory is sqlite3.Cursor else type("Sim", (factory, SimCursor), {})


def _port(sql: str) -> None:
    if _run.baton.is_inside():
        _run.baton.step(_SAVEPOINT.sub("s", " ".join(sql[:_LABEL].split())))


def _patiently(call: Callable[[], Any]) -> Any:
    """Retries while another thread holds SQLite's own lock, as SQLite's busy handler does."""
    baton = _run.baton
    until = baton.now_s + _BUSY_S
    while True:
        try:
            return call()
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or not baton.is_inside() or baton.now_s >= until:
                raise
            baton.wait(lambda: False, _AGAIN_S, "busy")


def _check_alive() -> None:
    if _run.baton.is_inside() and not _run.baton.current.process.alive:
        raise Killed
