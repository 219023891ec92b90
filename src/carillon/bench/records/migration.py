"""`bench migration`: rows of an older release are sealed while the service accepts and sends."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

from carillon.bench.harness.environment import BenchEnvironment, bench_environment, machine
from carillon.bench.harness.records import __file__ as _records

_RATE = 200
_KILLS = 2
_BETWEEN_KILLS_S = 3.0
_LONGEST_S = 7_200


def run(
    *, base: str, database: str = "sqlite", users: int = 20_000, messages: int = 100_000
) -> dict[str, Any]:
    """Fills a database by an older release, migrates it, and seals it beside live messages.

    base: a checkout of the older release, with its `.venv`. The sealing is killed twice and starts
    again. `under_service_key` and `readable_texts` count what is left of people afterwards.
    """
    with bench_environment(database, migrated=False, secret_key="k" * 50) as env:
        figures: dict[str, Any] = {"database": database, "people": users, "messages": messages}
        figures |= machine()
        began = time.monotonic()
        _fill(env, Path(base), users, messages)
        figures["fill_s"] = round(time.monotonic() - began, 1)
        began = time.monotonic()
        env.run("migrate")
        figures["migrate_s"] = round(time.monotonic() - began, 1)
        figures["before"] = env.run("readable_rows")
        env.run("people", 1_000)
        figures |= _seal_beside(env)
        return {**figures, **env.run("readable_rows")}


def _fill(env: BenchEnvironment, base: Path, users: int, messages: int) -> None:
    script = Path(_records).with_name("oldrows.py")
    subprocess.run(
        [base / ".venv/bin/python", script, str(users), str(messages)],
        env=env.environ,
        check=True,
        stdout=subprocess.DEVNULL,
        timeout=_LONGEST_S,
    )


def _seal_beside(env: BenchEnvironment) -> dict[str, Any]:
    """Kills the sealing twice, then lets it end, while messages are accepted and sent."""
    live = env.start("live_messages", _RATE, stdin=subprocess.PIPE)
    assert live.stdin is not None
    assert live.stdout is not None
    live.stdout.readline()
    started = env.workers(1, role="ageing_worker")
    began = time.monotonic()
    live.stdin.write("begin\n")
    live.stdin.flush()
    kills = sum(_kill_sealing(env) for _ in range(_KILLS))
    last = env.start("seal_old")
    out, _ = last.communicate(timeout=_LONGEST_S)
    seconds = time.monotonic() - began
    time.sleep(max(0.0, 10.0 - seconds))  # enough critical messages
    sent = env.stop([live])[0]
    (worker,) = env.stop(started)
    figures = json.loads(out.strip().splitlines()[-1])
    return {
        "kills": kills,
        "seconds": round(seconds, 1),
        **figures,
        "rows_per_s": round(figures["looked_at"] / figures["seal_s"]),
        **sent,
        "worker_rss_mb": worker["rss_mb"],
    }


def _kill_sealing(env: BenchEnvironment) -> int:
    """Starts the sealing and kills it; returns 0 where it ended before."""
    child = env.start("seal_old")
    assert child.stdout is not None
    child.stdout.readline()  # the first rows are sealed
    try:
        child.wait(_BETWEEN_KILLS_S)
    except subprocess.TimeoutExpired:
        child.send_signal(signal.SIGKILL)
        child.wait()
        return 1
    return 0
