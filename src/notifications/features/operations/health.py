"""Is the service well? What load balancers, people and alerts ask, with the reasons."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from functools import partial

import msgspec
import redis
from django.db import DatabaseError, InterfaceError, connection
from django.db.migrations.executor import MigrationExecutor
from django.db.models import QuerySet
from redis.backoff import NoBackoff
from redis.retry import Retry

from notifications.delivery.registry import chosen_channels
from notifications.domain.channels import Lane
from notifications.features.background.loops import failing_reason, no_beat_reason, silent_reason
from notifications.features.operations.health_probes import NO_ANSWER, reading_fault, writing_fault
from notifications.features.operations.metrics import (
    open_dead_letters,
    queue_depth,
    stuck_workers,
    workers_alive,
)
from notifications.infra import clock
from notifications.infra.conf import environment
from notifications.infra.database.bounded_reads import reads_within
from notifications.infra.database.errors import is_away, is_missing
from notifications.models import KillSwitch, ProviderFlow, QueuedTask
from notifications.models.providers.provider_flow import now_us

OVERDUE_ALERT = 10_000
OLDEST_ALERT_S = {Lane.CRITICAL: 5.0, Lane.HIGH: 60.0, Lane.DEFAULT: 60.0, Lane.BULK: 60.0}
ALL_S = 1.7
"""Seconds for all checks together, so that whoever asks has an answer within two."""
READ_S = 1.0
OLDEST_TASK_S = 60.0
FAILED_TASKS_S = 86_400.0
REDIS_TIMEOUT_S = 0.5
_NAMED = 3
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


NOT_MIGRATED = "it cannot be read before `carillon migrate` has run"
"""The reason of a check whose tables or columns are still to be made."""


class CheckResponse(msgspec.Struct, kw_only=True, omit_defaults=True):
    """One thing that was looked at. status: healthy or unhealthy, and then the reason."""

    status: str
    reason: str | None = None
    lanes: dict[str, LaneHealth] | None = None
    count: int | None = None
    providers: dict[str, ProviderHealth] | None = None


class HealthResponse(msgspec.Struct, kw_only=True):
    """How the service is. status: healthy or degraded; reasons says what ails or holds it."""

    status: str
    timestamp: datetime
    checks: dict[str, CheckResponse]
    reasons: list[str]


class _Migrations:
    """Whether all migrations are applied. Once they are they stay so, and are not asked again."""

    applied = False

    def check(self) -> CheckResponse:
        if not self.applied:
            executor = MigrationExecutor(connection)
            plan = executor.migration_plan(executor.loader.graph.leaf_nodes())
            if plan:
                reason = f"{len(plan)} migrations are not applied: run `carillon migrate`"
                return CheckResponse(status=UNHEALTHY, reason=reason)
            self.applied = True
        return CheckResponse(status=HEALTHY)


_migrations = _Migrations()


def readiness(*, now: datetime) -> HealthResponse:
    """Whether this installation serves: its database, its migrations, and its periodic loops.

    Broker and providers are left out: without them requests are still taken in, nothing is lost.
    """
    checks = {"database": _database_reads, "migrations": _migrations.check, "loops": _loops}
    return _answer(now, checks)


def _to_strangers() -> bool:
    return False


def health(*, now: datetime, in_full: Callable[[], bool] = _to_strangers) -> HealthResponse:
    """Everything that operators watch.

    in_full: whether whoever asks may read what operators wrote, and which process did what; asked
    only where there is such a thing, and within the bounds of a check.
    """
    checks: dict[str, Callable[[], CheckResponse]] = {
        "database": _database,
        "migrations": _migrations.check,
        "loops": _loops_in_detail,
        "beat": partial(_beat, in_full),
        "workers": partial(_workers, in_full),
        "queues": _queues,
        "tasks": _tasks,
        "dead_letters": _dead_letters,
        "templates": partial(_templates, in_full),
        "stops": partial(_stops, in_full),
        "providers": _providers,
    }
    if environment().redis_url:
        checks["redis"] = _redis
    answer = _answer(now, checks)
    for name in ("templates", "stops"):
        if not answer.checks[name].reason:
            del answer.checks[name]  # named only where something is stopped
    return answer


def unanswered(*, now: datetime) -> HealthResponse:
    """What is said where the checks themselves did not end in time."""
    check = CheckResponse(status=UNHEALTHY, reason=f"the checks did not end: {NO_ANSWER}")
    return _summed(now, {"database": check})


def _answer(now: datetime, checks: dict[str, Callable[[], CheckResponse]]) -> HealthResponse:
    until = clock.monotonic() + ALL_S
    found: dict[str, CheckResponse] = {}
    for name, check in checks.items():
        try:
            found[name] = _looked_at(check, until, found.get("database"))
        except DatabaseError as error:
            migrations = found.get("migrations")
            if not is_missing(error) or migrations is None or not migrations.reason:
                raise
            found[name] = CheckResponse(status=UNHEALTHY, reason=NOT_MIGRATED)
    return _summed(now, found)


def _summed(now: datetime, found: dict[str, CheckResponse]) -> HealthResponse:
    reasons = [f"{name}: {check.reason}" for name, check in found.items() if check.reason]
    well = all(check.status == HEALTHY for check in found.values())
    status = HEALTHY if well else DEGRADED
    return HealthResponse(status=status, timestamp=now, checks=found, reasons=reasons)


def _looked_at(
    check: Callable[[], CheckResponse], until: float, database: CheckResponse | None
) -> CheckResponse:
    """What a check finds in the time that is left. One that needs a database that does not answer
    is not tried."""
    needs_database = check not in (_database, _database_reads, _redis)
    if needs_database and database is not None and database.reason == NO_ANSWER:
        return database
    left = until - clock.monotonic()
    if left <= 0:
        return CheckResponse(status=UNHEALTHY, reason="the checks before it took all the time")
    try:
        if not needs_database:
            return check()
        with reads_within(min(left, READ_S)):
            return check()
    except (DatabaseError, InterfaceError) as error:
        if not is_away(error) or is_missing(error):
            raise
        # The driver's text may name hosts and users; a public page does not.
        reason = "it could not be read in time" if needs_database else NO_ANSWER
        return CheckResponse(status=UNHEALTHY, reason=reason)


def _database_reads() -> CheckResponse:
    fault = reading_fault(READ_S)
    if fault:
        return CheckResponse(status=UNHEALTHY, reason=fault)
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
        cursor.fetchone()
    return CheckResponse(status=HEALTHY)


def _database() -> CheckResponse:
    found = _database_reads()
    fault = found.reason or writing_fault()
    return CheckResponse(status=UNHEALTHY, reason=fault) if fault else found


def _loops() -> CheckResponse:
    reason = silent_reason()
    return CheckResponse(status=UNHEALTHY if reason else HEALTHY, reason=reason)


def _loops_in_detail() -> CheckResponse:
    """The loops that are silent, and those whose rounds fail: these take nobody out of rotation."""
    reason = "; ".join(filter(None, (silent_reason(), failing_reason()))) or None
    return CheckResponse(status=UNHEALTHY if reason else HEALTHY, reason=reason)


def _beat(in_full: Callable[[], bool]) -> CheckResponse:
    reason = no_beat_reason(in_full=False)
    if reason and in_full():
        reason = no_beat_reason(in_full=True)
    return CheckResponse(status=UNHEALTHY if reason else HEALTHY, reason=reason)


def _workers(in_full: Callable[[], bool]) -> CheckResponse:
    count, stuck = workers_alive(), stuck_workers()
    told = bool(stuck) and in_full()
    reasons = [f"{f'worker {owner}' if told else 'a worker'} ended itself: {reason}"
               for owner, reason in stuck]  # fmt: skip
    if not count:
        reasons.append("no worker is alive, so nothing leaves: start one with `carillon worker`")
    if not reasons:
        return CheckResponse(status=HEALTHY, count=count)
    return CheckResponse(status=UNHEALTHY, reason="; ".join(reasons), count=count)


def _queues() -> CheckResponse:
    lanes = {
        lane: LaneHealth(
            queued=int(figures["queued"]), overdue=int(figures["overdue"]), age_s=figures["age_s"]
        )
        for lane, figures in queue_depth().items()
    }
    reasons = [
        f"the oldest message of lane {lane} is {lanes[lane].age_s:.0f} s overdue"
        for lane, bound in OLDEST_ALERT_S.items()
        if lanes[lane].age_s > bound
    ]
    overdue = sum(lane.overdue for lane in lanes.values())
    if overdue >= OVERDUE_ALERT:
        reasons.append(f"{overdue:,} messages are overdue")
    if not reasons:
        return CheckResponse(status=HEALTHY, lanes=lanes)
    reason = f"{'; '.join(reasons)}: do enough workers serve these lanes?"
    return CheckResponse(status=UNHEALTHY, reason=reason, lanes=lanes)


def _tasks() -> CheckResponse:
    """Tasks that wait in the database, where there is no broker."""
    reasons = []
    waited_s = QueuedTask.objects.oldest_waiting_s()
    if waited_s > OLDEST_TASK_S:
        reasons.append(
            f"the oldest queued task has waited for {waited_s:.0f} s: does a worker run?"
        )
    failed = QueuedTask.objects.failed_within(FAILED_TASKS_S)
    count = failed.count()
    if count:
        last = failed[0]
        reasons.append(
            f"{count:,} queued tasks failed within a day: {last.name} ({last.last_error})"
        )
    reason = "; ".join(reasons) or None
    return CheckResponse(status=UNHEALTHY if reason else HEALTHY, reason=reason, count=count)


def _templates(in_full: Callable[[], bool]) -> CheckResponse:
    """Versions that were stopped because their renders took too much; their messages wait."""
    rows = KillSwitch.objects.filter(scope=KillSwitch.Scope.VERSION)
    count = rows.count()
    if not count:
        return CheckResponse(status=HEALTHY, count=0)
    reason = f"stopped until somebody lifts it: {_named(rows, count, in_full())}"
    return CheckResponse(status=UNHEALTHY, reason=reason, count=count)


def _stops(in_full: Callable[[], bool]) -> CheckResponse:
    """Stops that an operator put in force: told, and no fault of the service."""
    rows = KillSwitch.objects.exclude(scope=KillSwitch.Scope.VERSION)
    count = rows.count()
    if not count:
        return CheckResponse(status=HEALTHY, count=0)
    reason = f"stopped until somebody lifts it: {_named(rows, count, in_full())}"
    return CheckResponse(status=HEALTHY, reason=reason, count=count)


def _named(rows: QuerySet[KillSwitch], count: int, in_full: bool) -> str:
    """The first stops; why, in the words of whoever made them, only to those who may read it."""
    told = []
    for row in rows.order_by("created_at")[:_NAMED]:
        what = f"{row.scope} {row.value}".strip()
        told.append(f"{what} ({row.reason})" if in_full else what)
    return "; ".join(told) + (f" and {count - _NAMED} more" if count > _NAMED else "")


def _dead_letters() -> CheckResponse:
    count = open_dead_letters()
    if count < environment().dead_letters_alert:
        return CheckResponse(status=HEALTHY, count=count)
    reason = f"{count:,} dead letters wait: see `carillon dead-letters list`"
    return CheckResponse(status=UNHEALTHY, reason=reason, count=count)


def _providers() -> CheckResponse:
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
        return CheckResponse(status=HEALTHY, providers=found)
    reason = f"not taking messages: {', '.join(held)}; see `carillon providers breakers`"
    return CheckResponse(status=UNHEALTHY, reason=reason, providers=found)


def _redis() -> CheckResponse:
    client = redis.Redis.from_url(
        environment().redis_url,
        socket_timeout=REDIS_TIMEOUT_S,
        socket_connect_timeout=REDIS_TIMEOUT_S,
        retry=Retry(NoBackoff(), 0),
    )
    try:
        client.ping()
    except redis.RedisError:
        reason = "Redis does not answer: delivery goes on by polling"
        return CheckResponse(status=UNHEALTHY, reason=reason)
    finally:
        client.close()
    return CheckResponse(status=HEALTHY)
