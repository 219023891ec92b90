"""`bench insight`: how fast metrics are read, and what a message costs to roll up."""

from __future__ import annotations

from typing import Any

from carillon.bench.harness.environment import bench_environment, machine

_FIRST = 100_000


def run(*, database: str = "postgres", messages: int = 1_000_000) -> dict[str, Any]:
    """Adds the deltas of so many messages over a year, in steps of ten, and reads metrics.

    rollup_us_at_N: time to roll up a message, while their number grows to N; hardly two slices are
    of one quarter and cohort there. busy_rollup_us: while all are of one quarter, as on a busy day.
    metrics_p95_ms: of ranges from a day to a year, with and without a series, in several zones.
    waiting_p95_ms: the same while 1,000 deltas are not rolled up yet. delta_us: of the changes of a
    slice of 100 messages and their row, in a transaction of their own.
    """
    with bench_environment(database) as env:
        figures: dict[str, Any] = {"database": database, "messages": messages, **machine()}
        done, size = 0, min(_FIRST, messages)
        while done < messages:
            step = env.run("insight_fill", size - done)
            figures[f"rollup_us_at_{size}"] = step["rollup_us"]
            done, size = size, min(size * 10, messages)
        return {**figures, **env.run("insight_read")}
