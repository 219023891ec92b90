"""The scenario of one seed: users are notified while workers die, stop and continue.

A web process accepts and cancels notifications, two workers deliver, two schedulers close digests
and run the upkeep, and an operator kills and stops processes at random steps. Then the run
continues without faults until nothing waits, and `checks` compares the outcome with the rules.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache, partial
from typing import Any

from django.db import DatabaseError, connection

from carillon.sim.baton import Baton, Process
from carillon.sim.network import Network
from carillon.sim.threads import run_loop
from directory.models import User
from notifications.domain.channels import Priority
from notifications.domain.errors import Conflict
from notifications.domain.lifecycle import MessageStatus
from notifications.engine.worker import Worker
from notifications.features.scheduling import rescheduling
from notifications.features.sending.cancel import cancel_waiting
from notifications.features.upkeep import digests, expiring
from notifications.intake.accept import Intent, SendTarget, accept
from notifications.intake.request import Terms
from notifications.models import (
    Category,
    CrashPolicy,
    DeliveryBatch,
    DigestBucket,
    DigestItem,
    Notification,
    NotificationMessage,
)
from notifications.queue import takeover

PEOPLE = 5
CAP = 2
"""The most messages of the capped category that a user receives per day."""
STARTED = datetime(2030, 5, 1, 9, 0, tzinfo=UTC)
LEASE_S = 5.0
_QUIET_S = 1.0
_LONGEST_S = 900.0
_OLD_S = LEASE_S + 1.0
"""A lease that is as old as this has expired unless it was renewed."""
_CATEGORIES = ("sim-plain", "sim-hold", "sim-capped")
_BROKEN = (DatabaseError,)


@dataclass
class Plan:
    """The choices of a seed's generator."""

    #: No provider fails.
    calm: bool
    slow: bool
    requests: int
    cancels: bool
    #: By step: `kill`, `stop`, `relay` or `late`. In a relay, a worker is stopped until its lease
    #: has expired, and the worker that took over is killed when the first one continues. `late`
    #: stops a worker past its lease when the mail service has accepted its next message.
    faults: dict[int, str]
    #: A client cancels at the moment when a worker leases something.
    prompt: bool
    #: A scheduler looks for the abandoned batches of all workers when one has a lease that it must
    #: have renewed. No worker is disturbed.
    sweeps: bool

    @classmethod
    def of(cls, chance: random.Random) -> Plan:
        """Draws a plan from a generator."""
        quiet = chance.random() < 0.3
        kinds = ("kill", "kill", "stop", "relay", "late")
        count = 0 if quiet else chance.randint(1, 4)
        slow = chance.random() < 0.5
        return cls(
            calm=chance.random() < 0.35,
            slow=slow,
            requests=chance.randint(2, 5),
            cancels=chance.random() < 0.6,
            faults={chance.randint(100, 1_500): chance.choice(kinds) for _ in range(count)},
            prompt=chance.random() < 0.5,
            sweeps=quiet and slow,
        )


@dataclass
class World:
    """A run: its processes, and the requests and their results."""

    baton: Baton
    network: Network
    plan: Plan
    workers: dict[str, tuple[Process, Worker]] = field(default_factory=dict)
    #: Keys of notifications that were reported to the caller as accepted, or as cancelled.
    accepted: list[int] = field(default_factory=list)
    cancelled: list[int] = field(default_factory=list)
    ended: set[str] = field(default_factory=set)
    finished: list[Worker] = field(default_factory=list)
    #: Workers that their watchdogs ended.
    stuck: list[str] = field(default_factory=list)
    #: Kills that are due at a time: (time in s, the worker that is not killed).
    later: list[tuple[float, str]] = field(default_factory=list)
    #: When the operator first saw a lease, by (batch, fence).
    seen: dict[tuple[int, int], float] = field(default_factory=dict)
    #: The next round of a scheduler looks for abandoned batches.
    sweep_due: bool = False
    senders_left: int = 0
    over: bool = False
    #: A worker was killed or stopped.
    disturbed: bool = False
    count: int = 0

    def now(self) -> datetime:
        """Returns the time of the machine's clock."""
        return STARTED + timedelta(seconds=self.baton.now_s)


def create_fixtures() -> None:
    """Inserts the users and categories of every run, once, in the database that runs copy."""
    for key in _CATEGORIES:
        hold = key == "sim-hold"
        Category.objects.create(
            key=key,
            name=key,
            crash_policy=CrashPolicy.HOLD if hold else CrashPolicy.RESEND,
            caps=[{"limit": CAP, "window_s": 86_400, "channel": ""}] if key == "sim-capped" else [],
        )
    for number in range(PEOPLE):
        User.objects.create(username=f"sim{number}", email=f"sim{number}@example.com")
    people = list(User.objects.order_by("pk"))
    plain = Category.objects.get(key="sim-plain")
    for number, user in enumerate(people[:3]):
        bucket = DigestBucket.objects.create(
            user=user,
            channel="in_app",
            frequency="daily",
            period="daily:2030-05-01",
            closes_at=STARTED + timedelta(seconds=2 + number),
            created_at=STARTED,
        )
        DigestItem.objects.create(
            bucket=bucket,
            message_id=10_000_000 + number,
            notification_id=10_000_000 + number,
            category_id=plain.pk,
            at=STARTED,
            summary={"title": "T", "body": "B"},
        )


def start(world: World) -> None:
    """Creates the threads of a run."""
    web, first, second = (Process(name) for name in ("web", "beat-1", "beat-2"))
    world.senders_left = 2
    for number in range(2):
        world.baton.spawn(web, f"request-{number}", lambda: _send(world))
    for process in (first, second):
        world.baton.spawn(process, "rounds", lambda: _run_rounds(world))
    for _ in range(2):
        _start_worker(world)
    world.baton.spawn(Process("operator"), "faults", lambda: _watch(world))
    world.baton.at_step = lambda: _inject_due_faults(world)


def _start_worker(world: World) -> None:
    world.count += 1
    name = f"worker-{world.count}"
    process = Process(name)

    def live() -> None:
        if world.over:
            return
        worker = Worker(name=name, end=lambda _code: _end(world, name, process))
        world.workers[name] = (process, worker)
        try:
            run_loop(world.baton, worker.main())
            world.finished.append(worker)
        finally:
            connection.close()

    world.baton.spawn(process, "main", live)


def _end(world: World, name: str, process: Process) -> None:
    """Records that a worker's watchdog ended it."""
    world.stuck.append(name)
    world.ended.add(name)
    world.disturbed = True
    world.baton.kill(process)


def _send(world: World) -> None:
    """Sends the requests of one client, and sometimes cancels a notification."""
    chance = world.baton.random
    people = list(User.objects.order_by("pk").values_list("pk", flat=True))
    categories = {row.key: row for row in Category.objects.filter(key__in=_CATEGORIES)}
    for _ in range(world.plan.requests):
        world.baton.wait(lambda: False, chance.random() * 2, "client")
        category = categories[chance.choice(_CATEGORIES)]
        channels = chance.choice((("email",), ("email",), ("in_app",), ("email", "in_app")))
        chosen = chance.sample(people, chance.randint(1, 4))
        try:
            made = accept(
                _intent(category, chance.choice(list(Priority))),
                [SendTarget(user_id=user, channels=channels) for user in chosen],
                now=world.now(),
            )
        except _BROKEN:
            continue
        world.accepted += made.notification_keys
        if world.plan.cancels and chance.random() < 0.5:
            wanted = (lambda: _leases(world)) if world.plan.prompt else lambda: False
            world.baton.wait(wanted, chance.random(), "client")
            _cancel(world, chance.choice(made.notification_keys))
    world.senders_left -= 1
    connection.close()


def _leases(world: World) -> bool:
    """Whether a worker holds a lease."""
    started = [worker for _, worker in world.workers.values() if hasattr(worker, "driver")]
    return any(worker.driver.lease_count for worker in started)


def _cancel(world: World, key: int) -> None:
    try:
        cancel_waiting(
            Notification.objects.get(pk=key), by="sim", now=world.now(), only_if_nothing_sent=True
        )
    except (Conflict, *_BROKEN):
        return
    world.cancelled.append(key)


def _intent(category: Any, priority: Priority) -> Intent:
    terms = Terms(
        template_path="",
        channels=(),
        priority=None,
        category=category.key,
        context={},
        scheduled_at=None,
        expires_at=None,
        collapse_key=None,
        ordering_key=None,
    )
    return Intent(
        terms=terms,
        priority=priority,
        category_id=category.pk,
        category_key=category.key,
        template_version_id=None,
        source=f"key:{category.pk}",
        text={"title": "Title", "message": "Body"},
    )


def _run_rounds(world: World) -> None:
    """Runs a scheduler: the rounds that any process may run at any time."""
    rounds: list[Callable[[], object]] = [
        lambda: digests.close_due(now=world.now()),
        lambda: expiring.expire_waiting(now=world.now()),
        lambda: rescheduling.retry_stuck(now=world.now()),
    ]
    while not world.over:
        for call in rounds:
            try:
                call()
            except _BROKEN:
                connection.close()
        world.baton.wait(lambda: world.over or world.sweep_due, 4.0, "beat")
        if world.sweep_due:
            world.sweep_due = False
            rounds.append(partial(takeover.sweep, everywhere=True))
    connection.close()


def _inject_due_faults(world: World) -> None:
    """Injects the faults that are due at this step or time."""
    kind = world.plan.faults.pop(world.baton.steps, None)
    if kind is not None:
        _disturb(world, kind)
    while world.later and world.later[0][0] <= world.baton.now_s:
        _, spared = world.later.pop(0)
        _disturb(world, "kill", spared=spared)


def _disturb(world: World, kind: str, *, spared: str = "") -> None:
    living = [name for name in world.workers if name not in world.ended and name != spared]
    if not living:
        return
    chance = world.baton.random
    if kind == "late":
        world.network.at_arrival = lambda: _stop_caller(world)
        return
    name = chance.choice(living)
    process, _ = world.workers[name]
    world.disturbed = True
    if kind == "kill":
        world.ended.add(name)
        world.baton.kill(process)
        return
    seconds = chance.choice((1.0, 6.0, 30.0)) if kind == "stop" else LEASE_S + chance.random() * 3
    world.baton.stop(process, seconds)
    if kind == "relay":
        world.later.append((world.baton.now_s + seconds + chance.random(), name))
        world.later.sort()


def _stop_caller(world: World) -> None:
    """Stops the worker whose message arrived until its lease has expired."""
    world.disturbed = True
    world.baton.stop(world.baton.current.process, LEASE_S + 1 + world.baton.random.random() * 5)


def _watch(world: World) -> None:
    """Runs the operator: replaces workers that died, and ends the run when nothing waits."""
    while True:
        world.baton.wait(lambda: False, _QUIET_S, "operator")
        while world.count - len(world.ended) < 2:
            _start_worker(world)
        if world.plan.sweeps and _has_old_lease(world):
            world.plan.sweeps, world.sweep_due = False, True
        late = world.baton.now_s > _LONGEST_S
        busy = world.senders_left or world.plan.faults or world.later
        if late or (not busy and _is_quiet()):
            break
        if not world.senders_left and world.plan.faults:
            _disturb(world, world.plan.faults.popitem()[1])
    world.over = True
    for name, (_, worker) in world.workers.items():
        if name not in world.ended:
            worker.stop()
    connection.close()


def _has_old_lease(world: World) -> bool:
    """Whether a worker has a lease for longer than a lease is valid without a renewal."""
    held = {
        (lease.batch_id, lease.fence)
        for _, worker in world.workers.values()
        if hasattr(worker, "driver")
        for lease in worker.driver.leases
    }
    now_s = world.baton.now_s
    world.seen = {lease: world.seen.get(lease, now_s) for lease in held}
    return any(now_s - since_s > _OLD_S for since_s in world.seen.values())


def _is_quiet() -> bool:
    """Whether nothing waits. The operator asks once a second, so the statements are built once."""
    with connection.cursor() as cursor:
        return not any(_has_rows(cursor, *statement) for statement in _waiting())


@cache
def _waiting() -> list[tuple[str, Any]]:
    queries = (
        NotificationMessage.objects.filter(status=MessageStatus.PENDING),
        DigestBucket.objects.filter(closed_at=None),
        # A batch without open messages, whose worker died, is found by the next sweep.
        DeliveryBatch.objects.all(),
    )
    return [rows.query.exists().get_compiler(connection=connection).as_sql() for rows in queries]


def _has_rows(cursor: Any, sql: str, parameters: Any) -> bool:
    return cursor.execute(sql, parameters).fetchone() is not None
