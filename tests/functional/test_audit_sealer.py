"""Real processes: several writers, two sealers at once, and sealers that are killed."""

from __future__ import annotations

import random
import signal
import subprocess

import pytest

from carillon.bench.harness.environment import BenchEnvironment, bench_environment

pytestmark = pytest.mark.processes
ENTRIES = 1_500
WRITERS = ("1", "2", "3")


@pytest.fixture(params=["sqlite", "postgres"])
def env(request: pytest.FixtureRequest):
    with bench_environment(request.param) as made:
        yield made


def start_writers(env: BenchEnvironment) -> list[subprocess.Popen[str]]:
    return [env.start("audit_write", ENTRIES, 3, name) for name in WRITERS]


def check(env: BenchEnvironment) -> None:
    found = env.run("audit_check")
    assert found["leaves"] == ENTRIES * len(WRITERS)
    assert (found["faults"], found["out_of_order"]) == (0, 0)


def test_two_sealers_at_once_make_one_tree_in_order(env: BenchEnvironment) -> None:
    total = ENTRIES * len(WRITERS)
    sealers = [env.start("audit_seal", total) for _ in range(2)]
    writers = start_writers(env)
    for child in (*writers, *sealers):
        env.result(child)
    check(env)


def test_killed_sealers_lose_and_repeat_nothing(env: BenchEnvironment) -> None:
    rng = random.Random(7)
    writers = start_writers(env)
    for _ in range(6):
        sealer = env.start("audit_seal", 10**9)
        with pytest.raises(subprocess.TimeoutExpired):
            sealer.wait(1.2 + rng.random())
        sealer.send_signal(signal.SIGKILL)
        sealer.wait()
    for child in writers:
        env.result(child)
    env.run("audit_seal", ENTRIES * len(WRITERS))
    check(env)
