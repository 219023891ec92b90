"""`bench render`: cached renders of an inbox text and of a realistic HTML mail."""

from __future__ import annotations

from typing import Any

from carillon.bench.harness.environment import bench_environment, machine


def run(*, messages: int = 20_000) -> dict[str, Any]:
    """Measures milliseconds per cached render; `baseline` is plain Jinja2 with autoescape."""
    with bench_environment("sqlite") as env:
        return {**machine(), **env.run("render", messages)}
