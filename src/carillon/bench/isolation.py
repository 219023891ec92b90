"""`bench isolation`: how long a critical message waits behind a great backlog of bulk."""

from __future__ import annotations

from typing import Any

from carillon.bench.harness.ground import ground, machine

_PEOPLE = 10_000


def run(
    *, database: str = "postgres", backlog: int = 1_000_000, messages: int = 200, workers: int = 2
) -> dict[str, Any]:
    """Queues `backlog` bulk messages, then sends critical ones while workers are busy with them."""
    workers = 1 if database == "sqlite" else workers
    with ground(database) as place:
        place.run("people", _PEOPLE)
        place.run("accept", backlog, "in_app", "", _PEOPLE, "low")
        started = place.workers(workers)
        figures = place.run("critical", messages)
        ended = place.stop(started)
        memory = max(each["rss_mb"] for each in ended)
        return {
            "database": database,
            "backlog": backlog,
            "workers": workers,
            **machine(),
            **place.run("settings"),
            **figures,
            "rss_mb_max": memory,
        }
