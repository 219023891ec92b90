"""`bench pipeline`: accept, process, both at once, beside the raw limit and Celery per message."""

from __future__ import annotations

import time
from typing import Any

from carillon.bench.harness.ground import Ground, ground, machine

_PEOPLE = 10_000
_CALL = 10_000


def run(
    *,
    database: str = "postgres",
    messages: int = 200_000,
    workers: int = 0,
    celery_messages: int = 3_000,
) -> dict[str, Any]:
    """Messages a second on the in-app channel, each figure from a run of its own.

    workers=0 takes what the product runs: two processes on PostgreSQL, one on SQLite.
    """
    workers = workers or (1 if database == "sqlite" else 2)
    messages = max(_CALL, messages // _CALL * _CALL)
    with ground(database) as place:
        place.run("people", _PEOPLE)
        answer = {"database": database, "messages": messages, "workers": workers, **machine()}
        answer |= place.run("settings")
        limit = place.run("limit", min(messages, 100_000))
        answer |= _separately(place, messages // 2, workers)
        answer |= _together(place, messages, workers)
    answer["limit_per_s"] = limit["per_s"]
    answer["limit_in_per_s"], answer["limit_out_per_s"] = limit["in_per_s"], limit["out_per_s"]
    answer["ratio_to_limit"] = round(answer["end_to_end_per_s"] / limit["per_s"], 2)
    baseline = _celery(database, celery_messages)
    answer["celery_per_message_per_s"] = baseline
    answer["ratio_to_celery"] = round(answer["end_to_end_per_s"] / baseline, 1)
    return answer


def _separately(place: Ground, messages: int, workers: int) -> dict[str, Any]:
    """Accepting alone, then processing what was accepted alone."""
    messages = max(_CALL, messages // _CALL * _CALL)
    accepted = place.run("accept", messages, "in_app")
    began = time.monotonic()
    started = place.workers(workers)
    place.run("drained")
    elapsed = time.monotonic() - began
    ended = place.stop(started)
    busy = max(each["busy_s"] for each in ended)
    return {
        "accept_per_s": round(messages / accepted["accept_s"]),
        "process_per_s": round(messages / min(elapsed, busy)),
    }


def _together(place: Ground, messages: int, workers: int) -> dict[str, Any]:
    """Accepting and processing at once: from the first call until nothing is queued."""
    started = place.workers(workers)
    produced = place.run("accept", messages, "in_app", "drain")
    ended = place.stop(started)
    return {
        "end_to_end_per_s": round(messages / produced["total_s"]),
        "bulk10k_slowest_s": round(produced["slowest_call_s"], 3),
        "rss_mb_max": max(each["rss_mb"] for each in ended),
    }


def _celery(database: str, messages: int) -> int:
    """The baseline: one Celery task a message with the ORM, on Redis, two prefork children."""
    with ground(database, redis=True) as place:
        place.run("people", 1_000)
        worker = place.start("celery_baseline_worker")
        try:
            elapsed: float = place.run("celery_baseline", messages)["s"]
            return round(messages / elapsed)
        finally:
            worker.terminate()
