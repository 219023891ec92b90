"""`carillon kill-switch`."""

from __future__ import annotations

import click

from carillon.cli import setup_django

_SCOPES = click.Choice(["all", "channel", "provider", "category", "template", "source"])


@click.group(epilog="Example: carillon kill-switch stop channel sms --reason 'provider is down'")
def command() -> None:
    """Stop and resume deliveries: everything, or one channel, provider, category, ..."""
    setup_django()


@command.command("list", epilog="Example: carillon kill-switch list")
def list_() -> None:
    """What is stopped now."""
    from notifications.domain.callers import Caller
    from notifications.services import OperationsService

    stops = OperationsService().stops(caller=Caller(name="cli", is_service=True, is_staff=True))
    for stop in stops:
        click.echo(f"{stop.scope} {stop.value}  {stop.reason}  ({stop.actor}, {stop.created_at})")
    if not stops:
        click.echo("nothing is stopped")


@command.command("stop", epilog="Example: carillon kill-switch stop all --reason incident")
@click.argument("scope", type=_SCOPES)
@click.argument("value", default="")
@click.option("--reason", required=True)
def stop(scope: str, value: str, reason: str) -> None:
    """Stop SCOPE [VALUE]; honoured before the next slice."""
    from notifications.domain.callers import Caller
    from notifications.services import OperationsService

    caller = Caller(name="cli", is_service=True, is_staff=True)
    OperationsService().stop(scope=scope, value=value, reason=reason, caller=caller)
    click.echo(f"stopped: {scope} {value}".strip())


@command.command("lift", epilog="Example: carillon kill-switch lift channel sms")
@click.argument("scope", type=_SCOPES)
@click.argument("value", default="")
def lift(scope: str, value: str) -> None:
    """Lift a stop; what waited goes on."""
    from notifications.domain.callers import Caller
    from notifications.infra import wakeups
    from notifications.services import OperationsService

    caller = Caller(name="cli", is_service=True, is_staff=True)
    OperationsService().lift(scope=scope, value=value, caller=caller)
    wakeups.flush()
    click.echo(f"lifted: {scope} {value}".strip())
