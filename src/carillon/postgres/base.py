"""Django's PostgreSQL backend with our own sessions and pool.

A dead connection is replaced before the next statement outside a transaction, for requests, tasks
and threads of workers alike. No connection survives a fork. Every time that a row can have can be
read.
"""

from __future__ import annotations

import os
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC
from typing import Any

from django.db import connections
from django.db.backends.base.base import NO_DB_ALIAS
from psycopg import IsolationLevel

from carillon.postgres.commits import VerifiedCommits
from carillon.postgres.limits import Limits
from carillon.postgres.pool import Pool
from carillon.postgres.readers import lenient_adapters
from carillon.postgres.session import Session

_sessions: weakref.WeakSet[Session] = weakref.WeakSet()
_pools: dict[str, Pool] = {}


class DatabaseWrapper(VerifiedCommits):
    """OPTIONS: `limits` (Limits), `pool` ({max_size, timeout} or None), and options of libpq."""

    @property
    def pool(self) -> Pool | None:
        options = self.settings_dict["OPTIONS"].get("pool")
        if self.alias == NO_DB_ALIAS or not options:
            return None
        found = _pools.get(self.alias)
        if found is None:
            found = _pools.setdefault(self.alias, Pool(self._open, **options))
        return found

    def close_pool(self) -> None:
        """Closes the idle sessions; the next call creates a new pool, with the options of then."""
        pool = _pools.pop(self.alias, None)
        if pool is not None:
            pool.close()

    def get_connection_params(self) -> dict[str, Any]:
        params: dict[str, Any] = super().get_connection_params()
        params.pop("limits", None)
        if self.timezone == UTC:
            params["context"] = lenient_adapters(params["context"])
        return params

    def get_new_connection(self, conn_params: dict[str, Any]) -> Session:
        self.isolation_level = IsolationLevel.READ_COMMITTED
        pool = self.pool
        return self._open() if pool is None else pool.getconn()

    def _open(self) -> Session:
        limits = self.settings_dict["OPTIONS"].get("limits", Limits())
        session = Session.open(limits, **self.get_connection_params(), autocommit=True)
        _sessions.add(session)
        try:
            session.learn_limits()
            self._configure_connection(session)  # type: ignore[attr-defined]  # the stubs leave it out
        except BaseException:
            session.close()
            raise
        return session

    def ensure_connection(self) -> None:
        # Only between transactions: autocommit is off in them, and until their hooks have run.
        if self.autocommit and self.connection is not None and self.connection.is_lost():
            self.close()
        super().ensure_connection()

    def set_autocommit(
        self, autocommit: bool, force_begin_transaction_with_broken_autocommit: bool = False
    ) -> None:
        if autocommit and self.connection is None:
            # A transaction ended with its connection. Django would open the next one here, and
            # report that the database is unavailable, instead of the transaction's outcome.
            self.autocommit = True
            return
        super().set_autocommit(autocommit, force_begin_transaction_with_broken_autocommit)

    @contextmanager
    def limited(self, limits: Limits) -> Iterator[None]:
        """Sets other limits for this thread's connection until the block ends."""
        self.ensure_connection()
        session = self.connection
        assert session is not None
        before = session.limits
        with self.wrap_database_errors:
            session.set_limits(limits)
        try:
            yield
        finally:
            if not session.closed:
                with self.wrap_database_errors:
                    session.set_limits(before)


def _forget_after_fork() -> None:
    """Drops the parent's sessions in the child without sending anything to the server.

    The child closes the sockets, so that the server notices when the parent ends. libpq gets a
    descriptor of /dev/null, because it would end the parent's session when it closes.
    """
    if not _sessions:
        return
    nowhere = os.open(os.devnull, os.O_RDWR)
    for session in list(_sessions):
        if not session.closed:
            os.dup2(nowhere, session.pgconn.socket)
            session._closed = True
    os.close(nowhere)
    _sessions.clear()
    _pools.clear()
    for wrapper in connections.all(initialized_only=True):
        if isinstance(wrapper, DatabaseWrapper):
            wrapper.connection = None
            wrapper.in_atomic_block = False


os.register_at_fork(after_in_child=_forget_after_fork)
