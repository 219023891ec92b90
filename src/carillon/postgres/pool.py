"""The connections of a process. They are opened by who needs one, when one is needed.

There are no threads, no retries and no back-off: a database that is away is told at once to whoever
asks, and a database that is back serves the next one who does.
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
    """Every connection is in use, and none came back in time."""


class Pool:
    """At most `max_size` sessions; `timeout` is how many seconds one waits for one of them.

    connect: opens a session, ready to use.
    """

    def __init__(self, connect: Callable[[], Session], *, max_size: int, timeout: float) -> None:
        self._connect = connect
        self._max_size = max_size
        self._timeout = timeout
        self._places = threading.Semaphore(max_size)
        self._idle: deque[tuple[Session, float]] = deque()
        self._distrusted_until = 0.0
        """Sessions that were opened before this may be as dead as one that was found dead then."""

    def open(self) -> None:
        """Nothing: Django calls it before it borrows."""

    def getconn(self) -> Session:
        """Borrows a session.

        Raises:
            PoolExhausted: none was given back in time.
            psycopg.OperationalError: the database is away.
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
        session._pool = self  # Django gives it back there
        return session

    def putconn(self, session: Session) -> None:
        """Gives a session back. One in a transaction is rolled back, one that is broken closed."""
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
        """Closes what lies idle. What is lent is closed when it comes back only if it is old."""
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
        """The longest idle one goes: nobody has needed so many for a while."""
        if self._idle and time.monotonic() - self._idle[0][1] > _IDLE_S:
            try:
                session, _ = self._idle.popleft()
            except IndexError:
                return
            session.close()
