"""`carillon dead-letters`."""

from __future__ import annotations

import json

import click

from carillon.cli import setup_django
from carillon.cli.caller import CALLER

_PAGE = 500
as_json = click.option(
    "--json", "as_json", is_flag=True, help="One JSON object as the last line of the output."
)


@click.group(epilog="Example: carillon dead-letters replay --all")
def command() -> None:
    """Messages that finally failed, or that a person must decide about."""
    setup_django()


@command.command("list", epilog="Example: carillon dead-letters list --channel email --json")
@click.option("--channel", default="")
@click.option("--provider", default="")
@click.option("--code", default="", help="Error code, `uncertain` or `poison`.")
@click.option("--limit", type=click.IntRange(1, _PAGE), default=50, show_default=True)
@as_json
def list_(channel: str, provider: str, code: str, limit: int, as_json: bool) -> None:
    """What waits, the oldest first."""
    import msgspec

    from notifications.services import OperationsService

    letters = OperationsService().dead_letters(
        caller=CALLER, channel=channel, provider=provider, code=code, limit=limit
    )
    if as_json:
        click.echo(msgspec.json.encode({"dead_letters": letters}).decode())
        return
    for each in letters:
        click.echo(
            f"{each.id}  {each.failed_at:%Y-%m-%d %H:%M}  {each.channel}  {each.code}"
            f"  {each.notification_id}  {each.last_error}"
        )
    if not letters:
        click.echo("no dead letters")


def _chosen(ids: tuple[int, ...], everything: bool) -> list[int]:
    from notifications.services import OperationsService

    if bool(ids) == everything:
        raise click.UsageError("name ids, or --all")
    if ids:
        return list(ids)
    found: list[int] = []
    while page := OperationsService().dead_letters(
        caller=CALLER, after=found[-1] if found else 0, limit=_PAGE
    ):
        found += [each.id for each in page]
    return found


def _report(done: str, count: int, named: int, as_json: bool) -> None:
    """What was done. Named ids that are not open letters are told, with exit code 1."""
    left = max(0, named - count)
    if as_json:
        click.echo(json.dumps({done: count, "not_open": left}))
    else:
        click.echo(f"{count} {done}" + (f", {left} not open or unknown" if left else ""))
    if left:
        raise SystemExit(1)


@command.command("replay", epilog="Example: carillon dead-letters replay 17 18")
@click.argument("ids", nargs=-1, type=int)
@click.option("--all", "everything", is_flag=True, help="All that wait.")
@as_json
def replay(ids: tuple[int, ...], everything: bool, as_json: bool) -> None:
    """Send them again, each on its original template version."""
    from notifications.infra import wakeups
    from notifications.services import OperationsService

    chosen = _chosen(ids, everything)
    count = OperationsService().replay(ids=chosen, caller=CALLER)
    wakeups.flush()
    _report("replayed", count, len(ids), as_json)


@command.command("discard", epilog="Example: carillon dead-letters discard 17 --reason 'test'")
@click.argument("ids", nargs=-1, type=int)
@click.option("--all", "everything", is_flag=True, help="All that wait.")
@click.option("--reason", required=True)
@as_json
def discard(ids: tuple[int, ...], everything: bool, reason: str, as_json: bool) -> None:
    """Close them for good."""
    from notifications.services import OperationsService

    chosen = _chosen(ids, everything)
    count = OperationsService().discard(ids=chosen, reason=reason, caller=CALLER)
    _report("discarded", count, len(ids), as_json)
