"""`carillon admin`."""

from __future__ import annotations

import sys

import click

from carillon.cli import setup_django
from carillon.cli.caller import CALLER

_FROM_STDIN = click.option(
    "--password-stdin", is_flag=True, help="Read the password from the first line of stdin."
)


@click.group(epilog="Example: carillon admin create ada --email ada@example.com")
def command() -> None:
    """Create administrators, and change their passwords."""


@command.command(epilog="Example: carillon admin create ada --email ada@example.com")
@click.argument("username")
@click.option("--email", default="", help="The administrator's email address.")
@_FROM_STDIN
def create(username: str, email: str, password_stdin: bool) -> None:
    """Create an administrator. A terminal prompts for the password; else one is generated."""
    setup_django()
    from notifications.features.access.administrators import AdministratorService

    given = _password(password_stdin)
    made = AdministratorService().create(
        username=username, email=email, password=given, caller=CALLER
    )
    _print_account(username, made, generated=not given)


@command.command(epilog="Example: carillon admin password ada")
@click.argument("username")
@_FROM_STDIN
def password(username: str, password_stdin: bool) -> None:
    """Change the password of USERNAME."""
    setup_django()
    from notifications.features.access.administrators import AdministratorService

    given = _password(password_stdin)
    made = AdministratorService().change_password(username=username, password=given, caller=CALLER)
    _print_account(username, made, generated=not given)


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


def _print_account(username: str, made: str, *, generated: bool) -> None:
    shown = f"{made}  (shown only this once)" if generated else "the password that you gave"
    click.echo(f"administrator: {username} / {shown}")
