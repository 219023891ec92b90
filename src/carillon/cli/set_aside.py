"""`carillon set-aside`."""

from __future__ import annotations

import json

import click

from carillon.cli import setup_django
from carillon.cli.caller import CALLER

_PAGE = 1000


@click.group(epilog="Example: carillon set-aside resume 17")
def command() -> None:
    """Items of periodic work that failed: receipts, digests, series, broadcasts and more."""
    setup_django()


@command.command("list", epilog="Example: carillon set-aside list --work receipt --json")
@click.option("--work", default="", help="Only this work, e.g. `receipt` or `digest`.")
@click.option("--limit", type=click.IntRange(1, _PAGE), default=50, show_default=True)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def list_(work: str, limit: int, as_json: bool) -> None:
    """List failed items, with their trace in the log and the time of the next attempt."""
    import msgspec

    from notifications.features.operations.set_aside import SetAsideService

    found = SetAsideService().list(caller=CALLER, work=work, limit=limit)
    if as_json:
        click.echo(json.dumps({"items": msgspec.to_builtins(found)}))
        return
    for each in found:
        again = f"{each.tried_again_at:%Y-%m-%d %H:%M}" if each.tried_again_at else "when resumed"
        state = "set aside" if each.set_aside else "waits"
        click.echo(
            f"{each.id}  {each.work} {each.item}  {state}, {each.tries} attempts, next {again}"
            f"  {each.error}  trace {each.trace}"
        )
    if not found:
        click.echo("nothing has failed")


@command.command("resume", epilog="Example: carillon set-aside resume --all")
@click.argument("ids", nargs=-1, type=int)
@click.option("--all", "everything", is_flag=True, help="All failed items, at most a thousand.")
@click.option("--work", default="", help="With --all: only this work.")
def resume(ids: tuple[int, ...], everything: bool, work: str) -> None:
    """Retry items at once, by the ids of the list."""
    from notifications.domain.errors import NotFound
    from notifications.features.operations.set_aside import SetAsideService

    service = SetAsideService()
    if bool(ids) == everything:
        raise click.UsageError("give ids, or --all")
    if everything:
        ids = tuple(each.id for each in service.list(caller=CALLER, work=work, limit=_PAGE))
    try:
        count = service.resume(ids=ids, caller=CALLER).resumed if ids else 0
    except NotFound as error:
        raise click.ClickException(error.detail) from error
    click.echo(f"{count} resumed")
