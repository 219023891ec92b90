"""`bench policy`: what facts and decisions cost, for slices of a hundred messages."""

from __future__ import annotations

from typing import Any

from carillon.bench.harness.environment import bench_environment, machine

_PEOPLE = 5_000


def run(*, database: str = "postgres", messages: int = 20_000) -> dict[str, Any]:
    """Measures decisions a second.

    empty: no user has preferences. warm: half of the users have preferences, and parsed ones are
    cached. cold: the cache is cleared before each slice. The baseline queries the ORM for each
    message, without a cache.
    """
    messages = max(_PEOPLE, messages // _PEOPLE * _PEOPLE)
    with bench_environment(database) as env:
        env.run("people", _PEOPLE)
        env.run("accept", messages, "email", "", _PEOPLE)
        figures = env.run("policy", messages)
    return {"database": database, "messages": messages, **machine(), **figures}
