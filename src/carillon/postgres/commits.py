"""Finds the outcome of a transaction whose COMMIT was sent and got no response."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import psycopg
import structlog
from django.db import InterfaceError, OperationalError
from django.db.backends.postgresql import base
from psycopg.pq import ConnStatus, TransactionStatus

from carillon.postgres.session import Session
from notifications.infra.database.commits import CommitAborted, CommitUncertain

log = structlog.get_logger("carillon.database")
_PATIENCE_S = 2.0
_PAUSE_S = 0.05
_COMMITTED, _ABORTED, _UNKNOWN = "committed", "aborted", ""
_READS = ("SELECT ", "SHOW ", "SET ", "EXPLAIN ")


class VerifiedCommits(base.DatabaseWrapper):
    """Django's backend, which finds the outcome of a commit whose response is lost."""

    connection: Session | None

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        #: Whether commits of transactions that begin now are verified.
        #: `notifications.infra.database.commits` sets this and `made`.
        self.verifies_commits = False
        #: What the current transaction creates.
        self.made: dict[str, str] = {}
        self.execute_wrappers.append(self._mark_lost_writes_uncertain)

    def _set_autocommit(self, autocommit: bool) -> None:
        super()._set_autocommit(autocommit)  # type: ignore[misc]  # the stubs leave it out
        if self.connection is not None:
            self.connection.requests_xact_id = self.verifies_commits and not autocommit

    def _commit(self) -> None:
        session = self.connection
        if session is None or not self.verifies_commits:
            super()._commit()  # type: ignore[misc]  # the stubs leave it out
            return
        open_before = session.pgconn.transaction_status == TransactionStatus.INTRANS
        try:
            super()._commit()  # type: ignore[misc]  # the stubs leave it out
        except (OperationalError, InterfaceError) as error:
            if not open_before or not _is_broken(session):
                raise
            self._resolve(session, error)
        finally:
            self.made = {}

    def _resolve(self, session: Session, error: Exception) -> None:
        """Returns if the transaction was committed; the connection is then a new one.

        Raises:
            CommitUncertain: the outcome is unknown.
            CommitAborted: the transaction was aborted; its cause is that of `error`.
        """
        fate = fate_of(session)
        log.warning("commit.answer-lost", fate=fate or "unknown", xact_id=session.xact_id)
        if fate == _ABORTED:
            aborted = CommitAborted(*error.args)
            aborted.__cause__ = error.__cause__
            raise aborted
        if fate == _UNKNOWN:
            raise CommitUncertain(self.made) from error
        hooks = self.run_on_commit
        self.close()
        try:
            self.connect()
        except OperationalError:
            self.connection = None  # the next statement opens one; the transaction is committed
        self.run_on_commit = hooks
        if self.connection is None:
            self.run_and_clear_commit_hooks()

    def _mark_lost_writes_uncertain(
        self, execute: Callable[..., Any], sql: Any, params: Any, many: bool, context: Any
    ) -> Any:
        """Raises CommitUncertain for a write outside a transaction whose response is lost."""
        try:
            return execute(sql, params, many, context)
        except OperationalError as error:
            session = self.connection
            commits_itself = self.autocommit and not str(sql).lstrip().upper().startswith(_READS)
            lost = commits_itself and session is not None and _is_broken(session)
            if self.verifies_commits and lost:
                raise CommitUncertain(self.made) from error
            raise


def _is_broken(session: Session) -> bool:
    return session.closed or session.pgconn.status == ConnStatus.BAD


def fate_of(session: Session) -> str:
    """Returns committed, aborted, or "" when the server does not report it in two seconds."""
    if session.xact_id is None:
        return _UNKNOWN
    found: list[str] = []
    poller = threading.Thread(
        target=_poll_fate, args=(session, found), name="commit-fate", daemon=True
    )
    poller.start()
    poller.join(_PATIENCE_S)
    return found[0] if found else _UNKNOWN


def _poll_fate(session: Session, found: list[str]) -> None:
    """Polls until the outcome is known: the server may be starting, or the transaction ending."""
    until = time.monotonic() + _PATIENCE_S
    while time.monotonic() < until:
        fate = _query_fate(session)
        if fate:
            found.append(fate)
            return
        time.sleep(_PAUSE_S)


def _query_fate(session: Session) -> str:
    try:
        with psycopg.connect(**session.address) as connection:
            row = connection.execute(
                "SELECT pg_xact_status(%s::text::xid8)", [session.xact_id]
            ).fetchone()
    except psycopg.errors.InvalidParameterValue:
        return _ABORTED  # the id is not yet assigned: the server restarted without the transaction
    except psycopg.Error:
        return _UNKNOWN
    return row[0] if row and row[0] in (_COMMITTED, _ABORTED) else _UNKNOWN
