"""`carillon token`."""

from __future__ import annotations

import click

from carillon.cli import setup_django
from carillon.cli.caller import CALLER
from notifications.domain.scopes import SCOPES


@click.command(epilog="Example: TOKEN=$(carillon token admin)")
@click.argument("username")
@click.option(
    "--kind", type=click.Choice(["token", "jwt", "api-key"]), default="token", show_default=True
)
@click.option(
    "--scopes",
    default="notifications:send",
    help="For an API key: its scopes, separated by commas.",
)
@click.option("--revoke", is_flag=True, help="End all sign-ins and tokens of this user instead.")
def command(username: str, kind: str, scopes: str, revoke: bool) -> None:
    """Print only a new token for USERNAME. Earlier tokens remain valid. It is audited."""
    setup_django()
    from directory.models import User
    from notifications.features.access.tokens.operator import OperatorTokens

    user = User.objects.filter(username=username).first()
    if user is None:
        raise click.ClickException(f"there is no user {username!r}; `carillon demo` creates users")
    tokens = OperatorTokens(CALLER)
    if revoke:
        click.echo(f"{tokens.revoke(user)} revoked")
    elif kind == "jwt":
        click.echo(tokens.jwt(user))
    elif kind == "token":
        click.echo(tokens.token(user))
    else:
        names = [name.strip() for name in scopes.split(",") if name.strip()]
        unknown = [name for name in names if name not in SCOPES and name != "*"]
        if unknown:
            raise click.ClickException(f"no scope {unknown[0]!r}; known: {', '.join(SCOPES)}")
        click.echo(tokens.key(user, name=f"cli of {username}", scopes=names))
