"""Real processes: writers of deltas, two that roll up at once, and ones that are killed."""

from __future__ import annotations

import random
import signal
import subprocess

import pytest

from carillon.bench.harness.environment import BenchEnvironment, bench_environment

pytestmark = pytest.mark.processes
DELTAS = 2_000
WRITERS = (1, 2)
TOTAL = DELTAS * len(WRITERS)


@pytest.fixture(params=["sqlite", "postgres"])
def env(request: pytest.FixtureRequest):
    with bench_environment(request.param) as made:
        yield made


def start_writers(env: BenchEnvironment) -> list[subprocess.Popen[str]]:
    return [env.start("insight_write", DELTAS, number) for number in WRITERS]


def check(env: BenchEnvironment) -> None:
    found = env.run("insight_sums")
    assert found == {"waiting": 0, "quarters": TOTAL, "hours": TOTAL, "days": TOTAL}


def test_two_processes_roll_up_at_once(env: BenchEnvironment) -> None:
    rolling = [env.start("insight_roll", TOTAL) for _ in range(2)]
    for child in (*start_writers(env), *rolling):
        env.result(child)
    check(env)


def test_killed_processes_lose_and_repeat_nothing(env: BenchEnvironment) -> None:
    rng = random.Random(7)
    writers = start_writers(env)
    for _ in range(5):
        child = env.start("insight_roll", 10**9)
        with pytest.raises(subprocess.TimeoutExpired):
            child.wait(1.5 + rng.random())
        child.send_signal(signal.SIGKILL)
        child.wait()
    for child in writers:
        env.result(child)
    env.run("insight_roll", TOTAL)
    check(env)
