"""`bench broadcast`: how fast an audience becomes recipients, messages and deliveries."""

from __future__ import annotations

import time
from typing import Any

from carillon.bench.harness.environment import (
    BenchEnvironment,
    Observer,
    bench_environment,
    machine,
)


def run(
    *, database: str = "postgres", recipients: int = 100_000, workers: int = 2
) -> dict[str, Any]:
    """Measures a broadcast step by step, then a second one that several processes send at once.

    The first broadcast is in-app:
        create_per_s: recipients written.
        message_per_s: messages created for recipients, without any worker.
        deliver_per_s: the workers alone.
        send_per_s: all three steps, one after the other.

    `workers` processes create, send and count the second broadcast, to the same people:
        progress_p99_ms: a query of its progress while they send, every 10 ms.
        cancel_ms: until the cancellation returns, when half of the messages are sent.
        cleared_s: until all waiting messages are cancelled.
    """
    workers = 1 if database == "sqlite" else workers
    with bench_environment(database) as env:
        env.run("crowd", recipients)
        launched = env.run("launch")
        running = env.workers(workers)
        env.run("drained")
        ended = env.stop(running)
        steered = _steer(env, workers)
        durability = env.run("settings")
    count = launched["recipients"]
    busy_s = max(each["busy_s"] for each in ended)
    total_s = launched["create_s"] + launched["message_s"] + busy_s
    return {
        "database": database,
        "recipients": count,
        "workers": workers,
        **machine(),
        **durability,
        "create_per_s": round(count / launched["create_s"]),
        "message_per_s": round(count / launched["message_s"]),
        "deliver_per_s": round(count / busy_s),
        "send_per_s": round(count / total_s),
        **steered,
        "rss_mb_before": launched["rss_mb_before"],
        "rss_mb_max": max(launched["rss_mb"], *(each["rss_mb"] for each in ended)),
    }


def _steer(env: BenchEnvironment, workers: int) -> dict[str, Any]:
    control = Observer(env, "steer")
    carriers = [env.start("carrier") for _ in range(workers)]
    for child in carriers:
        assert child.stdout is not None
        child.stdout.readline()
    made = str(control.query("launch", "all", "in_app"))
    polled = control.query("poll", made)
    cancelled = control.query("cancel", made)
    began = time.monotonic()
    while control.query("waiting", made):
        time.sleep(0.05)
    cleared_s = time.monotonic() - began
    wrong = control.query("check")
    control.query("end")
    env.stop(carriers)
    return {
        "progress_polls": polled["polls"],
        "progress_p50_ms": polled["p50_ms"],
        "progress_p99_ms": polled["p99_ms"],
        "carried_per_s": polled["rate"],
        "cancel_ms": round(cancelled["ms"], 2),
        "cleared_s": round(cleared_s, 2),
        "invariant_broken": wrong,
    }
