"""`bench broadcast`: how fast an audience becomes recipients, messages, and delivered messages."""

from __future__ import annotations

from typing import Any

from carillon.bench.ground import ground, machine


def run(
    *, database: str = "postgres", recipients: int = 100_000, workers: int = 2
) -> dict[str, Any]:
    """create_per_s: recipients written; message_per_s: recipients given their message (in-app), no
    worker beside it; deliver_per_s: the workers alone; send_per_s: all of it, one after the
    other."""
    workers = 1 if database == "sqlite" else workers
    with ground(database) as place:
        place.run("crowd", recipients)
        launched = place.run("launch")
        running = place.workers(workers)
        place.run("drained")
        ended = place.stop(running)
        durability = place.run("settings")
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
        "rss_mb_before": launched["rss_mb_before"],
        "rss_mb_max": max(launched["rss_mb"], *(each["rss_mb"] for each in ended)),
    }
