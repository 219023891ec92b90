"""Live, ready and well: what load balancers and alerts ask."""

from __future__ import annotations

import socket
from datetime import timedelta
from typing import Any

import pytest
from django.db import DatabaseError, connection
from django.db.migrations.executor import MigrationExecutor
from rest_framework.test import APIClient

from notifications.infra import clock
from notifications.models import DeadLetter, DeliveryBatch
from notifications.services import health

pytestmark = pytest.mark.django_db


def make_batch(size: int, *, lane: str = "bulk", seconds_ago: float = 60) -> None:
    DeliveryBatch.objects.create(
        lane=lane,
        channel="email",
        source="key:1",
        due_at=clock.now() - timedelta(seconds=seconds_ago),
        members="1",
        size=size,
    )


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
    assert set(response.data["checks"]) == {"database", "migrations"}
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


def test_a_database_that_does_not_answer_is_told_without_its_address(
    api: APIClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> None:
        raise DatabaseError("connection to 10.0.0.1 refused for user carillon")

    monkeypatch.setattr(connection, "cursor", fail)

    response = api.get("/health/ready")

    assert response.status_code == 503
    assert "database: the database does not answer" in response.data["reasons"]
    assert b"10.0.0.1" not in response.content


def test_everything_well_is_healthy(api: APIClient) -> None:
    make_batch(100)
    response = api.get("/health/")

    assert response.status_code == 200
    assert response.data["status"] == "healthy"
    checks = {"database", "migrations", "queues", "dead_letters", "providers"}
    assert set(response.data["checks"]) == checks
    lane = response.data["checks"]["queues"]["lanes"]["bulk"]
    assert (lane["queued"], lane["overdue"]) == (100, 100)
    assert lane["age_s"] >= 60


def test_what_is_due_later_is_not_overdue(api: APIClient) -> None:
    make_batch(20_000, seconds_ago=-3600)

    response = api.get("/health")

    assert response.status_code == 200
    assert response.data["checks"]["queues"]["lanes"]["bulk"]["queued"] == 20_000


def test_ten_thousand_overdue_messages_are_an_alert(api: APIClient) -> None:
    make_batch(6_000)
    make_batch(4_000, lane="critical")

    response = api.get("/health")

    assert response.status_code == 503
    assert response.data["status"] == "degraded"
    assert response.data["reasons"] == [
        "queues: 10,000 messages are overdue: are enough workers running?"
    ]


@pytest.mark.parametrize(("count", "status"), [(99, 200), (100, 503)])
def test_a_hundred_dead_letters_are_an_alert(api: APIClient, count: int, status: int) -> None:
    make_letters(count)

    response = api.get("/health")

    assert response.status_code == status
    assert response.data["checks"]["dead_letters"]["count"] == count


def test_a_redis_that_does_not_answer_is_named_and_takes_nobody_out_of_rotation(
    api: APIClient, override_environment: Any
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    override_environment(redis_url=f"redis://127.0.0.1:{port}/0")

    assert api.get("/health").data["reasons"] == [
        "redis: Redis does not answer: delivery goes on by polling"
    ]
    assert api.get("/health/ready").status_code == 200


def test_metrics_are_in_prometheus_form(api: APIClient) -> None:
    make_batch(7)

    response = api.get("/metrics/")

    assert response.status_code == 200
    assert response["Content-Type"].startswith("text/plain; version=0.0.4")
    assert b'notification_queue_size{priority="bulk"} 7.0' in response.content
