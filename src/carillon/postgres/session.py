"""A psycopg connection on which no call waits forever.

The server ends a statement that waits for a lock, runs or idles for too long (`Limits`). The kernel
ends a connection whose host is gone (`tcp_user_timeout`, keepalives). This class handles the case
that neither detects: a server that acknowledges every packet and never responds.
"""

from __future__ import annotations

import select
import time
from typing import Any, Self, TypeVar

import psycopg
import structlog
from psycopg import errors, generators
from psycopg.abc import PQGen
from psycopg.pq import ConnStatus, ExecStatus, TransactionStatus
from psycopg.pq.abc import PGconn

from carillon.postgres.limits import Limits

log = structlog.get_logger("carillon.database")
T = TypeVar("T")
_INTERVAL_S = 0.1  # psycopg's own: how often a wait checks for Ctrl-C
_GRACE_S = 5.0
"""The server ends a statement at its limit. This long after the limit, it will not any more."""
_SILENCE_S = 10.0
_PROBE_S = 3
_REFUSALS = ("unsupported startup parameter", "command-line options")
"""How PgBouncer, and Amazon's proxy, report that they do not accept `options`."""
_OF_THE_SESSION = (errors.IdleInTransactionSessionTimeout, errors.ReadOnlySqlTransaction)
"""psycopg calls these internal errors, as if the statement were wrong. The session is unusable: its
transaction was idle too long, or the server has become a replica."""
_XACT_ID = b"SELECT pg_current_xact_id()"
_ANY_MISSING = (
    "SELECT current_setting('statement_timeout') = '0' OR current_setting('lock_timeout') = '0'"
    " OR current_setting('idle_in_transaction_session_timeout') = '0'"
)


class Session(psycopg.Connection[Any]):
    """A connection that knows its limits, and whether the server has closed it.

    If a pooler dropped the session's settings, each BEGIN sets the limits in the same message. That
    costs no round trip and works with PgBouncer's transaction mode.
    """

    _pool: Any

    def __init__(self, pgconn: PGconn, *args: Any, **kwargs: Any) -> None:
        super().__init__(pgconn, *args, **kwargs)
        self.limits = Limits()
        self.carries_limits = False
        self.opened_at = time.monotonic()
        self.requests_xact_id = False
        """Whether BEGIN requests the transaction's id, in the same message."""
        self.xact_id: str | None = None
        self.address: dict[str, Any] = {}
        self._poller = select.poll()
        self._poller.register(pgconn.socket, select.POLLIN)

    @classmethod
    def open(cls, limits: Limits, **params: Any) -> Self:
        """Opens a connection. params: of psycopg's `connect`, with the limits in `options`.

        If a pooler refuses `options`, connects again without them.

        Raises:
            psycopg.OperationalError: no response in `connect_timeout`, or the server refused.
        """
        try:
            session = cls.connect(**params)
        except psycopg.OperationalError as error:
            if not params.get("options") or not any(word in str(error) for word in _REFUSALS):
                raise
            log.info("database.options-refused", fix="see scaling.md on PgBouncer")
            session = cls.connect(**{**params, "options": ""})
        session.limits = limits
        session.address = {**params, "connect_timeout": _PROBE_S, "options": ""}
        return session

    def learn_limits(self) -> None:
        """Checks whether the server has the limits; a pooler may have dropped them."""
        row = self.execute(_ANY_MISSING).fetchone()
        self.carries_limits = bool(row and row[0])

    def set_limits(self, limits: Limits) -> None:
        """Changes the limits. Costs a round trip, unless BEGIN carries them."""
        if not self.carries_limits:
            self.execute(b"; ".join(limits.statements("SET")))
        self.limits = limits

    def is_lost(self) -> bool:
        """Whether the server closed the connection. Takes 1 us.

        Between statements, the server sends nothing else.
        """
        return self.pgconn.status == ConnStatus.BAD or bool(self._poller.poll(0))

    def wait(self, gen: PQGen[T], interval: float = _INTERVAL_S, timeout: float | None = None) -> T:
        """Waits for a response, at most as long as the server may need.

        Raises:
            psycopg.OperationalError: no response; the connection is closed.
        """
        try:
            return self._wait(gen, interval, timeout)
        except _OF_THE_SESSION as error:
            raise psycopg.OperationalError(str(error)) from error

    def _wait(self, gen: PQGen[T], interval: float, timeout: float | None) -> T:
        if timeout is not None:
            return super().wait(gen, interval, timeout)
        give_up_at = time.monotonic() + self.limits.statement_s + _GRACE_S
        while True:
            patience = max(0.0, min(_SILENCE_S, give_up_at - time.monotonic()))
            try:
                return super().wait(gen, interval, patience)
            except errors._WaitTimeout:
                if time.monotonic() < give_up_at and self._server_responds():
                    continue
            self.pgconn.finish()
            raise psycopg.OperationalError("the database does not respond: connection closed")

    def _server_responds(self) -> bool:
        """Whether the server still accepts connections; then the statement may just be slow.

        A server that refuses is alive, too: it may have no connection left for a probe.
        """
        try:
            psycopg.Connection.connect(**self.address).close()
        except errors.ConnectionTimeout:
            return False
        except psycopg.Error:
            return True
        return True

    def _start_query(self) -> PQGen[None]:
        begins = not self._autocommit and self.pgconn.transaction_status == TransactionStatus.IDLE
        if begins:
            self.xact_id = None
        if not begins or not (self.carries_limits or self.requests_xact_id):
            yield from super()._start_query()
            return
        local = self.limits.statements("SET LOCAL") if self.carries_limits else []
        if self._pipeline:  # each message has one statement, and no response is awaited
            yield from super()._start_query()
            for statement in local:
                yield from self._exec_command(statement)
            return
        queries = [_XACT_ID] if self.requests_xact_id else []
        self._check_connection_ok()
        self.pgconn.send_query(b"; ".join([self._get_tx_start_command(), *local, *queries]))
        for result in (yield from generators.execute(self.pgconn)):
            if result.status == ExecStatus.TUPLES_OK:
                self.xact_id = (result.get_value(0, 0) or b"").decode()
            elif result.status != ExecStatus.COMMAND_OK:
                raise errors.error_from_result(result, encoding=self.pgconn._encoding)
