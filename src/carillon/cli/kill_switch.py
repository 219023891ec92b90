"""`carillon kill-switch`."""

from __future__ import annotations

import click

from carillon.cli import setup_django
from carillon.cli.caller import CALLER

_SCOPES = click.Choice(["all", "channel", "provider", "category", "template", "source", "version"])


@click.group(epilog="Example: carillon kill-switch stop channel sms --reason 'provider is down'")
def command() -> None:
    """Stop and resume deliveries: everything, or one channel, provider, category, ..."""
    setup_django()


@command.command("list", epilog="Example: carillon kill-switch list --json")
@click.option("--json", "as_json", is_flag=True, help="One JSON object as the last line.")
def list_(as_json: bool) -> None:
    """List the current stops."""
    import msgspec

    from notifications.services import OperationsService

    stops = OperationsService().stops(caller=CALLER)
    if as_json:
        click.echo(msgspec.json.encode({"stops": stops}).decode())
        return
    for stop in stops:
        since = f"{stop.created_at:%Y-%m-%d %H:%M}"
        click.echo(f"{stop.scope} {stop.value}  {stop.reason}  ({stop.actor}, {since})")
    if not stops:
        click.echo("nothing is stopped")


@command.command("stop", epilog="Example: carillon kill-switch stop all --reason incident")
@click.argument("scope", type=_SCOPES)
@click.argument("value", default="")
@click.option("--reason", required=True)
def stop(scope: str, value: str, reason: str) -> None:
    """Stop SCOPE [VALUE]; workers obey before their next slice."""
    from notifications.services import OperationsService

    OperationsService().stop(scope=scope, value=value, reason=reason, caller=CALLER)
    click.echo(f"stopped: {scope} {value}".strip())


@command.command("lift", epilog="Example: carillon kill-switch lift channel sms")
@click.argument("scope", type=_SCOPES)
@click.argument("value", default="")
def lift(scope: str, value: str) -> None:
    """Lift a stop; the waiting messages continue."""
    from notifications.infra.process import wakeups
    from notifications.services import OperationsService

    OperationsService().lift(scope=scope, value=value, caller=CALLER)
    wakeups.flush()
    click.echo(f"lifted: {scope} {value}".strip())
