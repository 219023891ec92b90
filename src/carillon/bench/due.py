"""`bench due`: how long after its time a scheduled notification is sent."""

from __future__ import annotations

from typing import Any

from carillon.bench.harness.environment import bench_environment, machine


def run(
    *, database: str = "postgres", messages: int = 2_000, workers: int = 2, backlog: int = 100_000
) -> dict[str, Any]:
    """Sends notifications that become due over ten seconds, alone and beside queued bulk messages.

    late_ms: from the time of a notification until a provider had it.
    """
    workers = 1 if database == "sqlite" else workers
    figures = {"database": database, "messages": messages, "workers": workers, **machine()}
    for name, waiting in (("idle", 0), ("busy", backlog)):
        with bench_environment(database) as env:
            env.run("people", 2_000)
            if waiting:
                env.run("accept", waiting, "in_app", "", 2_000, "low")
            started = env.workers(workers)
            env.run("falling_due", messages)
            found = env.run("lateness", messages)
            env.stop(started)
        figures |= {f"{name}_{key}": value for key, value in found.items()}
    return figures
