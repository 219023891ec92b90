"""`carillon tracking`."""

from __future__ import annotations

import click

from carillon.cli import setup_django


@click.group(epilog="Example: carillon tracking classify")
def command() -> None:
    """Judge the evidence of opens and clicks again."""
    setup_django()


@command.command("classify", epilog="Example: carillon tracking classify")
def classify() -> None:
    """Run the present classifier over evidence that an older one judged.

    It runs beside the service, and may be interrupted and repeated: it goes on where it stopped.
    """
    from notifications.features.tracking.reclassify import classify_old, count_to_classify

    with click.progressbar(length=count_to_classify(), label="events") as bar:
        judged, changed = classify_old(bar.update)
    click.echo(f"{judged:,} messages were judged, and {changed:,} of them changed")
