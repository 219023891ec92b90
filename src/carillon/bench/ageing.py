"""`bench ageing`: old rows are deleted while new messages are sent."""

from __future__ import annotations

import subprocess
import time
from typing import Any

from carillon.bench.harness.environment import (
    BenchEnvironment,
    Observer,
    bench_environment,
    machine,
)

_PEOPLE = 1_000
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
    four tables with their indexes on PostgreSQL, and of the file on SQLite. `growth` is the size
    after the second round by the size after the first, without the live messages of the second.
    """
    with bench_environment(database) as env:
        env.run("people", _PEOPLE)
        figures: dict[str, Any] = {"database": database, "messages": rows, **machine()}
        figures |= env.run("settings")
        observer = Observer(env, "ageing_observer")
        empty = observer.query("size")
        first = _round(env, observer, rows, workers, "facts")
        figures["bytes_per_message"] = round((first["size_full"] - empty) / rows)
        figures |= {f"first_{key}": value for key, value in first.items()}
        second = _round(env, observer, rows, workers, "facts")
        figures |= {f"second_{key}": value for key, value in second.items()}
        live = second["live_messages"] * figures["bytes_per_message"]
        figures["growth"] = round((second["size_after"] - live) / first["size_after"], 3)
        figures["growth_with_live"] = round(second["size_after"] / first["size_after"], 3)
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
    before = observer.query("state", rule, str(filled["last_key"]))["done"]
    live = env.start("live_messages", _RATE, stdin=subprocess.PIPE)
    assert live.stdout is not None
    assert live.stdin is not None
    live.stdout.readline()
    started = env.workers(workers, "yes", role="ageing_worker")
    began = time.monotonic()
    live.stdin.write("begin\n")
    live.stdin.flush()
    state = observer.query("state", rule, str(filled["last_key"]))
    while state["left"]:
        if time.monotonic() - began > _LONGEST_S:
            raise TimeoutError(f"{rule} was not done within two hours")
        time.sleep(0.5)
        state = observer.query("state", rule, str(filled["last_key"]))
    seconds = time.monotonic() - began
    time.sleep(max(0.0, _LEAST_S - seconds))
    sent = env.stop([live])[0]
    ended = env.stop(started)
    done = state["done"] - before
    return {
        "fill_s": filled["fill_s"],
        "seconds": round(seconds, 1),
        "rows": done,
        "rows_per_s": round(done / seconds),
        "messages_per_s": round(rows / seconds),
        **sent,
        "rss_mb": max(each["rss_mb"] for each in ended),
        "size_full": full,
        "vacuum_wait_s": _await_vacuum(observer, rows),
        "size_after": observer.query("size"),
    }


def _await_vacuum(observer: Observer, rows: int) -> float:
    """Waits until autovacuum has left two in a hundred dead rows, for at most 15 minutes."""
    began = time.monotonic()
    while observer.query("dead")["dead"] > rows * _ROWS_A_MESSAGE // 50:
        if time.monotonic() - began > _VACUUM_S:
            break
        time.sleep(1.0)
    return round(time.monotonic() - began, 1)
