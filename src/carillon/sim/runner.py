"""Runs seeds in forked processes, each on a copy of a migrated database.

    python -m carillon.sim.runner prepare
    python -m carillon.sim.runner run TEMPLATE MUTANT REHEARSALS AT_ONCE FIRST COUNT STRIDE

The first command inserts the rows that runs need into the database of the environment. The second
writes one JSON line per seed. It copies TEMPLATE, a SQLite file, for each seed; an empty TEMPLATE
means the PostgreSQL of the environment. The parent process has Django loaded and nothing else
started, so every seed begins in the same state. REHEARSALS is the number of seeds that the parent
runs first, AT_ONCE the number that a forked process runs: both make runs faster, and nothing else.
"""

from __future__ import annotations

import contextlib
import faulthandler
import gc
import json
import logging
import os
import shutil
import sys
import tempfile
import threading
import traceback
from collections.abc import Callable, Iterable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from datetime import timedelta
from importlib import import_module
from pathlib import Path
from typing import Any, TextIO

import django
from django.db import connection, connections

django.setup()

from carillon.sim import checks, database, network, postgres, scenario, threads, warm  # noqa: E402 -- after setup
from carillon.sim.baton import Baton  # noqa: E402
from carillon.sqlite import filelock  # noqa: E402
from notifications.infra import clock, ports  # noqa: E402
from notifications.infra.process import identity as processes  # noqa: E402
from notifications.infra.process import inbox_wakeups, wakeups  # noqa: E402

MEMORY = Path("/dev/shm")  # noqa: S108 -- a folder in memory, where the system has one
_REAL_S = 60.0


def run_seed(seed: int, template: str, mutate: Callable[[], object]) -> dict[str, Any]:
    """Runs one seed in this process; returns its faults and figures.

    template: the SQLite file to copy; empty for PostgreSQL.
    """
    folder = Path(tempfile.mkdtemp(prefix="carillon-sim-", dir=MEMORY if MEMORY.is_dir() else None))
    baton = Baton(seed)
    plan = scenario.Plan.of(baton.random)
    net = network.Network(baton, calm=plan.calm, slow=plan.slow)
    world = scenario.World(baton, net, plan)
    network.install(net)
    try:
        with _database(template, folder, world), installed(world):
            faults = _run(world, mutate)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return {
        "seed": seed,
        "faults": faults,
        "steps": baton.steps,
        "checksum": baton.checksum,
        "messages": len(world.accepted),
        "trail": list(baton.trail) if faults else [],
    }


def _run(world: scenario.World, mutate: Callable[[], object]) -> list[str]:
    mutate()
    scenario.start(world)
    try:
        world.baton.run(_REAL_S)
    except Exception as error:
        return [f"{type(error).__name__}: {error}"]
    return checks.find_violations(world)


@contextlib.contextmanager
def _database(template: str, folder: Path, world: scenario.World) -> Iterator[None]:
    """Creates a database for the run, and removes it afterwards."""
    settings = connections.settings["default"]
    connections.close_all()
    if template:
        for alias, source in (("default", template), ("keys", _key_store(template))):
            copied = connections.settings[alias]["NAME"] = str(folder / f"{alias}.sqlite3")
            shutil.copyfile(source, copied)
        yield
        return
    name = f"sim{os.getpid()}"
    with postgres.clone(settings, name) as admin:
        postgres.use(world.baton, admin)
        with clock.reading(world.now):  # the server's own clock is not virtual
            yield
        connections.close_all()
        admin.execute(f'DROP DATABASE "{name}" WITH (FORCE)')


def _key_store(template: str) -> Path:
    return Path(template).with_name("keys") / "keys.sqlite3"


@contextlib.contextmanager
def installed(world: Any) -> Iterator[None]:
    """Replaces all ports by those of the run's baton."""
    baton, locks = world.baton, database.FileLocks(world.baton)
    database.use(baton)
    filelock.acquire, filelock.release = locks.acquire, locks.release
    processes.has_ended = lambda name: name in world.ended
    wakeups.listening_socket = lambda *_, **__: None
    wakeups.make_carrier = _Discarding
    inbox_wakeups.make_carrier = _Discarding
    with ports.installed(
        monotonic=lambda: 1_000.0 + baton.now_s,
        utc_now=lambda: scenario.STARTED + timedelta(seconds=baton.now_s),
        chance=baton.random.random,
        bits=baton.random.getrandbits,
        token=lambda size: f"{baton.random.getrandbits(8 * size):0{2 * size}x}",
        sleep=lambda seconds: baton.wait(lambda: False, seconds, "sleep"),
        Thread=lambda **more: threads.SimThread(baton, **more),
        Event=lambda: threads.SimEvent(baton),
        Condition=lambda: threads.SimCondition(baton),
        one_thread=lambda name: threads.SimExecutor(baton, name),
        SQLiteConnection=database.SimConnection,
    ):
        yield


class _Discarding:
    """Drops wake-ups of other processes: their polls find the work."""

    def send(self, texts: AbstractSet[str], /) -> None:
        """Does nothing."""

    def close(self) -> None:
        """Does nothing."""


def use_one_core(number: int) -> None:
    """Keeps this process on one core: its threads run one at a time, and pass control often.

    On two cores, each turn would wake another core, with a cold cache.
    """
    if hasattr(os, "sched_setaffinity"):
        cores = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, {cores[number % len(cores)]})


class Runs:
    """Runs seeds in forked processes, a few in each. All begin in the same state."""

    def __init__(self, template: str, mutate: Callable[[], object]) -> None:
        self._template = template
        self._mutate = mutate
        self._state = warm.State()
        gc.disable()  # it would finalize objects of killed processes during steps of others
        sys.unraisablehook = lambda _: None

    def rehearse(self, seeds: Iterable[int]) -> None:
        """Runs seeds in this process, so that the forked processes begin with warm caches.

        Raises:
            RuntimeError: a seed has a fault. What it leaves would be in all forked processes.
        """
        for seed in seeds:
            result = self._run(seed, lambda: None)
            if result["faults"]:
                raise RuntimeError(f"seed {seed}: {result['faults']}")
        gc.freeze()

    def forked(self, seeds: Sequence[int]) -> Iterator[dict[str, Any]]:
        """Runs seeds in a forked process, until one has a fault."""
        reader, writer = os.pipe()
        pid = os.fork()
        if not pid:
            os.close(reader)
            with os.fdopen(writer, "w") as out:
                self._run_all(seeds, out)
            os._exit(0)
        os.close(writer)
        found = 0
        with os.fdopen(reader) as given:
            for line in given:
                found += 1
                yield json.loads(line)
        _, status = os.waitpid(pid, 0)
        if status:
            yield {"seed": seeds[found], "faults": ["the process died"], "trail": []}

    def _run_all(self, seeds: Iterable[int], out: TextIO) -> None:
        for seed in seeds:
            faulthandler.dump_traceback_later(_REAL_S + 5, exit=True)
            try:
                result = self._run(seed, self._mutate)
            except BaseException:
                result = {"seed": seed, "faults": [traceback.format_exc()], "trail": []}
            out.write(json.dumps(result) + "\n")
            out.flush()
            if result["faults"]:
                return  # its threads may still run

    def _run(self, seed: int, mutate: Callable[[], object]) -> dict[str, Any]:
        before = {alias: dict(each) for alias, each in connections.settings.items()}
        result = run_seed(seed, self._template, mutate)
        if not result["faults"]:
            self._state.restore()
            for thread in set(threading.enumerate()) - {threading.current_thread()}:
                thread.join()
            connections.close_all()
            for alias, each in before.items():
                connections.settings[alias].update(each)
        return result


def main(words: list[str]) -> None:
    """See the module."""
    logging.disable(logging.CRITICAL)
    if words[0] == "prepare":
        create_fixtures()
        return
    template, mutant = words[1], words[2]
    rehearsals, at_once, first, count, stride = map(int, words[3:8])
    if template:
        use_one_core(first)
    runs = Runs(template, _mutation(mutant))
    runs.rehearse(range(rehearsals))
    left = list(range(first, first + count, stride))
    while left:
        for result in runs.forked(left[:at_once]):
            sys.stdout.write(json.dumps(result) + "\n")
            sys.stdout.flush()
            left.remove(result["seed"])


def _mutation(mutant: str) -> Callable[[], object]:
    if not mutant:
        return lambda: None
    module, _, name = mutant.partition(":")
    found: Callable[[], object] = getattr(import_module(module), name)
    return found


def create_fixtures() -> None:
    """Inserts the rows of every run. On SQLite, checkpoints them into one file for the copies.

    PostgreSQL waits for no disk from here on: a run kills processes, and never the server.
    """
    scenario.create_fixtures()
    if connection.vendor == "sqlite":
        for each in connections.all():
            with each.cursor() as cursor:
                cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        return
    with connection.cursor() as cursor:
        for name in ("fsync", "synchronous_commit", "full_page_writes"):
            cursor.execute(f"ALTER SYSTEM SET {name} = off")
        cursor.execute("SELECT pg_reload_conf()")


if __name__ == "__main__":
    main(sys.argv[1:])
