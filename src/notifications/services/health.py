"""Is the service well? What load balancers, people and alerts ask, with the reasons."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

import msgspec
import redis
from django.db import DatabaseError, connection
from django.db.migrations.executor import MigrationExecutor

from notifications.conf import environment
from notifications.delivery.registry import chosen_channels
from notifications.models import ProviderFlow
from notifications.models.provider_flow import now_us
from notifications.services.metrics import open_dead_letters, queue_depth

OVERDUE_ALERT = 10_000
REDIS_TIMEOUT_S = 1.0
HEALTHY, UNHEALTHY, DEGRADED = "healthy", "unhealthy", "degraded"


class LaneHealth(msgspec.Struct, kw_only=True):
    """A lane's messages: all that wait, those overdue, and the oldest overdue one's age in s."""

    queued: int
    overdue: int
    age_s: float


class ProviderHealth(msgspec.Struct, kw_only=True):
    """A chosen provider. last_success_at: null when it never took a message."""

    breaker: str
    last_success_at: datetime | None


class CheckAnswer(msgspec.Struct, kw_only=True, omit_defaults=True):
    """One thing that was looked at. status: healthy or unhealthy, and then the reason."""

    status: str
    reason: str | None = None
    lanes: dict[str, LaneHealth] | None = None
    count: int | None = None
    providers: dict[str, ProviderHealth] | None = None


class HealthAnswer(msgspec.Struct, kw_only=True):
    """How the service is. status: healthy or degraded; reasons says what ails it."""

    status: str
    timestamp: datetime
    checks: dict[str, CheckAnswer]
    reasons: list[str]


class _Migrations:
    """Whether all migrations are applied. Once they are they stay so, and are not asked again."""

    applied = False

    def check(self) -> CheckAnswer:
        if not self.applied:
            executor = MigrationExecutor(connection)
            plan = executor.migration_plan(executor.loader.graph.leaf_nodes())
            if plan:
                reason = f"{len(plan)} migrations are not applied: run `carillon migrate`"
                return CheckAnswer(status=UNHEALTHY, reason=reason)
            self.applied = True
        return CheckAnswer(status=HEALTHY)


_migrations = _Migrations()


def readiness(*, now: datetime) -> HealthAnswer:
    """Whether this process can serve: its database and its migrations.

    Broker and providers are left out: without them requests are still taken in, nothing is lost.
    """
    return _answer(now, {"database": _database, "migrations": _migrations.check})


def health(*, now: datetime) -> HealthAnswer:
    """Everything that operators watch."""
    checks: dict[str, Callable[[], CheckAnswer]] = {
        "database": _database,
        "migrations": _migrations.check,
        "queues": lambda: _queues(now),
        "dead_letters": _dead_letters,
        "providers": _providers,
    }
    if environment().redis_url:
        checks["redis"] = _redis
    return _answer(now, checks)


def _answer(now: datetime, checks: dict[str, Callable[[], CheckAnswer]]) -> HealthAnswer:
    found = {name: _looked_at(check) for name, check in checks.items()}
    reasons = [f"{name}: {check.reason}" for name, check in found.items() if check.reason]
    status = DEGRADED if reasons else HEALTHY
    return HealthAnswer(status=status, timestamp=now, checks=found, reasons=reasons)


def _looked_at(check: Callable[[], CheckAnswer]) -> CheckAnswer:
    try:
        return check()
    except DatabaseError:
        # The driver's text may name hosts and users; a public page does not.
        return CheckAnswer(status=UNHEALTHY, reason="the database does not answer")


def _database() -> CheckAnswer:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
        cursor.fetchone()
    return CheckAnswer(status=HEALTHY)


def _queues(now: datetime) -> CheckAnswer:
    lanes = {
        lane: LaneHealth(
            queued=int(figures["queued"]), overdue=int(figures["overdue"]), age_s=figures["age_s"]
        )
        for lane, figures in queue_depth(now).items()
    }
    overdue = sum(lane.overdue for lane in lanes.values())
    if overdue < OVERDUE_ALERT:
        return CheckAnswer(status=HEALTHY, lanes=lanes)
    reason = f"{overdue:,} messages are overdue: are enough workers running?"
    return CheckAnswer(status=UNHEALTHY, reason=reason, lanes=lanes)


def _dead_letters() -> CheckAnswer:
    count = open_dead_letters()
    if count < environment().dead_letters_alert:
        return CheckAnswer(status=HEALTHY, count=count)
    reason = f"{count:,} dead letters wait: see `carillon dead-letters list`"
    return CheckAnswer(status=UNHEALTHY, reason=reason, count=count)


def _providers() -> CheckAnswer:
    """The chosen providers' breakers; hosts behind one provider are their owners' business."""
    now = now_us()
    rows = {row.service: row for row in ProviderFlow.objects.filter(service__in=chosen_channels())}
    found = {}
    for key in chosen_channels():
        row = rows.get(key)
        found[key] = ProviderHealth(
            breaker=row.flow().state(now) if row else "closed",
            last_success_at=row.last_success_at if row else None,
        )
    held = [key for key, each in found.items() if each.breaker != "closed"]
    if not held:
        return CheckAnswer(status=HEALTHY, providers=found)
    reason = f"not taking messages: {', '.join(held)}; see `carillon providers breakers`"
    return CheckAnswer(status=UNHEALTHY, reason=reason, providers=found)


def _redis() -> CheckAnswer:
    client = redis.Redis.from_url(
        environment().redis_url,
        socket_timeout=REDIS_TIMEOUT_S,
        socket_connect_timeout=REDIS_TIMEOUT_S,
    )
    try:
        client.ping()
    except redis.RedisError:
        reason = "Redis does not answer: delivery goes on by polling"
        return CheckAnswer(status=UNHEALTHY, reason=reason)
    finally:
        client.close()
    return CheckAnswer(status=HEALTHY)
