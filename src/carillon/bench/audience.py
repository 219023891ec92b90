"""`bench audience`: measures how fast audiences are counted and streamed, and the memory."""

from __future__ import annotations

from typing import Any

from carillon.bench.harness.environment import bench_environment, machine


def run(*, database: str = "postgres", users: int = 1_000_000) -> dict[str, Any]:
    """Counts and streams each kind of audience.

    Returns for each: people, seconds of a count, and people and examined users a second of a
    stream. rss_mb_before and rss_mb_max show the memory that streaming all of them needs.
    """
    with bench_environment(database) as env:
        env.run("crowd", users)
        figures = env.run("audiences")
    return {"database": database, "users": users, **machine(), **figures}
