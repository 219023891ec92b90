"""`carillon key`."""

from __future__ import annotations

import click

from carillon.cli import setup_django
from carillon.cli.caller import CALLER


@click.group(epilog="Example: carillon key create platform --scopes notifications:send")
def command() -> None:
    """Create, list, rotate and revoke the API keys of services."""


@command.command(epilog="Example: carillon key create platform --scopes notifications:send")
@click.argument("name")
@click.option(
    "--scopes",
    default="notifications:send",
    show_default=True,
    help="Separated by commas; * means all.",
)
@click.option("--kind", type=click.Choice(["live", "test"]), default="live", show_default=True)
@click.option(
    "--address",
    "addresses",
    multiple=True,
    help="A network from which the key may be used, such as 192.0.2.0/24; repeatable.",
)
def create(name: str, scopes: str, kind: str, addresses: tuple[str, ...]) -> None:
    """Create a key for the service NAME and print only the key. It is shown only once."""
    setup_django()
    from notifications.features.access.service import ApiKeyService

    chosen = [scope.strip() for scope in scopes.split(",") if scope.strip()]
    made = ApiKeyService().issue(
        name=name, scopes=chosen, kind=kind, addresses=addresses, caller=CALLER
    )
    click.echo(made.key)


@command.command(epilog="Example: carillon key rotate 3 --overlap 86400")
@click.argument("identifier", metavar="ID")
@click.option(
    "--overlap",
    type=click.IntRange(0, 7 * 24 * 3600),
    default=0,
    show_default=True,
    help="For how many seconds the old text is accepted, too.",
)
def rotate(identifier: str, overlap: int) -> None:
    """Give the key with this ID a new text and print only the text. It is shown only once."""
    setup_django()
    from notifications.features.access.service import ApiKeyService

    made = ApiKeyService().rotate(identifier=identifier, overlap_s=overlap, caller=CALLER)
    click.echo(made.key)


@command.command("list", epilog="Example: carillon key list")
def list_() -> None:
    """List all keys, without their secrets."""
    setup_django()
    from notifications.features.access.service import ApiKeyService

    after = 0
    while page := ApiKeyService().list(caller=CALLER, after=after):
        for key in page:
            state = "revoked" if key.revoked_at else key.kind
            click.echo(f"{key.id}  {key.prefix}  {state}  {key.name}  {', '.join(key.scopes)}")
        after = page[-1].id


@command.command(epilog="Example: carillon key revoke 3")
@click.argument("identifier", metavar="ID")
def revoke(identifier: str) -> None:
    """Revoke the key with this ID at once and permanently."""
    setup_django()
    from notifications.features.access.service import ApiKeyService

    ApiKeyService().revoke(identifier=identifier, caller=CALLER)
    click.echo(f"key {identifier} is revoked")
