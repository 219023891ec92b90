"""The pool of a process's connections. The thread that needs a connection opens it.

There are no threads, no retries and no back-off: while the database is unavailable, each caller
gets the error at once, and when it is back, the next caller gets a connection.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable

import psycopg
from psycopg.pq import TransactionStatus

from carillon.postgres.session import Session

_LIFE_S = 3600.0
_IDLE_S = 600.0


class PoolExhausted(psycopg.OperationalError):
    """All connections are in use, and none was returned in time."""


class Pool:
    """A pool of at most `max_size` sessions.

    Args:
        connect: opens a session that is ready for use.
        timeout: how many seconds a caller waits for a session.
    """

    def __init__(self, connect: Callable[[], Session], *, max_size: int, timeout: float) -> None:
        self._connect = connect
        self._max_size = max_size
        self._timeout = timeout
        self._places = threading.Semaphore(max_size)
        self._idle: deque[tuple[Session, float]] = deque()
        self._distrusted_until = 0.0
        """When a session was last found dead: sessions opened before may be dead, too."""

    def open(self) -> None:
        """Does nothing. Django calls it before it borrows a session."""

    def getconn(self) -> Session:
        """Borrows a session.

        Raises:
            PoolExhausted: no session was returned in time.
            psycopg.OperationalError: the database is unavailable.
        """
        if not self._places.acquire(timeout=self._timeout):
            raise PoolExhausted(
                f"all {self._max_size} connections (CARILLON_DATABASE_POOL_SIZE) were in use"
                f" for {self._timeout:g} s"
            )
        try:
            session = self._living() or self._connect()
        except BaseException:
            self._places.release()
            raise
        session._pool = self  # Django returns it to this pool
        return session

    def putconn(self, session: Session) -> None:
        """Returns a session: rolls back its transaction; closes a broken one."""
        try:
            self._reset(session)
            if session.closed:
                self._distrusted_until = time.monotonic()
            elif not self._is_old(session):
                self._idle.append((session, time.monotonic()))
            else:
                session.close()
            self._shrink()
        finally:
            self._places.release()

    def close(self) -> None:
        """Closes the idle sessions. A borrowed one is closed on its return."""
        self._distrusted_until = time.monotonic()
        while self._idle:
            self._idle.pop()[0].close()

    def _living(self) -> Session | None:
        while True:
            try:
                session, _ = self._idle.pop()
            except IndexError:
                return None
            if not self._is_old(session) and not session.is_lost():
                return session
            session.close()

    def _is_old(self, session: Session) -> bool:
        opened_at = session.opened_at
        return opened_at <= self._distrusted_until or time.monotonic() - opened_at > _LIFE_S

    @staticmethod
    def _reset(session: Session) -> None:
        status = session.pgconn.transaction_status
        if status == TransactionStatus.IDLE:
            return
        if status in (TransactionStatus.INTRANS, TransactionStatus.INERROR):
            try:
                session.rollback()
            except psycopg.Error:
                session.close()
        else:
            session.close()  # in the middle of something, or broken

    def _shrink(self) -> None:
        """Closes the session that was idle longest, if it was not needed for ten minutes."""
        if self._idle and time.monotonic() - self._idle[0][1] > _IDLE_S:
            try:
                session, _ = self._idle.popleft()
            except IndexError:
                return
            session.close()
