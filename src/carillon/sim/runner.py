"""Runs seeds, each in a forked process of its own, from a copy of a migrated database.

    python -m carillon.sim.runner TEMPLATE MUTANT FIRST COUNT STRIDE

Writes one JSON line a seed. The parent has Django loaded and nothing else started, so every seed
begins from the same state.
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
import traceback
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import django

MEMORY = Path("/dev/shm")  # noqa: S108 -- a folder in memory, where the system has one
_REAL_S = 8.0


def run_seed(seed: int, template: Path, mutate: Callable[[], object]) -> dict[str, Any]:
    """Runs one seed in this process; what went wrong, and how it went."""
    from django.db import connections

    from carillon.sim import checks, network, scenario
    from carillon.sim.baton import Baton

    folder = Path(tempfile.mkdtemp(prefix="carillon-sim-", dir=MEMORY if MEMORY.is_dir() else None))
    try:
        path = folder / "sim.sqlite3"
        shutil.copyfile(template, path)
        connections.settings["default"]["NAME"] = str(path)
        connections.close_all()
        baton = Baton(seed)
        plan = scenario.Plan.of(baton.random)
        net = network.Network(baton, calm=plan.calm, slow=plan.slow)
        world = scenario.World(baton, net, plan)
        network.install(net)
        faults: list[str] = []
        with installed(world):
            mutate()
            scenario.start(world)
            try:
                baton.run(_REAL_S)
            except Exception as error:
                faults.append(f"{type(error).__name__}: {error}")
                if not isinstance(error, RuntimeError):
                    traceback.print_exception(error)
            else:
                faults += checks.wrong(world)
        return {
            "seed": seed,
            "faults": faults,
            "steps": baton.steps,
            "checksum": baton.checksum,
            "messages": len(world.accepted),
            "trail": list(baton.trail) if faults else [],
        }
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def installed(world: Any) -> Iterator[None]:
    """Every port on the run's baton."""
    from carillon.sim import threads
    from carillon.sim.database import FileLocks, connection_class
    from carillon.sim.scenario import STARTED
    from carillon.sqlite import filelock
    from notifications.infra import ports, processes, wakeups

    baton, locks = world.baton, FileLocks(world.baton)
    filelock.take, filelock.drop = locks.take, locks.drop
    processes.has_ended = lambda name: name in world.ended
    wakeups.listening_socket = lambda *_, **__: None
    wakeups._publish = lambda _lanes: None  # noqa: SLF001 -- other processes are woken by polls
    with ports.installed(
        monotonic=lambda: 1_000.0 + baton.now_s,
        utc_now=lambda: STARTED + timedelta(seconds=baton.now_s),
        chance=baton.random.random,
        bits=baton.random.getrandbits,
        token=lambda size: f"{baton.random.getrandbits(8 * size):0{2 * size}x}",
        sleep=lambda seconds: baton.wait(lambda: False, seconds, "sleep"),
        Thread=lambda **more: threads.SimThread(baton, **more),
        Event=lambda: threads.SimEvent(baton),
        Condition=lambda: threads.SimCondition(baton),
        one_thread=lambda name: threads.SimExecutor(baton, name),
        SQLiteConnection=connection_class(baton),
    ):
        yield


def forked(seed: int, template: Path, mutate: Callable[[], object]) -> dict[str, Any]:
    """Runs one seed in a forked process."""
    reader, writer = os.pipe()
    pid = os.fork()
    if not pid:
        os.close(reader)
        faulthandler.dump_traceback_later(_REAL_S + 5, exit=True)
        gc.disable()  # it would end what killed processes left in the middle of others' steps
        sys.unraisablehook = lambda _: None
        try:
            answer = json.dumps(run_seed(seed, template, mutate))
        except BaseException:
            answer = json.dumps({"seed": seed, "faults": [traceback.format_exc()], "trail": []})
        with os.fdopen(writer, "w") as out:
            out.write(answer)
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as given:
        text = given.read()
    os.waitpid(pid, 0)
    found: dict[str, Any] = (
        json.loads(text) if text else {"seed": seed, "faults": ["the process died"], "trail": []}
    )
    return found


def warm_up() -> None:
    """Imports what a run uses, so that no seed pays for it."""
    django.setup()
    logging.disable(logging.CRITICAL)
    from carillon.sim import checks, network, scenario, threads

    del checks, network, scenario, threads


def main(words: list[str]) -> None:
    """See the module."""
    template, mutant = Path(words[0]), words[1]
    first, count, stride = map(int, words[2:5])
    warm_up()
    mutate: Callable[[], object] = lambda: None  # noqa: E731
    if mutant:
        from importlib import import_module

        module, _, name = mutant.partition(":")
        mutate = getattr(import_module(module), name)
    for seed in range(first, first + count, stride):
        print(json.dumps(forked(seed, template, mutate)), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
