"""`carillon chaos`."""

from __future__ import annotations

import json

import click


@click.command(epilog="Example: carillon chaos --kills 20 --messages 50000 --database postgres")
@click.option("--database", type=click.Choice(["sqlite", "postgres"]), default="postgres")
@click.option("--kills", default=20, show_default=True)
@click.option("--messages", default=50_000, show_default=True)
@click.option(
    "--broadcast", is_flag=True, help="Use broadcasts that are paused and resumed, not sends."
)
@click.option("--realtime", is_flag=True, help="Disturb live inboxes: --clients, --events.")
@click.option("--clients", default=1_000, show_default=True, help="For realtime.")
@click.option("--events", default=1_000, show_default=True, help="For realtime: of each person.")
@click.option("--seed", default=0, help="Repeat the random choices of a run.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object as the last line.")
def command(
    database: str,
    kills: int,
    messages: int,
    broadcast: bool,
    realtime: bool,
    clients: int,
    events: int,
    seed: int,
    as_json: bool,
) -> None:
    """Kill workers at random moments and count the mails that a mail server received."""
    from carillon import chaos
    from carillon.chaos import broadcast as of_broadcasts
    from carillon.chaos import realtime as of_inboxes

    if realtime:
        figures = of_inboxes.run(database=database, clients=clients, events=events, seed=seed)
        bad = of_inboxes.is_wrong(figures)
    elif broadcast:
        figures = of_broadcasts.run(database=database, kills=kills, recipients=messages, seed=seed)
        bad = of_broadcasts.is_wrong(figures)
    else:
        figures = chaos.run(database=database, kills=kills, messages=messages, seed=seed)
        bad = figures["lost"] or figures["duplicates"] or figures["max_uncertain_per_kill"] > 100
    if as_json:
        click.echo(json.dumps(figures))
    else:
        for key, value in figures.items():
            click.echo(f"{key:<22}  {value}")
    if bad:
        raise SystemExit(1)
