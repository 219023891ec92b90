"""PostgreSQL on the baton: a port before each round trip.

While a thread waits for another thread's lock, the other threads continue. The server chooses
which of two waiting threads gets a lock first, so a seed does not repeat exactly, unlike on SQLite.
"""

from __future__ import annotations

from typing import Any, ClassVar, TypeVar

import psycopg
from psycopg.abc import PQGen

from carillon.postgres import base
from carillon.postgres.session import Session
from carillon.sim.baton import Baton

T = TypeVar("T")


class SimSession(Session):
    """A session whose round trips are ports. The server ends the sessions of a killed process."""

    baton: ClassVar[Baton]
    admin: ClassVar[psycopg.Connection[Any]]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.baton.is_inside():
            pid = self.pgconn.backend_pid
            self.baton.current.process.on_kill.append(lambda: self._terminate(pid))

    def _terminate(self, pid: int) -> None:
        self.admin.execute("SELECT pg_terminate_backend(%s)", [pid])

    def wait(self, gen: PQGen[T], interval: float = 0.1, timeout: float | None = None) -> T:
        """See Session."""
        if not self.baton.is_inside():
            return super().wait(gen, interval, timeout)
        return self.baton.outside(
            lambda: super(SimSession, self).wait(gen, interval, timeout), "pg"
        )


def use(baton: Baton, admin: psycopg.Connection[Any]) -> None:
    """Makes every session of this process run on a baton."""
    SimSession.baton, SimSession.admin = baton, admin
    setattr(base, "Session", SimSession)  # noqa: B010 -- for the rest of the process


def clone(settings: dict[str, Any], name: str) -> psycopg.Connection[Any]:
    """Copies the database of the settings, and makes the settings name the copy.

    Returns a connection to another database, for administration.
    """
    host = settings["HOST"]
    admin = psycopg.connect(host=host, user=settings["USER"], dbname="template1", autocommit=True)
    admin.execute(f'DROP DATABASE IF EXISTS "{name}"')
    admin.execute(f'CREATE DATABASE "{name}" TEMPLATE "{settings["NAME"]}"')
    settings["NAME"] = name
    settings["OPTIONS"] = {**settings["OPTIONS"], "pool": None}
    return admin
