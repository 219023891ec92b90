"""Health checks for load balancers, operators and alerts, each with its reason."""

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
from notifications.features.operations.health_records import (
    audit_check,
    keys_check,
    retention_check,
)
from notifications.features.operations.health_results import (
    DEGRADED,
    HEALTHY,
    NOT_MIGRATED,
    UNHEALTHY,
    CheckResponse,
    HealthStatus,
    LaneHealth,
    ProviderHealth,
)
from notifications.features.operations.metrics import (
    open_dead_letters,
    queue_depth,
    stuck_workers,
    workers_alive,
)
from notifications.infra import clock
from notifications.infra.conf import environment
from notifications.infra.database.bounded_reads import limit_read_time
from notifications.infra.database.errors import is_missing, is_unavailable
from notifications.models import KillSwitch, ProviderFlow, QueuedTask
from notifications.models.providers.provider_flow import now_us

OVERDUE_ALERT = 10_000
OLDEST_ALERT_S = {Lane.CRITICAL: 5.0, Lane.HIGH: 60.0, Lane.DEFAULT: 60.0, Lane.BULK: 60.0}
ALL_CHECKS_S = 1.7
"""Seconds for all checks together, so that a response is ready within two seconds."""
ONE_CHECK_S = 1.0
OLDEST_TASK_S = 60.0
FAILED_TASKS_S = 86_400.0
REDIS_TIMEOUT_S = 0.5
_MOST_NAMED = 3


class HealthResponse(msgspec.Struct, kw_only=True):
    """The health of the service."""

    status: HealthStatus

    timestamp: datetime
    """When it was checked (RFC 3339)."""

    checks: dict[str, CheckResponse]
    """The checks by name."""

    reasons: list[str]
    """The reasons of all unhealthy checks. Example: `["workers: no worker is alive"]`"""


class _Migrations:
    """Checks that all migrations are applied. Once they are, it does not check again."""

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
    """Returns whether this installation can serve: its database, migrations and periodic loops.

    Broker and providers are left out: requests are accepted and stored without them.
    """
    checks = {"database": _database_reads, "migrations": _migrations.check, "loops": _loops}
    return _run_checks(now, checks)


def _in_brief() -> bool:
    return False


def health(*, now: datetime, in_full: Callable[[], bool] = _in_brief) -> HealthResponse:
    """Returns the result of all checks.

    in_full: returns whether the client may read texts of operators and names of processes. It is
    called only when there is such a text, and within the time limit of a check.
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
        "retention": partial(retention_check, now),
        "templates": partial(_templates, in_full),
        "stops": partial(_stops, in_full),
        "providers": _providers,
        "audit": audit_check,
        "keys": keys_check,
    }
    if environment().redis_url:
        checks["redis"] = _redis
    response = _run_checks(now, checks)
    for name in ("templates", "stops", "retention"):
        if not response.checks[name].reason:
            del response.checks[name]  # shown only when something is wrong
    return response


def checks_timed_out(*, now: datetime) -> HealthResponse:
    """Returns the response for checks that did not end in time."""
    check = CheckResponse(status=UNHEALTHY, reason=f"the checks did not end: {NO_ANSWER}")
    return _summarize(now, {"database": check})


def _run_checks(now: datetime, checks: dict[str, Callable[[], CheckResponse]]) -> HealthResponse:
    until = clock.monotonic() + ALL_CHECKS_S
    found: dict[str, CheckResponse] = {}
    for name, check in checks.items():
        try:
            found[name] = _run_check(check, until, found.get("database"))
        except DatabaseError as error:
            migrations = found.get("migrations")
            if not is_missing(error) or migrations is None or not migrations.reason:
                raise
            found[name] = CheckResponse(status=UNHEALTHY, reason=NOT_MIGRATED)
    return _summarize(now, found)


def _summarize(now: datetime, found: dict[str, CheckResponse]) -> HealthResponse:
    reasons = [f"{name}: {check.reason}" for name, check in found.items() if check.reason]
    well = all(check.status == HEALTHY for check in found.values())
    status = HEALTHY if well else DEGRADED
    return HealthResponse(status=status, timestamp=now, checks=found, reasons=reasons)


def _run_check(
    check: Callable[[], CheckResponse], until: float, database: CheckResponse | None
) -> CheckResponse:
    """Runs a check within the time that is left.

    Skips a check that needs the database when the database does not respond.
    """
    needs_database = check not in (_database, _database_reads, _redis)
    if needs_database and database is not None and database.reason == NO_ANSWER:
        return database
    left = until - clock.monotonic()
    if left <= 0:
        return CheckResponse(status=UNHEALTHY, reason="the earlier checks used all the time")
    try:
        if not needs_database:
            return check()
        with limit_read_time(min(left, ONE_CHECK_S)):
            return check()
    except (DatabaseError, InterfaceError) as error:
        if not is_unavailable(error) or is_missing(error):
            raise
        # The driver's text may name hosts and users; this page is public.
        reason = "it could not be read in time" if needs_database else NO_ANSWER
        return CheckResponse(status=UNHEALTHY, reason=reason)


def _database_reads() -> CheckResponse:
    fault = reading_fault(ONE_CHECK_S)
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
    """Also checks for loops whose rounds fail; readiness ignores those."""
    reason = "; ".join(filter(None, (silent_reason(), failing_reason()))) or None
    return CheckResponse(status=UNHEALTHY if reason else HEALTHY, reason=reason)


def _beat(in_full: Callable[[], bool]) -> CheckResponse:
    reason = no_beat_reason(in_full=False)
    if reason and in_full():
        reason = no_beat_reason(in_full=True)
    return CheckResponse(status=UNHEALTHY if reason else HEALTHY, reason=reason)


def _workers(in_full: Callable[[], bool]) -> CheckResponse:
    count, stuck = workers_alive(), stuck_workers()
    named = bool(stuck) and in_full()
    reasons = [f"{f'worker {owner}' if named else 'a worker'} ended itself: {reason}"
               for owner, reason in stuck]  # fmt: skip
    if not count:
        reasons.append("no worker is alive, so nothing is sent: start one with `carillon worker`")
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
    reason = f"{'; '.join(reasons)}: check that enough workers serve these lanes"
    return CheckResponse(status=UNHEALTHY, reason=reason, lanes=lanes)


def _tasks() -> CheckResponse:
    """Checks the tasks that wait in the database, when there is no broker."""
    reasons = []
    waited_s = QueuedTask.objects.oldest_waiting_s()
    if waited_s > OLDEST_TASK_S:
        reasons.append(
            f"the oldest queued task has waited for {waited_s:.0f} s: check that a worker runs"
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
    """Checks for template versions that were stopped because their renders took too much."""
    rows = KillSwitch.objects.filter(scope=KillSwitch.Scope.VERSION)
    count = rows.count()
    if not count:
        return CheckResponse(status=HEALTHY, count=0)
    reason = f"stopped until an operator lifts it: {_describe_stops(rows, count, in_full())}"
    return CheckResponse(status=UNHEALTHY, reason=reason, count=count)


def _stops(in_full: Callable[[], bool]) -> CheckResponse:
    """Reports the stops of operators. They are not a fault of the service."""
    rows = KillSwitch.objects.exclude(scope=KillSwitch.Scope.VERSION)
    count = rows.count()
    if not count:
        return CheckResponse(status=HEALTHY, count=0)
    reason = f"stopped until an operator lifts it: {_describe_stops(rows, count, in_full())}"
    return CheckResponse(status=HEALTHY, reason=reason, count=count)


def _describe_stops(rows: QuerySet[KillSwitch], count: int, in_full: bool) -> str:
    """Returns the first stops as text; with the operator's reason only when `in_full`."""
    parts = []
    for row in rows.order_by("created_at")[:_MOST_NAMED]:
        what = f"{row.scope} {row.value}".strip()
        parts.append(f"{what} ({row.reason})" if in_full else what)
    return "; ".join(parts) + (f" and {count - _MOST_NAMED} more" if count > _MOST_NAMED else "")


def _dead_letters() -> CheckResponse:
    count = open_dead_letters()
    if count < environment().dead_letter_alert_threshold:
        return CheckResponse(status=HEALTHY, count=count)
    reason = f"{count:,} dead letters wait: see `carillon dead-letters list`"
    return CheckResponse(status=UNHEALTHY, reason=reason, count=count)


def _providers() -> CheckResponse:
    """Checks the circuit breakers of the chosen providers, not of the hosts behind them."""
    now = now_us()
    rows = {row.service: row for row in ProviderFlow.objects.filter(service__in=chosen_channels())}
    found = {}
    for key in chosen_channels():
        row = rows.get(key)
        found[key] = ProviderHealth(
            breaker=row.flow().state(now) if row else "closed",
            last_success_at=row.last_success_at if row else None,
        )
    unavailable = [key for key, each in found.items() if each.breaker != "closed"]
    if not unavailable:
        return CheckResponse(status=HEALTHY, providers=found)
    reason = f"unavailable: {', '.join(unavailable)}; see `carillon providers breakers`"
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
        reason = "Redis does not answer: delivery continues by polling"
        return CheckResponse(status=UNHEALTHY, reason=reason)
    finally:
        client.close()
    return CheckResponse(status=HEALTHY)
