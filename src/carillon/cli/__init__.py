"""The `carillon` command. Each subcommand is a separate file that is loaded when it runs."""

from __future__ import annotations

import os
import sys
from importlib import import_module
from typing import Any

import click

SUBCOMMANDS = {
    "serve": "Run web, worker and schedule in one process group.",
    "web": "Run the web tier alone.",
    "worker": "Run a worker.",
    "beat": "Run the schedule (with Redis).",
    "migrate": "Bring the database up to date.",
    "demo": "Load demo data; safe to repeat.",
    "admin": "Create an administrator, or change a password.",
    "key": "Create, list and revoke API keys.",
    "token": "Print a token for a user.",
    "secret": "Print a secret with which receivers verify requests.",
    "send": "Send one notification.",
    "import": "Import people, groups, relations and more from a file.",
    "export": "Export people or groups, or all data of one person.",
    "doctor": "Check every setting, provider and queue.",
    "templates": "Check every template, and show how often each is used.",
    "providers": "List the providers, or send a test through one.",
    "dead-letters": "List, replay or discard dead letters.",
    "set-aside": "List and resume items of periodic work that failed.",
    "retention": "Empty and delete rows by their age, or print what would go.",
    "tracking": "Judge the evidence of opens and clicks again.",
    "analytics": "Count what was sent before an upgrade.",
    "kill-switch": "Stop and resume deliveries.",
    "keys": "Rotate the master key, and seal rows of an older release.",
    "backup": "Write archives of the main database and the keys.",
    "restore": "Restore archives, and erase again who was erased since.",
    "erasures": "Export what was erased, for a restore.",
    "audit": "Verify and export the audit log, print its checkpoint.",
    "bench": "Measure performance against a baseline in the same run.",
    "chaos": "Kill workers and count the mails that arrived.",
    "sim": "Run the engine under a seeded scheduler, with crashes between any steps.",
    "docs": "Write or check the generated pages.",
}


class _Lazy(click.Group):
    """A group that imports a subcommand's file only when it runs, so that --help is fast."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(SUBCOMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in SUBCOMMANDS:
            return None
        name = "import_" if cmd_name == "import" else cmd_name.replace("-", "_")
        module = import_module(f"carillon.cli.{name}")
        found: click.Command = module.command
        return found

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(SUBCOMMANDS.items()))


@click.group(
    cls=_Lazy,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Example: carillon send user.payment.success --to student1 --channel email"
    " --context amount=29.99",
)
@click.version_option(package_name="carillon")
def carillon() -> None:
    """Carillon decides, renders, delivers and records notifications."""


def setup_django() -> None:
    """Loads Django with the settings of the environment.

    Raises:
        click.UsageError: the environment is invalid; the text says how to correct it.
    """
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "carillon.settings.base")
    from carillon.settings.environment import SettingsError

    try:
        import django

        django.setup()
    except SettingsError as error:
        raise click.UsageError(str(error)) from error  # exit code 2


def main(arguments: list[str] | None = None) -> Any:
    """The entry point. An error that a person can correct is one clear line and exit code 1."""
    try:
        return carillon.main(args=arguments, prog_name="carillon")
    except Exception as error:
        line = _error_line(error)
        if line is None:
            raise
        click.echo(f"error: {line}", err=True)
        sys.exit(1)


def _error_line(error: Exception) -> str | None:
    """Returns the line for an error that a person can correct; None for a fault in our code."""
    from django.db import OperationalError, ProgrammingError

    from notifications.domain.errors import CarillonError

    if isinstance(error, CarillonError):
        return f"{error.detail} ({error.code})"
    text = " ".join(str(error).split())
    if isinstance(error, ProgrammingError) or text.startswith("no such"):
        return f"the database is not up to date ({text}): run `carillon migrate`"
    if isinstance(error, OperationalError):
        return f"the database does not respond ({text}): run `carillon doctor` for details"
    return None
