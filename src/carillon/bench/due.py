"""`bench due`: how long after its time a scheduled notification leaves."""

from __future__ import annotations

from typing import Any

from carillon.bench.harness.ground import ground, machine


def run(
    *, database: str = "postgres", messages: int = 2_000, workers: int = 2, backlog: int = 100_000
) -> dict[str, Any]:
    """Notifications that fall due all along some seconds, and the same beside queued bulk messages.

    late_ms: from its time to when a provider had it.
    """
    workers = 1 if database == "sqlite" else workers
    answer = {"database": database, "messages": messages, "workers": workers, **machine()}
    for name, waiting in (("idle", 0), ("busy", backlog)):
        with ground(database) as place:
            place.run("people", 2_000)
            if waiting:
                place.run("accept", waiting, "in_app", "", 2_000, "low")
            started = place.workers(workers)
            place.run("falling_due", messages)
            found = place.run("lateness", messages)
            place.stop(started)
        answer |= {f"{name}_{key}": value for key, value in found.items()}
    return answer
