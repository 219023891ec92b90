"""`bench isolation`: how long a critical message waits behind a large backlog of bulk."""

from __future__ import annotations

from typing import Any

from carillon.bench.harness.environment import bench_environment, machine

_PEOPLE = 10_000


def run(
    *, database: str = "postgres", backlog: int = 1_000_000, messages: int = 200, workers: int = 2
) -> dict[str, Any]:
    """Queues `backlog` bulk messages, then sends critical ones while workers deliver the bulk."""
    workers = 1 if database == "sqlite" else workers
    with bench_environment(database) as env:
        env.run("people", _PEOPLE)
        env.run("accept", backlog, "in_app", "", _PEOPLE, "low")
        started = env.workers(workers)
        figures = env.run("critical", messages)
        ended = env.stop(started)
        memory = max(each["rss_mb"] for each in ended)
        return {
            "database": database,
            "backlog": backlog,
            "workers": workers,
            **machine(),
            **env.run("settings"),
            **figures,
            "rss_mb_max": memory,
        }
