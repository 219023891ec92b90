"""`carillon providers`."""

from __future__ import annotations

import click

from carillon.cli import setup_django
from carillon.cli.caller import CALLER

as_json = click.option(
    "--json", "as_json", is_flag=True, help="One JSON object as the last line of the output."
)


@click.group(epilog="Example: carillon providers list")
def command() -> None:
    """List the providers of each channel, and test their accounts."""
    setup_django()


@command.command("list", epilog="Example: carillon providers list --json")
@as_json
def list_(as_json: bool) -> None:
    """List every provider; * marks the chosen ones. Secrets are never shown."""
    import msgspec

    from notifications.features.providers.service import ProviderService

    found = ProviderService().providers(caller=CALLER)
    if as_json:
        click.echo(msgspec.json.encode({"providers": found}).decode())
        return
    for each in found:
        state = "missing " + ", ".join(each.missing) if each.missing else "ready"
        click.echo(f"{'*' if each.chosen else ' '} {each.key:<10} {each.channel:<10} {state}")


@command.command("test", epilog="Example: carillon providers test smtp --to ann@example.org")
@click.argument("key")
@click.option("--to", required=True, help="An address of the provider's channel.")
@click.option("--title", default="")
@click.option("--body", default="")
@as_json
def test(key: str, to: str, title: str, body: str, as_json: bool) -> None:
    """Send a test through a provider and print the result; exit code 1 unless it was accepted."""
    import msgspec

    from notifications.features.providers.service import ProviderService

    result = ProviderService().send_test(key=key, to=to, title=title, body=body, caller=CALLER)
    if as_json:
        click.echo(msgspec.json.encode(result).decode())
    else:
        why = f"  {result.error_code}  {result.error}" if result.error else ""
        click.echo(
            f"{result.verdict} in {result.duration_ms} ms  {result.provider_message_id}{why}"
        )
    if result.verdict not in ("sent", "delivered"):
        raise SystemExit(1)


@command.command("breakers", epilog="Example: carillon providers breakers --json")
@as_json
def breakers(as_json: bool) -> None:
    """List limits and circuit breakers: which services get messages now, and which are paused."""
    import msgspec

    from notifications.features.providers.breakers import BreakerService

    found = BreakerService().list(after=0, limit=1000, caller=CALLER)
    if as_json:
        click.echo(msgspec.json.encode({"services": found}).decode())
        return
    for each in found:
        until = f" until {each.until:%H:%M:%S}" if each.until else ""
        fault = f"  last fault {each.last_fault_code}" if each.last_fault_code else ""
        limit = each.limit or "no limit"
        click.echo(f"{each.service:<40} {each.state}{until}  {limit}{fault}")


@command.command("close", epilog="Example: carillon providers close ses")
@click.argument("service")
def close(service: str) -> None:
    """Close a service's circuit breaker and end its pause: the next messages are sent at once."""
    from notifications.features.providers.breakers import BreakerService

    click.echo(f"{service}: {BreakerService().close(service=service, caller=CALLER).state}")
