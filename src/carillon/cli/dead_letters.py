"""`carillon dead-letters`."""

from __future__ import annotations

import click

from carillon.cli import setup_django

_PAGE = 500


@click.group(epilog="Example: carillon dead-letters replay --all")
def command() -> None:
    """Messages that finally failed, or that a person must decide about."""
    setup_django()


@command.command("list", epilog="Example: carillon dead-letters list --channel email")
@click.option("--channel", default="")
@click.option("--provider", default="")
@click.option("--code", default="", help="Error code, `uncertain` or `poison`.")
@click.option("--limit", default=50, show_default=True)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON array.")
def list_(channel: str, provider: str, code: str, limit: int, as_json: bool) -> None:
    """What waits, the oldest first."""
    import msgspec

    from notifications.domain.callers import Caller
    from notifications.services import OperationsService

    caller = Caller(name="cli", is_service=True, is_staff=True)
    letters = OperationsService().dead_letters(
        caller=caller, channel=channel, provider=provider, code=code, limit=limit
    )
    if as_json:
        click.echo(msgspec.json.encode(letters).decode())
        return
    for each in letters:
        click.echo(
            f"{each.id}  {each.failed_at:%Y-%m-%d %H:%M}  {each.channel}  {each.code}"
            f"  {each.notification_id}  {each.last_error}"
        )
    if not letters:
        click.echo("no dead letters")


def _chosen(ids: tuple[int, ...], everything: bool) -> list[int]:
    from notifications.domain.callers import Caller
    from notifications.services import OperationsService

    if bool(ids) == everything:
        raise click.UsageError("name ids, or --all")
    if ids:
        return list(ids)
    caller, after = Caller(name="cli", is_service=True, is_staff=True), 0
    found: list[int] = []
    while True:
        page = OperationsService().dead_letters(caller=caller, after=after, limit=_PAGE)
        if not page:
            return found
        found += [each.id for each in page]
        after = found[-1]


@command.command("replay", epilog="Example: carillon dead-letters replay 17 18")
@click.argument("ids", nargs=-1, type=int)
@click.option("--all", "everything", is_flag=True, help="All that wait.")
def replay(ids: tuple[int, ...], everything: bool) -> None:
    """Send them again, each on its original template version."""
    from notifications.domain.callers import Caller
    from notifications.infra import wakeups
    from notifications.services import OperationsService

    caller = Caller(name="cli", is_service=True, is_staff=True)
    count = OperationsService().replay(ids=_chosen(ids, everything), caller=caller)
    wakeups.flush()
    click.echo(f"{count} replayed")


@command.command("discard", epilog="Example: carillon dead-letters discard 17 --reason 'test'")
@click.argument("ids", nargs=-1, type=int)
@click.option("--all", "everything", is_flag=True, help="All that wait.")
@click.option("--reason", required=True)
def discard(ids: tuple[int, ...], everything: bool, reason: str) -> None:
    """Close them for good."""
    from notifications.domain.callers import Caller
    from notifications.services import OperationsService

    caller = Caller(name="cli", is_service=True, is_staff=True)
    chosen = _chosen(ids, everything)
    count = OperationsService().discard(ids=chosen, reason=reason, caller=caller)
    click.echo(f"{count} discarded")
