"""`bench policy`: what deciding costs, facts and decision, for slices of a hundred messages."""

from __future__ import annotations

from typing import Any

from carillon.bench.harness.environment import bench_environment, machine

_PEOPLE = 5_000


def run(*, database: str = "postgres", messages: int = 20_000) -> dict[str, Any]:
    """Decisions a second: nobody has preferences (empty), half of the people have some, with what
    was parsed kept (warm) and thrown away before each slice (cold).

    The baseline asks the ORM for each message as the source documents' service does without cache.
    """
    messages = max(_PEOPLE, messages // _PEOPLE * _PEOPLE)
    with bench_environment(database) as env:
        env.run("people", _PEOPLE)
        env.run("accept", messages, "email", "", _PEOPLE)
        figures = env.run("policy", messages)
    return {"database": database, "messages": messages, **machine(), **figures}
