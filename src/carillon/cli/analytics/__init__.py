"""`carillon analytics`."""

from __future__ import annotations

import click

from carillon.cli import setup_django


@click.group(epilog="Example: carillon analytics rebuild")
def command() -> None:
    """Counts of messages; see docs/analytics.md."""
    setup_django()


@command.command("rebuild", epilog="Example: carillon analytics rebuild --everything")
@click.option(
    "--everything",
    is_flag=True,
    help="Delete all counts first. No process may run, and deleted messages count no more.",
)
def rebuild(*, everything: bool) -> None:
    """Count the messages that were sent before the upgrade to counts.

    It may run beside workers, and continues where an earlier run ended.
    """
    from notifications.features.analytics.recount import WorkersRun, begin_again, recount
    from notifications.features.learning.rebuild import rebuild as rebuild_hours
    from notifications.models.learning.hand_over import is_learning

    if everything:
        try:
            begin_again()
        except WorkersRun as error:
            raise click.ClickException("a worker runs: stop all workers first") from error
        if is_learning():
            count = rebuild_hours(report=lambda key: click.echo(f"hours up to {key}", err=True))
            click.echo(f"looked at {count:,} messages for hours")
    count = recount(report=lambda key: click.echo(f"counted up to message {key}", err=True))
    click.echo(f"looked at {count:,} messages; all are counted")


@command.command("rebuild-hours", epilog="Example: carillon analytics rebuild-hours")
def hours() -> None:
    """Count from the messages at which hours people engage.

    For a service that begins to learn, and for people who moved. It deletes the counts first: no
    process of the service may run meanwhile.
    """
    from notifications.features.learning.rebuild import LearningIsOff, WorkersLearn, rebuild

    try:
        count = rebuild(report=lambda key: click.echo(f"counted up to message {key}", err=True))
    except LearningIsOff as error:
        raise click.ClickException("nothing is learned: set CARILLON_LEARNING=on first") from error
    except WorkersLearn as error:
        raise click.ClickException("a worker runs: stop all workers first") from error
    click.echo(f"looked at {count:,} messages; all are counted")
