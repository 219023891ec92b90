"""`carillon admin`."""

from __future__ import annotations

import sys

import click

from carillon.cli import setup_django
from carillon.cli.caller import CALLER

ROLES = ("admin", "operator", "author", "analyst")
_FROM_STDIN = click.option(
    "--password-stdin", is_flag=True, help="Read the password from the first line of stdin."
)


@click.group(epilog="Example: carillon admin create ada --email ada@example.com")
def command() -> None:
    """Create members of staff, set their roles, and change passwords."""


@command.command(epilog="Example: carillon admin create ada --email ada@example.com")
@click.argument("username")
@click.option("--email", default="", help="The member's email address.")
@click.option(
    "--role",
    type=click.Choice(ROLES),
    default=ROLES[0],
    show_default=True,
    help="What the member may do: docs/security/roles.md.",
)
@_FROM_STDIN
def create(username: str, email: str, role: str, password_stdin: bool) -> None:
    """Create an administrator, or a member of staff with another role.

    A terminal prompts for the password; else one is generated.
    """
    setup_django()
    from notifications.features.access.administrators import AdministratorService

    given = _password(password_stdin)
    made = AdministratorService().create(
        username=username, email=email, password=given, role=role, caller=CALLER
    )
    _print_account(role, username, made, generated=not given)


@command.command("list", epilog="Example: carillon admin list")
def list_() -> None:
    """List members of staff with their roles and the ids of their groups."""
    setup_django()
    from notifications.features.access.staff import StaffService

    after = 0
    while page := StaffService().list(caller=CALLER, after=after):
        for each in page:
            groups = ", ".join(str(number) for number in each.group_ids) or "-"
            state = "" if each.is_active else "  (not active)"
            click.echo(f"{each.user_id}  {each.username}  {each.staff_role}  {groups}{state}")
        after = page[-1].user_id


@command.command(epilog="Example: carillon admin role ada author")
@click.argument("username")
@click.argument("role", type=click.Choice([*ROLES, "none"]))
def role(username: str, role: str) -> None:
    """Give USERNAME a ROLE of staff; `none` ends the membership."""
    setup_django()
    from directory.models import User
    from notifications.features.access.staff import StaffService

    user = User.objects.filter(username=username).first()
    if user is None:
        raise click.ClickException(f"there is no user {username!r}: `carillon admin list`")
    chosen = None if role == "none" else role
    StaffService().set_role(identifier=user.pk, role=chosen, caller=CALLER)
    click.echo(f"{username}: {role}")


@command.command(epilog="Example: carillon admin password ada")
@click.argument("username")
@_FROM_STDIN
def password(username: str, password_stdin: bool) -> None:
    """Change the password of USERNAME."""
    setup_django()
    from notifications.features.access.administrators import AdministratorService

    given = _password(password_stdin)
    made = AdministratorService().change_password(username=username, password=given, caller=CALLER)
    _print_account("administrator", username, made, generated=not given)


@command.command(epilog="Example: carillon admin invite grace@example.com --role author")
@click.argument("email")
@click.option("--role", type=click.Choice(ROLES), required=True, help="What the person may do.")
@click.option("--group", "groups", type=int, multiple=True, help="The id of a group of staff.")
@click.option("--locale", default="en", show_default=True, help="The language of the mail.")
@click.option("--member-id", type=int, help="An existing member of staff who gets a new sign-in.")
def invite(
    email: str, role: str, groups: tuple[int, ...], locale: str, member_id: int | None
) -> None:
    """Invite EMAIL to the staff: a link goes out by mail, and works once."""
    setup_django()
    from notifications.features.signing_in.invitations import InvitationService
    from notifications.features.signing_in.schemas import InvitationBody

    body = InvitationBody(
        email=email, role=role, groups=list(groups), locale=locale, member_id=member_id
    )
    made = InvitationService().invite(body, caller=CALLER)
    click.echo(f"invitation {made.id}: {made.role}, valid until {made.expires_at:%Y-%m-%d %H:%M}")


@command.command("remove-factors", epilog="Example: carillon admin remove-factors ada")
@click.argument("username")
def remove_factors(username: str) -> None:
    """Remove the second factors of USERNAME, who lost them; ends all sessions and tokens."""
    setup_django()
    from notifications.features.access.administrators import AdministratorService

    count = AdministratorService().remove_factors(username=username, caller=CALLER)
    click.echo(f"{username}: {count} removed")


@command.command("break-glass", epilog="Example: carillon admin break-glass ada")
@click.argument("username")
@click.option("--off", is_flag=True, help="End it instead.")
def break_glass(username: str, off: bool) -> None:
    """Let the administrator USERNAME sign in with a password under enforced single sign-on."""
    setup_django()
    from notifications.features.access.administrators import AdministratorService

    AdministratorService().set_break_glass(username=username, enabled=not off, caller=CALLER)
    click.echo(f"{username}: {'no ' if off else ''}break-glass account")


def _password(from_stdin: bool) -> str:
    """Returns the given password; empty when one is to be generated."""
    if from_stdin:
        line = sys.stdin.readline().rstrip("\r\n")
        if not line:
            raise click.UsageError("--password-stdin was given, but stdin has no first line")
        return line
    if not sys.stdin.isatty():
        return ""
    text: str = click.prompt(
        "Password (empty: one is generated)",
        default="",
        show_default=False,
        hide_input=True,
        confirmation_prompt="Again",
    )
    return text


def _print_account(role: str, username: str, made: str, *, generated: bool) -> None:
    shown = f"{made}  (shown only this once)" if generated else "the password that you gave"
    click.echo(f"{'administrator' if role == ROLES[0] else role}: {username} / {shown}")
