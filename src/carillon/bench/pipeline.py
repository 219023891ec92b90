"""`bench pipeline`: accepting, processing and both, against the raw limit and Celery."""

from __future__ import annotations

import time
from typing import Any

from carillon.bench.harness.environment import BenchEnvironment, bench_environment, machine

_PEOPLE = 10_000
_CALL = 10_000


def run(
    *,
    database: str = "postgres",
    messages: int = 200_000,
    workers: int = 0,
    celery_messages: int = 3_000,
) -> dict[str, Any]:
    """Measures messages a second on the in-app channel. Each figure has its own run.

    workers=0 means what the product runs: two processes on PostgreSQL, one on SQLite.
    """
    workers = workers or (1 if database == "sqlite" else 2)
    messages = max(_CALL, messages // _CALL * _CALL)
    with bench_environment(database) as env:
        env.run("people", _PEOPLE)
        figures = {"database": database, "messages": messages, "workers": workers, **machine()}
        figures |= env.run("settings")
        limit = env.run("limit", min(messages, 100_000))
        figures |= _separately(env, messages // 2, workers)
        figures |= _together(env, messages, workers)
    figures["limit_per_s"] = limit["per_s"]
    figures["limit_in_per_s"], figures["limit_out_per_s"] = limit["in_per_s"], limit["out_per_s"]
    figures["ratio_to_limit"] = round(figures["end_to_end_per_s"] / limit["per_s"], 2)
    baseline = _celery(database, celery_messages)
    figures["celery_per_message_per_s"] = baseline
    figures["ratio_to_celery"] = round(figures["end_to_end_per_s"] / baseline, 1)
    return figures


def _separately(env: BenchEnvironment, messages: int, workers: int) -> dict[str, Any]:
    """Measures accepting alone, then processing the accepted messages alone."""
    messages = max(_CALL, messages // _CALL * _CALL)
    accepted = env.run("accept", messages, "in_app")
    began = time.monotonic()
    started = env.workers(workers)
    env.run("drained")
    elapsed = time.monotonic() - began
    ended = env.stop(started)
    busy = max(each["busy_s"] for each in ended)
    return {
        "accept_per_s": round(messages / accepted["accept_s"]),
        "process_per_s": round(messages / min(elapsed, busy)),
    }


def _together(env: BenchEnvironment, messages: int, workers: int) -> dict[str, Any]:
    """Accepts and processes at once, from the first call until nothing is queued."""
    started = env.workers(workers)
    produced = env.run("accept", messages, "in_app", "drain")
    ended = env.stop(started)
    return {
        "end_to_end_per_s": round(messages / produced["total_s"]),
        "bulk10k_slowest_s": round(produced["slowest_call_s"], 3),
        "rss_mb_max": max(each["rss_mb"] for each in ended),
    }


def _celery(database: str, messages: int) -> int:
    """Measures the baseline: a Celery task per message, with the ORM, Redis and two children."""
    with bench_environment(database, redis=True) as env:
        env.run("people", 1_000)
        worker = env.start("celery_baseline_worker")
        try:
            elapsed: float = env.run("celery_baseline", messages)["s"]
            return round(messages / elapsed)
        finally:
            worker.terminate()
