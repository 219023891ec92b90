"""`bench audience`: how fast audiences are counted and streamed, and in how much memory."""

from __future__ import annotations

from typing import Any

from carillon.bench.harness.environment import bench_environment, machine


def run(*, database: str = "postgres", users: int = 1_000_000) -> dict[str, Any]:
    """For each kind of audience: people, seconds a count, people and looked-at users a second of a
    stream. rss_mb_before and rss_mb_max show what streaming all of them costs."""
    with bench_environment(database) as env:
        env.run("crowd", users)
        figures = env.run("audiences")
    return {"database": database, "users": users, **machine(), **figures}
