"""PgBouncer in transaction mode: no code relies on a session, and the time-outs hold."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.db import OperationalError

from carillon.postgres.limits import Limits
from carillon.servers import PostgresServer
from tests.functional.databases import (
    admin,
    connected,
    in_transaction,
    needs_pgbouncer,
    pgbouncer,
    query_value,
)
from tests.functional.installation import Installation
from tests.prepared import prepared

pytestmark = [needs_pgbouncer, pytest.mark.processes]
DROPS = "ignore_startup_parameters = options"
"""From the manual: the session's settings are dropped. Without this, they are refused."""


@pytest.fixture(autouse=True)
def _own_connections(django_db_blocker: Any) -> Iterator[None]:
    with django_db_blocker.unblock():
        yield


@pytest.mark.parametrize("extra", [DROPS, ""], ids=["drops options", "refuses options"])
def test_each_transaction_sets_its_limits_and_leaves_none(
    postgres: PostgresServer, extra: str
) -> None:
    with pgbouncer(postgres, extra=extra, pool=1) as url, connected(url) as database:
        with in_transaction(database):
            assert query_value(database, "SHOW lock_timeout") == "5s"
            assert query_value(database, "SHOW statement_timeout") == "30s"
            assert query_value(database, "SHOW idle_in_transaction_session_timeout") == "10s"
        assert query_value(database, "SHOW lock_timeout") == "0", "the next client's are its own"
        with database.limited(Limits(statement_s=60)), in_transaction(database):
            assert query_value(database, "SHOW statement_timeout") == "1min"


def test_a_transaction_may_begin_with_many_rows_in_one_go(postgres: PostgresServer) -> None:
    """psycopg sends them as a pipeline, whose messages have one statement each."""
    with pgbouncer(postgres, extra=DROPS) as url, connected(url) as database:
        with in_transaction(database), database.cursor() as cursor:
            cursor.executemany("SELECT %s::int", [[1], [2], [3]])
            assert query_value(database, "SELECT 4") == 4


def test_a_transaction_that_idles_is_ended(postgres: PostgresServer) -> None:
    with pgbouncer(postgres, extra=DROPS) as url, connected(url, idle_s=0.2) as idler:
        idler.set_autocommit(False)
        query_value(idler, "SELECT pg_advisory_xact_lock(81)::text")
        with connected(postgres.url) as other:
            # It waits until the idle session is ended.
            query_value(other, "SELECT pg_advisory_xact_lock(81)::text")
        with pytest.raises(OperationalError):
            query_value(idler)


def test_limits_of_the_role_stay(postgres: PostgresServer) -> None:
    """As scaling.md advises: they apply outside transactions, too."""
    admin(postgres.url, "CREATE ROLE bounced LOGIN SUPERUSER")
    for name, value in Limits(statement_s=20).settings().items():
        admin(postgres.url, f"ALTER ROLE bounced IN DATABASE postgres SET {name} = {value}")
    with pgbouncer(postgres, extra=DROPS, role="bounced") as url, connected(url) as database:
        assert query_value(database, "SHOW statement_timeout") == "20s"
        assert not database.connection.carries_limits


IN_ONE_PROCESS = """
import asyncio, json
from click.testing import CliRunner
from django.test import Client
from carillon.cli import carillon
from directory.models import User
from notifications.models import NotificationMessage
from notifications.engine.worker import Worker

def run(*words):
    done = CliRunner().invoke(carillon, words)
    assert done.exit_code == 0, (words, done.output, done.exception)
    return done.stdout.strip()

run("migrate", "--quiet")
run("demo", "--quiet")
run("templates", "check")
client = Client(headers={"authorization": "Bearer " + run("token", "admin")})
page = client.get("/api/v1/templates")
assert page.status_code == 200 and page.json()["results"], page.content
body = {"template_path": "user.payment.success", "channels": ["email"],
        "user_id": User.objects.get(username="student1").pk, "context": {"amount": "29.99"}}
answers = [
    client.post("/api/v1/notifications/send", body, "application/json",
                headers={"idempotency-key": "once"})
    for _ in range(2)
]
assert answers[0].status_code in (200, 201, 202), answers[0].content
assert answers[0].content == answers[1].content
found = json.loads(CliRunner().invoke(carillon, ["doctor", "--json"]).output)["findings"]
(finding,) = [each for each in found if each["name"] == "time-outs"]
assert not finding["well"] and "lock_timeout" in finding["detail"]
assert "ALTER ROLE" in finding["fix"]
asyncio.run(Worker().main(once=True))
print(json.dumps(list(NotificationMessage.objects.values_list("channel", "status"))))
"""


def test_the_service_runs_behind_it(tmp_path: Path) -> None:
    """Runs migrations, templates without a limit, checks, an idempotent send and a worker."""
    with (
        PostgresServer(durable=False, prepared=prepared("postgres")) as server,
        pgbouncer(server, extra=DROPS) as url,
    ):
        place = Installation(tmp_path, database_url=url)
        assert json.loads(place.python(IN_ONE_PROCESS)) == [["email", "sent"]]
