"""`bench render`: a cached render of an inbox text and of a realistic HTML mail."""

from __future__ import annotations

from typing import Any

from carillon.bench.harness.ground import ground, machine


def run(*, messages: int = 20_000) -> dict[str, Any]:
    """Milliseconds a render, compiled and cached; `baseline` is plain Jinja2 with autoescape."""
    with ground("sqlite") as place:
        return {**machine(), **place.run("render", messages)}
