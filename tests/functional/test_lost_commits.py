"""Commits that are lost, or whose response is lost, on real connections."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.db import OperationalError

from carillon.postgres.base import DatabaseWrapper
from carillon.postgres.commits import fate_of
from carillon.servers import PostgresServer
from notifications.infra.database.commits import CommitUncertain
from tests.functional.databases import admin, connected, query_value
from tests.functional.tcp_proxy import COMMIT, TcpProxy
from tests.pace import within

pytestmark = pytest.mark.processes


@pytest.fixture(autouse=True)
def _own_connections(django_db_blocker: Any) -> Iterator[None]:
    """Allows connections: none of them is to the tests' own database."""
    with django_db_blocker.unblock():
        yield


@pytest.fixture
def proxy(postgres: PostgresServer) -> Iterator[TcpProxy]:
    admin(postgres.url, "CREATE TABLE IF NOT EXISTS lost_commit (word text)")
    admin(postgres.url, "TRUNCATE lost_commit")
    with TcpProxy(postgres) as found:
        yield found


@pytest.fixture
def database(proxy: TcpProxy) -> Iterator[DatabaseWrapper]:
    with connected(proxy.url) as made:
        made.verifies_commits = True
        yield made


def rows(postgres: PostgresServer) -> int:
    return int(admin(postgres.url, "SELECT count(*) FROM lost_commit"))


@contextmanager
def transaction(database: DatabaseWrapper) -> Iterator[None]:
    """Runs a transaction as Django's atomic block does."""
    database.ensure_connection()
    database.set_autocommit(False)
    try:
        yield
        database.commit()
    except OperationalError:
        database.close()  # as Django does when a rollback is no longer possible
        raise
    finally:
        database.set_autocommit(True)


def write(database: DatabaseWrapper) -> None:
    with database.cursor() as cursor:
        cursor.execute("INSERT INTO lost_commit VALUES ('x')")


def write_and_commit(database: DatabaseWrapper, before_commit: Callable[[], None]) -> None:
    with transaction(database):
        write(database)
        before_commit()


@pytest.mark.parametrize("pool", [0, 3])
def test_a_commit_succeeds_though_its_response_was_lost(
    postgres: PostgresServer, proxy: TcpProxy, pool: int
) -> None:
    done: list[str] = []
    with connected(proxy.url, pool=pool) as database:
        database.verifies_commits = True
        with transaction(database):
            write(database)
            database.run_on_commit.append((set(), lambda: done.append("hook"), False))
            proxy.cut_at = COMMIT

        assert rows(postgres) == 1
        assert done == ["hook"]
        assert query_value(database) == 1
        with transaction(database):
            write(database)
    assert rows(postgres) == 2


def test_a_commit_that_never_arrived_is_a_plain_error(
    postgres: PostgresServer, proxy: TcpProxy, database: DatabaseWrapper
) -> None:
    """Its backend may not have noticed yet that the client is gone, so the check waits for it."""
    seen: list[str] = []

    def lose() -> None:
        assert database.connection is not None
        xact_id = database.connection.xact_id
        seen.append(admin(postgres.url, f"SELECT pg_xact_status('{xact_id}')"))
        proxy.drop_at = COMMIT

    with pytest.raises(OperationalError) as caught:
        write_and_commit(database, lose)

    assert seen == ["in progress"]
    assert not isinstance(caught.value, CommitUncertain)
    assert rows(postgres) == 0
    assert query_value(database) == 1


@pytest.mark.parametrize("fate", ["cut_at", "drop_at"])
def test_a_commit_of_unknown_outcome_is_uncertain_and_names_what_it_created(
    proxy: TcpProxy, database: DatabaseWrapper, fate: str
) -> None:
    def pull() -> None:
        database.made = {"notification_id": "7"}
        proxy.then_disconnect = True
        setattr(proxy, fate, COMMIT)

    with within(4), pytest.raises(CommitUncertain) as caught:
        write_and_commit(database, pull)

    assert caught.value.made == {"notification_id": "7"}
    proxy.reconnect()
    assert query_value(database) == 1


def test_a_server_that_restarted_without_the_transaction_reports_it_aborted(
    database: DatabaseWrapper,
) -> None:
    query_value(database)
    assert database.connection is not None
    database.connection.xact_id = str(1 << 30)  # not yet assigned

    assert fate_of(database.connection) == "aborted"


def test_a_write_outside_a_transaction_whose_response_is_lost_is_uncertain(
    proxy: TcpProxy, database: DatabaseWrapper
) -> None:
    query_value(database)
    proxy.cut_at = b"INSERT INTO lost"
    with pytest.raises(CommitUncertain):
        write(database)

    proxy.cut_at = b"SELECT 1"
    with pytest.raises(OperationalError) as caught:
        query_value(database)
    assert not isinstance(caught.value, CommitUncertain)


def test_a_broken_statement_inside_a_transaction_is_not_uncertain(
    proxy: TcpProxy, database: DatabaseWrapper
) -> None:
    query_value(database)
    proxy.cut_at = b"INSERT INTO lost"
    with pytest.raises(OperationalError) as caught:
        write_and_commit(database, lambda: None)
    assert not isinstance(caught.value, CommitUncertain)


def test_only_verified_transactions_query_their_id(database: DatabaseWrapper) -> None:
    database.verifies_commits = False
    with transaction(database):
        assert query_value(database, "SELECT pg_current_xact_id_if_assigned() IS NULL")
    database.verifies_commits = True
    with transaction(database):
        query_value(database)
        session = database.connection
        assert session is not None
        assert session.xact_id == str(query_value(database, "SELECT pg_current_xact_id()"))
