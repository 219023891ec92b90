"""`carillon demo`."""

from __future__ import annotations

import click

from carillon.cli import setup_django

FORCE = click.option("--force", is_flag=True, help="Load demo data in production too.")


@click.command(epilog="Example: carillon demo")
@click.option("--quiet", is_flag=True, help="Print only the administrator's new password.")
@FORCE
def command(quiet: bool, force: bool) -> None:
    """Load demo data: people, groups, templates, an administrator. Safe to repeat."""
    setup_django()
    from django.core.management import call_command

    refuse_in_production(force=force)
    call_command("migrate", verbosity=0, interactive=False)
    load_demo(quiet=quiet)


def refuse_in_production(*, force: bool) -> None:
    """Raises click.ClickException in production, which must not have fictitious people."""
    from notifications.infra.conf import environment

    if environment().production and not force:
        raise click.ClickException(
            "this is production, and demo data creates fictitious people and an administrator:"
            " use `carillon admin create`, or add --force"
        )


def load_demo(*, quiet: bool) -> None:
    """Loads missing demo data, and prints a generated password once."""
    from notifications.features.access.administrators import check_password
    from notifications.features.operations.demo import DemoService
    from notifications.infra.conf import environment

    password = environment().admin_password
    if password and environment().production:
        check_password(password)
    progress = None if quiet else click.echo
    report = DemoService().load(admin_password=password or None, progress=progress)
    if not quiet:
        click.echo(", ".join(f"{count} {name}" for name, count in report.created.items()))
    if report.admin_password:
        click.echo(f"administrator: admin / {report.admin_password}  (shown only this once)")
