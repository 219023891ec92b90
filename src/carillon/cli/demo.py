"""`carillon demo`."""

from __future__ import annotations

import click

from carillon.cli import setup_django


@click.command(epilog="Example: carillon demo")
@click.option("--quiet", is_flag=True, help="Print only the administrator's new password.")
def command(quiet: bool) -> None:
    """Load demo data: people, groups, templates, an administrator. Safe to repeat."""
    setup_django()
    from django.core.management import call_command

    from notifications.conf import environment
    from notifications.services.demo import DemoService

    call_command("migrate", verbosity=0, interactive=False)
    say = None if quiet else click.echo
    report = DemoService().load(admin_password=environment().admin_password or None, progress=say)
    if not quiet:
        click.echo(", ".join(f"{count} {name}" for name, count in report.created.items()))
    if report.admin_password:
        click.echo(f"administrator: admin / {report.admin_password}  (shown only this once)")
