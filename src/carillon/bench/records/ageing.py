"""`bench ageing`: old rows are deleted while new messages are sent."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable
from typing import Any

from carillon.bench.harness.environment import (
    BenchEnvironment,
    Observer,
    bench_environment,
    machine,
)

_PEOPLE = 1_000
_FULL_SIZE = 5_000_000
"""Rows at which autovacuum has its usual pause of a minute. Fewer rows have a shorter one, so that
a round has as many vacuums."""
_RATE = 500
_FACTS_DAYS, _CONTENTS_DAYS = 400, 40
_LONGEST_S = 7_200.0
_VACUUM_S = 900.0
_LEAST_S = 10.0
"""How long live messages are sent at least, so that there are enough critical ones."""
_ROWS_A_MESSAGE = 4


def run(*, database: str = "postgres", rows: int = 200_000, workers: int = 1) -> dict[str, Any]:
    """Deletes `rows` old messages twice, and empties a tenth as many.

    rows: messages; each has a notification, an attempt and an event as well. Sizes are those of the
    four tables with their indexes on PostgreSQL, and of the file without its WAL on SQLite.
    `growth` is the size with all old rows in the second round by that in the first, without the
    live messages of the first.
    `alone_critical_p99_s` is the wait of critical messages before there is any old row.
    """
    with bench_environment(database) as env:
        env.run("people", _PEOPLE)
        figures: dict[str, Any] = {"database": database, "messages": rows, **machine()}
        figures |= env.run("settings")
        observer = Observer(env, "ageing_observer")
        figures |= env.run("vacuum_pause", max(2, 60 * rows // _FULL_SIZE))
        used = observer.query("used")
        alone = _live(env, workers, lambda: False)
        live_bytes = (observer.query("used") - used) / alone["live_messages"]
        empty = observer.query("used")
        figures |= {f"alone_{key}": value for key, value in alone.items()}
        first = _round(env, observer, rows, workers, "facts")
        figures["bytes_per_message"] = round((first["size_full"] - empty) / rows)
        figures |= {f"first_{key}": value for key, value in first.items()}
        second = _round(env, observer, rows, workers, "facts")
        figures |= {f"second_{key}": value for key, value in second.items()}
        figures["bytes_per_live_message"] = round(live_bytes)
        live = first["live_messages"] * live_bytes
        figures["growth"] = round((second["size_full"] - live) / first["size_full"], 3)
        emptied = _round(env, observer, max(10_000, rows // 10), workers, "contents")
        figures |= {f"emptied_{key}": value for key, value in emptied.items()}
        observer.query("end")
    return figures


def _round(
    env: BenchEnvironment, observer: Observer, rows: int, workers: int, rule: str
) -> dict[str, Any]:
    """Fills, then deletes or empties beside live messages, then waits for autovacuum."""
    days = _FACTS_DAYS if rule == "facts" else _CONTENTS_DAYS
    filled = env.run("aged", rows, days)
    full = observer.query("size")
    before = observer.query("state", rule, str(filled["last_key"]))
    first = before["done"]
    state = before

    def is_left() -> bool:
        state.update(observer.query("state", rule, str(filled["last_key"])))
        return bool(state["left"])

    sent = _live(env, workers, is_left)
    done = state["done"] - first
    return {
        "fill_s": filled["fill_s"],
        "rows": done,
        "rows_per_s": round(done / sent["seconds"]),
        "messages_per_s": round(rows / sent["seconds"]),
        **sent,
        "size_full": full,
        "vacuum_wait_s": _await_vacuum(observer, rows),
        "size_after": observer.query("size"),
    }


def _live(env: BenchEnvironment, workers: int, is_left: Callable[[], bool]) -> dict[str, Any]:
    """Runs workers with their upkeep and sends live messages, until no old row is left."""
    live = env.start("live_messages", _RATE, stdin=subprocess.PIPE)
    assert live.stdout is not None
    assert live.stdin is not None
    live.stdout.readline()
    started = env.workers(workers, role="ageing_worker")
    began = time.monotonic()
    live.stdin.write("begin\n")
    live.stdin.flush()
    while is_left():
        if time.monotonic() - began > _LONGEST_S:
            raise TimeoutError("the old rows were not done within two hours")
        time.sleep(0.5)
    seconds = time.monotonic() - began
    time.sleep(max(0.0, _LEAST_S - seconds))
    sent = env.stop([live])[0]
    ended = env.stop(started)
    rss = max(each["rss_mb"] for each in ended)
    return {"seconds": round(seconds, 2), **sent, "rss_mb": rss}


def _await_vacuum(observer: Observer, rows: int) -> float:
    """Waits until autovacuum has left two in a hundred dead rows, for at most 15 minutes."""
    began = time.monotonic()
    while observer.query("dead")["dead"] > rows * _ROWS_A_MESSAGE // 50:
        if time.monotonic() - began > _VACUUM_S:
            break
        time.sleep(1.0)
    return round(time.monotonic() - began, 1)
