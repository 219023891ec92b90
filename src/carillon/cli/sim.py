"""`carillon sim`."""

from __future__ import annotations

import json
import time
from typing import Any

import click


@click.command(epilog="Example: carillon sim --seeds 500")
@click.option(
    "--seed", type=click.IntRange(0, 2**31), help="Run one seed and show its interleaving."
)
@click.option(
    "--seeds", type=click.IntRange(1, 100_000), help="Run this many seeds, beginning with --first."
)
@click.option("--first", type=click.IntRange(0, 2**31), default=1, show_default=True)
@click.option("--database", type=click.Choice(["sqlite", "postgres"]), default="sqlite")
@click.option("--json", "as_json", is_flag=True, help="One JSON object as the last line.")
def command(seed: int | None, seeds: int | None, first: int, database: str, as_json: bool) -> None:
    """Run the engine under a seeded scheduler: workers die, stop and come back between any steps.

    On SQLite a seed always runs the same way. The command fails when a message is lost, sent twice
    without being uncertain, reported wrongly, or never finished.
    """
    from carillon.sim.runs import run

    if (seed is None) == (seeds is None):
        raise click.UsageError("give --seed N, or --seeds N")
    began = time.monotonic()
    results = run(
        first if seed is None else seed,
        seeds or 1,
        database=database,
        warm=seed is None,
    )
    wrong = [result for result in results if result["faults"]]
    for result in wrong[:10]:
        _show(result, with_trail=seed is not None)
    figures = {
        "seeds": len(results),
        "wrong": [result["seed"] for result in wrong],
        "steps": sum(result.get("steps", 0) for result in results),
        "messages": sum(result.get("messages", 0) for result in results),
        "checksum": results[0].get("checksum") if seed is not None else None,
        "seconds": round(time.monotonic() - began, 1),
    }
    if as_json:
        click.echo(json.dumps(figures))
    else:
        for key, value in figures.items():
            click.echo(f"{key:<10}  {value}")
    if wrong:
        raise SystemExit(1)


def _show(result: dict[str, Any], *, with_trail: bool) -> None:
    for fault in result["faults"]:
        click.echo(f"seed {result['seed']}: {fault}")
    for line in result["trail"] if with_trail else ():
        click.echo(f"  {line}")
