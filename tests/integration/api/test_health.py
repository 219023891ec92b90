"""Live, ready and well: what load balancers and alerts ask."""

from __future__ import annotations

import errno
import socket
from datetime import timedelta
from typing import Any

import pytest
from django.db import DatabaseError, OperationalError, ProgrammingError, connection
from django.db.migrations.executor import MigrationExecutor
from psycopg.errors import UndefinedTable
from rest_framework.test import APIClient

from notifications.domain.channels import Lane
from notifications.domain.loops import LOOPS
from notifications.features.operations import health, health_probes
from notifications.infra import clock
from notifications.infra.process.probing import Probe
from notifications.models import (
    DeadLetter,
    DeliveryBatch,
    KillSwitch,
    PeriodicLoop,
    WorkerProcess,
)

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _writes_well(monkeypatch: pytest.MonkeyPatch) -> None:
    """On SQLite a test's own transaction holds the lock that a true write would wait for."""
    monkeypatch.setattr(health_probes, "_writes", Probe("test", lambda: None))


@pytest.fixture(autouse=True)
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A busy machine may take seconds for what these tests prepare; one test is about the limit."""
    monkeypatch.setattr(health, "ALL_CHECKS_S", 60.0)


@pytest.fixture(autouse=True)
def _rounds() -> None:
    """Somebody has just begun to look after the schedule."""
    PeriodicLoop.objects.register(LOOPS)


@pytest.fixture
def worker() -> WorkerProcess:
    """A living worker of all lanes."""
    now = clock.now()
    return WorkerProcess.objects.create(
        owner="w", lanes=list(Lane), started_at=now, lease_until=now + timedelta(seconds=60)
    )


def make_batch(size: int, *, lane: str = "bulk", seconds_ago: float = 40, **more: Any) -> None:
    values = {"lane": lane, "channel": "email", "source": "key:1", "members": "1", **more}
    due_at = clock.now() - timedelta(seconds=seconds_ago)
    DeliveryBatch.objects.create(due_at=due_at, size=size, **values)


def make_letters(count: int) -> None:
    DeadLetter.objects.bulk_create(
        DeadLetter(
            message_id=number,
            notification_id=number,
            channel="email",
            code="x",
            failed_at=clock.now(),
        )
        for number in range(count)
    )


def test_a_living_process_says_so_without_a_database(
    api: APIClient, django_assert_num_queries: Any
) -> None:
    with django_assert_num_queries(0):
        response = api.get("/health/live")

    assert (response.status_code, response.data) == (200, {"status": "alive"})


def test_a_ready_process_has_its_database_and_migrations(api: APIClient) -> None:
    response = api.get("/health/ready")

    assert response.status_code == 200
    assert set(response.data["checks"]) == {"database", "migrations", "loops"}
    assert response.data["reasons"] == []


def test_a_process_whose_migrations_are_missing_is_not_ready(
    api: APIClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(health, "_migrations", health._Migrations())
    monkeypatch.setattr(MigrationExecutor, "migration_plan", lambda self, targets: ["one"])

    response = api.get("/health/ready")

    assert response.status_code == 503
    assert response.data["reasons"] == [
        "migrations: 1 migrations are not applied: run `carillon migrate`"
    ]


def test_an_unavailable_database_is_reported_without_its_address(
    api: APIClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> None:
        raise DatabaseError("connection to 10.0.0.1 refused for user carillon")

    monkeypatch.setattr(connection, "cursor", fail)

    response = api.get("/health/ready")

    assert response.status_code == 503
    assert "database: the database does not answer" in response.data["reasons"]
    assert b"10.0.0.1" not in response.content


@pytest.mark.usefixtures("worker")
def test_everything_well_is_healthy(api: APIClient) -> None:
    make_batch(100)
    response = api.get("/health/")

    assert response.status_code == 200
    assert response.data["status"] == "healthy"
    checks = {"database", "migrations", "loops", "beat", "workers", "queues", "tasks"} | {
        "dead_letters",
        "providers",
        "audit",
        "keys",
    }
    assert set(response.data["checks"]) == checks
    lane = response.data["checks"]["queues"]["lanes"]["bulk"]
    assert (lane["queued"], lane["overdue"]) == (100, 100)
    assert 40 <= lane["age_s"] < 60


@pytest.mark.usefixtures("worker")
def test_messages_due_later_are_not_overdue(api: APIClient) -> None:
    make_batch(20_000, seconds_ago=-3600)

    response = api.get("/health")

    assert response.status_code == 200
    assert response.data["checks"]["queues"]["lanes"]["bulk"]["queued"] == 20_000


@pytest.mark.usefixtures("worker")
def test_ten_thousand_overdue_messages_are_an_alert(api: APIClient) -> None:
    make_batch(6_000)
    make_batch(4_000, lane="default")

    response = api.get("/health")

    assert response.status_code == 503
    assert response.data["status"] == "degraded"
    assert response.data["reasons"] == [
        "queues: 10,000 messages are overdue: check that enough workers serve these lanes"
    ]


def test_no_living_worker_is_a_reason(api: APIClient, worker: WorkerProcess) -> None:
    worker.lease_until = clock.now() - timedelta(seconds=1)
    worker.save()

    response = api.get("/health")

    assert response.status_code == 503
    assert response.data["reasons"] == [
        "workers: no worker is alive, so nothing is sent: start one with `carillon worker`"
    ]
    assert api.get("/health/ready").status_code == 200


def test_a_worker_that_ended_itself_is_named_for_some_minutes(
    api: APIClient, worker: WorkerProcess
) -> None:
    ended = WorkerProcess.objects.create(
        owner="w2",
        started_at=clock.now(),
        lease_until=clock.now() + timedelta(seconds=9),
        ended_at=clock.now() - timedelta(minutes=9),
        ended_reason="1 runs made no progress for 30 s",
    )
    response = api.get("/health")
    assert response.data["reasons"] == [
        "workers: a worker ended itself: 1 runs made no progress for 30 s"
    ]
    reported = health.health(now=clock.now(), in_full=lambda: True).checks["workers"]
    assert reported.reason == "worker w2 ended itself: 1 runs made no progress for 30 s"
    assert response.data["checks"]["workers"]["count"] == 1

    ended.ended_at -= timedelta(minutes=2)
    ended.save()

    assert api.get("/health").status_code == 200


@pytest.mark.usefixtures("worker")
@pytest.mark.parametrize(
    ("lane", "seconds", "well"),
    [
        ("critical", 1, True),  # a busy machine may take seconds
        ("critical", 7, False),
        ("high", 50, True),
        ("high", 62, False),
        ("default", 62, False),
        ("bulk", 50, True),
        ("bulk", 62, False),
    ],
)
def test_the_oldest_message_of_a_lane_is_a_reason_past_the_lanes_bound(
    api: APIClient, lane: str, seconds: int, well: bool
) -> None:
    make_batch(1, lane=lane, seconds_ago=seconds)

    response = api.get("/health")

    assert (response.status_code == 200) is well, response.data["reasons"]
    assert well or f"the oldest message of lane {lane} is" in response.data["reasons"][0]


@pytest.mark.usefixtures("worker")
def test_an_overdue_message_behind_many_stopped_ones_is_found(api: APIClient) -> None:
    KillSwitch.objects.create(
        scope="channel", value="sms", reason="x", actor="y", created_at=clock.now()
    )
    for _ in range(30):
        make_batch(1, lane="critical", seconds_ago=500, channel="sms")
    assert api.get("/health").status_code == 200

    make_batch(1, lane="critical", seconds_ago=9)

    assert "critical is 9 s overdue" in api.get("/health").data["reasons"][0]


@pytest.mark.usefixtures("worker")
@pytest.mark.parametrize(
    ("scope", "value"), [("all", ""), ("channel", "email"), ("source", "key:1")]
)
def test_stopped_messages_are_not_overdue(api: APIClient, scope: str, value: str) -> None:
    make_batch(20_000, seconds_ago=500)
    KillSwitch.objects.create(
        scope=scope, value=value, reason="x", actor="y", created_at=clock.now()
    )

    response = api.get("/health")

    assert response.status_code == 200, response.data["reasons"]
    assert response.data["checks"]["queues"]["lanes"]["bulk"]["queued"] == 20_000


@pytest.mark.usefixtures("worker")
def test_messages_of_a_dead_worker_are_overdue_and_of_a_living_one_not(
    api: APIClient,
) -> None:
    now = clock.now()
    held = {"owner": "w", "lane": "critical", "seconds_ago": 20}
    make_batch(1, lease_until=now + timedelta(seconds=60), **held)
    assert api.get("/health").status_code == 200

    make_batch(1, lease_until=now - timedelta(seconds=1), **held)

    assert api.get("/health").status_code == 503


@pytest.mark.usefixtures("worker")
@pytest.mark.parametrize(
    ("error", "words"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), "disk is full"),
        (OperationalError("database or disk is full"), "disk is full"),
        (OperationalError("attempt to write a readonly database"), "read-only"),
        (OperationalError("database is locked"), "another process holds the database's lock"),
        (OperationalError("disk I/O error"), "the database does not answer"),
        (ValueError("no secrets"), "a write failed: ValueError"),
    ],
)
def test_a_database_that_takes_no_writes_is_a_reason(
    api: APIClient, monkeypatch: pytest.MonkeyPatch, error: Exception, words: str
) -> None:
    def fail() -> None:
        raise error

    monkeypatch.setattr(health_probes, "_writes", Probe("test", fail))

    response = api.get("/health")

    assert response.status_code == 503
    assert words in response.data["reasons"][0]
    assert b"secrets" not in response.content
    assert api.get("/health/ready").status_code == 200


def test_a_check_that_uses_all_the_time_skips_the_others(
    api: APIClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(health, "ALL_CHECKS_S", -1.0)

    response = api.get("/health")

    assert response.status_code == 503
    assert "database: the earlier checks used all the time" in response.data["reasons"]


@pytest.mark.usefixtures("worker")
@pytest.mark.parametrize(("count", "status"), [(99, 200), (100, 503)])
def test_a_hundred_dead_letters_are_an_alert(api: APIClient, count: int, status: int) -> None:
    make_letters(count)

    response = api.get("/health")

    assert response.status_code == status
    assert response.data["checks"]["dead_letters"]["count"] == count


@pytest.mark.usefixtures("worker")
def test_an_unavailable_redis_is_reported_and_readiness_holds(
    api: APIClient, override_environment: Any
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    override_environment(redis_url=f"redis://127.0.0.1:{port}/0")

    assert api.get("/health").data["reasons"] == [
        "redis: Redis does not answer: delivery continues by polling"
    ]
    assert api.get("/health/ready").status_code == 200


def test_metrics_are_in_prometheus_form(api: APIClient) -> None:
    make_batch(7)

    response = api.get("/metrics/")

    assert response.status_code == 200
    assert response["Content-Type"].startswith("text/plain; version=0.0.4")
    assert b'notification_queue_size{priority="bulk"} 7.0' in response.content


SQLITE_MISSING = OperationalError("no such table: notifications_periodicloop")


def missing_on_postgres() -> ProgrammingError:
    error = ProgrammingError('relation "notifications_periodicloop" does not exist')
    error.__cause__ = UndefinedTable()
    return error


@pytest.mark.parametrize(
    "error", [SQLITE_MISSING, missing_on_postgres()], ids=["sqlite", "postgres"]
)
@pytest.mark.parametrize("path", ["/health", "/health/ready"])
def test_a_database_without_its_tables_is_a_503_that_says_migrate(path, error, monkeypatch):
    """As on the first day, before `carillon migrate`: no 500, and no word of a database away."""

    def missing() -> str:
        raise error

    monkeypatch.setattr(health, "_migrations", health._Migrations())
    monkeypatch.setattr(MigrationExecutor, "migration_plan", lambda *_: [("a", "0001")])
    monkeypatch.setattr(health, "silent_reason", missing)
    monkeypatch.setattr(health_probes, "_writes", Probe("test", missing))
    answer = APIClient().get(path)
    assert answer.status_code == 503
    checks = answer.json()["checks"]
    assert checks["migrations"]["reason"].endswith("are not applied: run `carillon migrate`")
    assert checks["loops"]["reason"] == health.NOT_MIGRATED
    assert checks["database"]["status"] == "healthy"


@pytest.mark.parametrize(
    "error", [SQLITE_MISSING, missing_on_postgres()], ids=["sqlite", "postgres"]
)
def test_a_missing_table_of_a_migrated_database_is_an_internal_error(error, monkeypatch):
    def missing() -> str:
        raise error

    monkeypatch.setattr(health, "silent_reason", missing)
    with pytest.raises(type(error)):
        health.readiness(now=clock.now())
