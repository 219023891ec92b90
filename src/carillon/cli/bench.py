"""`carillon bench`."""

from __future__ import annotations

import inspect
import json
from importlib import import_module
from typing import Any

import click

NAMES = (
    "pipeline",
    "email",
    "push",
    "breaker",
    "limits",
    "http",
    "load",
    "soak",
    "render",
    "isolation",
    "backlog",
    "ageing",
    "audience",
    "broadcast",
    "due",
    "realtime",
    "policy",
    "insight",
    "audit",
    "migration",
    "import",
    "experiments",
    "console",
)
_MODULES = {
    "ageing": "records.ageing",
    "audit": "records.audit",
    "insight": "records.insight",
    "migration": "records.migration",
    "import": "import_users",
    "experiments": "experiments.table",
    "console": "web.console",
    "http": "web.http",
    "load": "web.load",
    "soak": "web.soak",
}
"""The modules that are not named as the benchmark is."""


@click.command(epilog="Example: carillon bench pipeline --database sqlite --json")
@click.argument("name", type=click.Choice(NAMES))
@click.option("--database", type=click.Choice(["sqlite", "postgres"]))
@click.option("--messages", type=int)
@click.option("--workers", type=int)
@click.option(
    "--users", type=int, help="For audience, console and migration: the size of the directory."
)
@click.option("--base", help="For migration: a checkout of an older release, with its .venv.")
@click.option("--recipients", type=int, help="For broadcast: the size of its audience.")
@click.option("--connections", type=click.IntRange(10), help="For realtime: open sockets.")
@click.option("--backlog", type=int, help="For isolation: the queued bulk messages.")
@click.option("--rows", type=click.IntRange(10_000), help="For ageing: the old messages.")
@click.option("--setup", type=click.Choice(["serve", "split"]), help="For load.")
@click.option("--minutes", type=click.FloatRange(0.5, 60), help="For load: of all stages.")
@click.option("--sends", is_flag=True, default=None, help="For load: a single send a second, too.")
@click.option("--requests", type=click.IntRange(1_000), help="For soak: of all clients.")
@click.option("--tests", type=click.IntRange(10), help="For experiments: simulated tests a cell.")
@click.option("--seed", type=int, help="For experiments.")
@click.option("--parts", help="For experiments: of even,growing,late,power.")
@click.option("--processes", type=click.IntRange(1, 64), help="For experiments: share the cells.")
@click.option("--tracked", is_flag=True, default=None, help="For email: mails of ten links.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object as the last line.")
def command(name: str, as_json: bool, **options: Any) -> None:
    """Measure NAME and a baseline in the same run, on separate servers."""
    run = import_module(f"carillon.bench.{_MODULES.get(name, name)}").run
    given = {key: value for key, value in options.items() if value is not None}
    unknown = [key for key in given if key not in inspect.signature(run).parameters]
    if unknown:
        raise click.UsageError(f"bench {name} has no option --{unknown[0]}")
    figures = run(**given)
    if not as_json:
        width = max(map(len, figures))
        for key, value in figures.items():
            click.echo(f"{key:<{width}}  {value}")
        return
    click.echo(json.dumps(figures))
