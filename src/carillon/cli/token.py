"""`carillon token`."""

from __future__ import annotations

import click

from carillon.cli import setup_django


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
@click.option("--revoke", is_flag=True, help="Revoke all tokens of this user instead (not JWTs).")
def command(username: str, kind: str, scopes: str, revoke: bool) -> None:
    """Print only a new token for USERNAME. Earlier tokens remain valid."""
    setup_django()
    from directory.models import User
    from notifications.features.access.authentication import issue_access, new_drf_token
    from notifications.features.access.callers import revoke_drf_tokens
    from notifications.infra import clock
    from notifications.models import SCOPES, ApiKey

    user = User.objects.filter(username=username).first()
    if user is None:
        raise click.ClickException(f"there is no user {username!r}; `carillon demo` creates users")
    if revoke:
        click.echo(f"{revoke_drf_tokens(user)} revoked")
    elif kind == "jwt":
        click.echo(issue_access(user, now=clock.now()))
    elif kind == "token":
        click.echo(new_drf_token(user))
    else:
        names = [name.strip() for name in scopes.split(",") if name.strip()]
        unknown = [name for name in names if name not in SCOPES and name != "*"]
        if unknown:
            raise click.ClickException(f"no scope {unknown[0]!r}; known: {', '.join(SCOPES)}")
        _, text = ApiKey.make(name=f"cli of {username}", scopes=names, owner_id=user.pk)
        click.echo(text)
