"""Sessions have time-outs on both sides, the pool drops dead sessions, forks inherit none."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from django.db import OperationalError

from carillon.postgres import session as session_module
from carillon.postgres.base import DatabaseWrapper
from carillon.postgres.limits import Limits
from carillon.servers import PostgresServer
from tests.functional.databases import admin, connected, query_value, stopped
from tests.functional.tcp_proxy import TcpProxy
from tests.pace import within

TIMEOUTS = {
    "statement_timeout": "30s",
    "lock_timeout": "5s",
    "idle_in_transaction_session_timeout": "10s",
}
ON_TCP = {
    "tcp_keepalives_idle": "5",
    "tcp_keepalives_interval": "3",
    "tcp_keepalives_count": "3",
    "tcp_user_timeout": "10s",
}


@pytest.fixture(autouse=True)
def _own_connections(django_db_blocker: Any) -> Iterator[None]:
    """Allows connections: none of them is to the tests' own database."""
    with django_db_blocker.unblock():
        yield


@pytest.fixture
def database(postgres: PostgresServer) -> Iterator[DatabaseWrapper]:
    with connected(postgres.url) as made:
        yield made


@pytest.fixture
def proxy(postgres: PostgresServer) -> Iterator[TcpProxy]:
    with TcpProxy(postgres) as between:
        yield between


@pytest.fixture
def _short_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Detects a silent server in a second or two, instead of ten or fifteen."""
    monkeypatch.setattr(session_module, "_SILENCE_S", 0.3)
    monkeypatch.setattr(session_module, "_GRACE_S", 0.3)
    monkeypatch.setattr(session_module, "_PROBE_S", 2)


@pytest.mark.parametrize(("name", "value"), TIMEOUTS.items())
def test_the_server_has_its_time_outs(database: DatabaseWrapper, name: str, value: str) -> None:
    assert query_value(database, f"SHOW {name}") == value


def test_the_kernel_has_its_time_outs_on_both_sides(database: DatabaseWrapper) -> None:
    options = database.get_connection_params()
    kernel = ("connect_timeout", "tcp_user_timeout", "keepalives", "keepalives_idle")
    kernel += ("keepalives_interval", "keepalives_count")
    assert [options[name] for name in kernel] == ["5", "10000", "1", "5", "3", "3"]
    for name, value in ON_TCP.items():
        # On a unix socket the server shows 0: there is no network that could fail.
        assert f"-c {name}={value.replace('10s', '10000')}" in options["options"]


def test_a_url_overrides_each_of_them(proxy: TcpProxy) -> None:
    options = "?connect_timeout=7&tcp_user_timeout=3000&options=-c%20tcp_user_timeout%3D2000"
    with connected(proxy.url + options) as database:
        options = database.get_connection_params()
        assert (options["connect_timeout"], options["tcp_user_timeout"]) == ("7", "3000")
        query_value(database)


def test_a_transaction_that_idles_loses_its_session_and_its_locks(
    postgres: PostgresServer,
) -> None:
    with connected(postgres.url, idle_s=0.2) as idler, connected(postgres.url) as other:
        idler.set_autocommit(False)
        query_value(idler, "SELECT pg_advisory_xact_lock(71)::text")
        # It waits until the idle session is ended.
        query_value(other, "SELECT pg_advisory_xact_lock(71)::text")
        with pytest.raises(OperationalError):
            query_value(idler)


def test_a_wait_for_a_lock_ends_at_its_limit(postgres: PostgresServer) -> None:
    with connected(postgres.url) as holder, connected(postgres.url, lock_s=0.2) as waiter:
        holder.set_autocommit(False)
        query_value(holder, "SELECT pg_advisory_xact_lock(72)::text")
        with pytest.raises(OperationalError, match="lock timeout"):
            query_value(waiter, "SELECT pg_advisory_xact_lock(72)::text")
        holder.rollback()


def test_a_statement_runs_no_longer_than_its_limit(postgres: PostgresServer) -> None:
    with (
        connected(postgres.url, statement_s=0.2) as database,
        pytest.raises(OperationalError, match="statement timeout"),
    ):
        query_value(database, "SELECT pg_sleep(20)")


def test_a_server_that_became_a_replica_is_an_operational_error(database: DatabaseWrapper) -> None:
    query_value(database, "SELECT set_config('default_transaction_read_only', 'on', false)")
    with pytest.raises(OperationalError, match="read-only"):
        query_value(database, "CREATE TABLE refused (id int)")
    database.connection.close()


def test_other_limits_hold_for_a_block(database: DatabaseWrapper) -> None:
    with database.limited(Limits(statement_s=3600, lock_s=2, idle_s=60)):
        assert query_value(database, "SHOW statement_timeout") == "1h"
        assert database.connection.limits.statement_s == 3600
    assert query_value(database, "SHOW statement_timeout") == "30s"


@pytest.mark.usefixtures("_short_limits")
class TestSilence:
    """A server that acknowledges every packet and never responds: no kernel detects that."""

    def test_a_silent_connection_is_given_up(self, proxy: TcpProxy) -> None:
        with connected(proxy.url) as database:
            query_value(database)
            proxy.freeze()
            with within(5), pytest.raises(OperationalError, match="does not respond"):
                query_value(database)
            proxy.unfreeze()
            assert query_value(database) == 1

    def test_a_silent_commit_is_given_up(self, proxy: TcpProxy) -> None:
        with connected(proxy.url) as database:
            database.set_autocommit(False)
            query_value(database)
            proxy.freeze()
            with pytest.raises(OperationalError, match="does not respond"):
                database.commit()

    def test_a_silent_server_takes_no_connection(self, proxy: TcpProxy) -> None:
        with connected(proxy.url + "?connect_timeout=2") as database:
            proxy.freeze()
            with within(4), pytest.raises(OperationalError, match="timeout"):
                query_value(database)

    def test_a_stopped_backend_is_given_up_after_the_limit_of_a_statement(
        self, postgres: PostgresServer
    ) -> None:
        with connected(postgres.url, statement_s=1.0) as database:
            pid = query_value(database, "SELECT pg_backend_pid()")
            with stopped(pid):
                began = time.monotonic()
                with within(5), pytest.raises(OperationalError, match="does not respond"):
                    query_value(database)
                assert time.monotonic() - began > 1.2

    def test_a_slow_statement_continues_while_the_server_responds_to_others(
        self, database: DatabaseWrapper
    ) -> None:
        assert query_value(database, "SELECT pg_sleep(1.0)::text") == ""


class TestPool:
    def test_a_session_that_died_idle_is_not_lent(
        self, database: DatabaseWrapper, postgres
    ) -> None:
        pid = query_value(database, "SELECT pg_backend_pid()")
        database.close()
        admin(postgres.url, f"SELECT pg_terminate_backend({pid}, 5000)")
        assert query_value(database, "SELECT pg_backend_pid()") != pid

    def test_a_session_that_died_in_use_is_replaced(
        self, database: DatabaseWrapper, postgres
    ) -> None:
        pid = query_value(database, "SELECT pg_backend_pid()")
        admin(postgres.url, f"SELECT pg_terminate_backend({pid}, 5000)")
        assert query_value(database, "SELECT pg_backend_pid()") != pid

    def test_after_a_lost_session_those_of_its_age_are_not_trusted(self, proxy: TcpProxy) -> None:
        """A host that vanished is silent on all sessions: each would cost ten seconds."""
        with connected(proxy.url) as database:
            pool = database.pool
            assert pool is not None
            held = [pool.getconn() for _ in range(3)]
            for each in held[1:]:
                pool.putconn(each)
            held[0].pgconn.finish()
            pool.putconn(held[0])
            fresh = pool.getconn()
            assert fresh not in held
            pool.putconn(fresh)

    def test_an_exhausted_pool_is_a_clear_error_in_time(self, postgres: PostgresServer) -> None:
        with connected(postgres.url, pool=1, pool_s=0.1) as database:
            query_value(database)
            with pytest.raises(OperationalError, match="CARILLON_DATABASE_POOL_SIZE"):
                with database.wrap_database_errors:
                    database.pool.getconn()

    def test_a_waiting_caller_gets_a_returned_session(self, database: DatabaseWrapper) -> None:
        pool = database.pool
        assert pool is not None
        held = [pool.getconn() for _ in range(3)]
        late: list[object] = []
        thread = threading.Thread(target=lambda: late.append(pool.getconn()))
        thread.start()
        pool.putconn(held.pop())
        thread.join(5)
        assert len(late) == 1
        for each in [*held, *late]:
            pool.putconn(each)

    def test_a_transaction_that_was_left_open_is_rolled_back(
        self, database: DatabaseWrapper
    ) -> None:
        database.set_autocommit(False)
        query_value(database, "SELECT pg_advisory_xact_lock(73)::text")
        database.close()
        assert query_value(database, "SELECT pg_try_advisory_xact_lock(73)::text") == "true"


class TestRestart:
    def test_all_callers_continue_at_once_when_the_server_is_back(self) -> None:
        """There is no back-off: the first caller gets a connection."""
        with PostgresServer(durable=False) as server, connected(server.url) as database:
            query_value(database)
            server.stop()
            with within(1), pytest.raises(OperationalError):
                query_value(database)
            server.start()
            with within(1):
                assert query_value(database) == 1

    def test_the_outcome_of_a_transaction_is_not_hidden_by_the_next_connection(
        self, proxy: TcpProxy
    ) -> None:
        """Django opens the next connection at once, and would report its error instead."""
        with connected(proxy.url) as database:
            database.set_autocommit(False)
            query_value(database)
            proxy.cut()
            with pytest.raises(OperationalError, match=r"closed|terminat|reset"):
                database.commit()
            database.close()
            database.set_autocommit(True)
            assert database.connection is None


class TestFork:
    def test_a_child_inherits_no_connection_and_the_parents_stays_open(
        self, database: DatabaseWrapper
    ) -> None:
        pid = query_value(database, "SELECT pg_backend_pid()")
        reader, writer = os.pipe()
        child = os.fork()
        if child == 0:
            try:
                database.connection = None
                found = query_value(database, "SELECT pg_backend_pid()")
                os.write(writer, str(found).encode())
                database.close()
                database.close_pool()
            finally:
                os._exit(0)
        os.waitpid(child, 0)
        os.close(writer)
        with os.fdopen(reader) as answers:
            theirs = int(answers.read())
        assert theirs != pid
        assert query_value(database, "SELECT pg_backend_pid()") == pid
