"""`carillon restore`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from carillon.cli import setup_django
from carillon.cli.backup import MINUTES

if TYPE_CHECKING:
    from carillon.backup.restoring import RestorePlan
    from notifications.features.restoring.access import EndedAccess
    from notifications.features.restoring.service import RestoreSummary


def _moment(_context: click.Context, _option: click.Parameter, text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        found = datetime.fromisoformat(text)
    except ValueError as error:
        raise click.BadParameter(f"{text} is no time such as 2030-05-01T12:00:00Z") from error
    return found if found.tzinfo else found.replace(tzinfo=UTC)


@click.command(
    epilog="Example: carillon restore /srv/backups --erasures /srv/erasures/today.ndjson"
)
@click.argument("archives", nargs=-1, type=click.Path(exists=True, path_type=Path))
@click.option(
    "--erasures",
    multiple=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="What was erased since: a file of `carillon erasures export`.",
)
@click.option(
    "--none-since",
    callback=_moment,
    help="You know that no one was erased since this time (RFC 3339).",
)
@click.option("--replace", is_flag=True, help="Replace databases that have rows.")
@click.option(
    "--loaded", is_flag=True, help="The database is in place already: only settle it. No ARCHIVES."
)
@click.option(
    "--send-open", is_flag=True, help="Send what was open, although it may have been sent since."
)
@click.option("--mixed", is_flag=True, help="The archives are of different backups.")
@MINUTES
def command(
    archives: tuple[Path, ...],
    erasures: tuple[Path, ...],
    none_since: datetime | None,
    replace: bool,
    loaded: bool,
    send_open: bool,
    mixed: bool,
    minutes: int,
) -> None:
    """Restore ARCHIVES (or the newest of a folder) into an empty installation.

    First stop all processes. Everyone who was erased since the backup is erased again. What was
    open is held for your decision: `carillon dead-letters list --code restored`.
    """
    setup_django()
    from carillon.backup.databases import Programs
    from carillon.backup.restoring import RestorePlan, choose_archives
    from notifications.infra.conf import environment

    if bool(archives) == loaded:
        raise click.UsageError("name a folder or archives, or give --loaded")
    own = environment()
    with _reported():
        main, keys = choose_archives(archives) if archives else (None, None)
        plan = RestorePlan(
            main=main,
            keys=keys,
            erasures=erasures,
            none_since=none_since,
            replaces=replace,
            send_open=send_open,
            folder=own.data_dir.absolute(),
            programs=Programs(own.postgres_programs, 60.0 * minutes),
            mixes=mixed,
        )
        _print(_run(plan))


def _run(plan: RestorePlan) -> RestoreSummary:
    from carillon.backup.restoring import restore

    return restore(plan, report=lambda line: click.echo(f"{line} ...", err=True))


@contextmanager
def _reported() -> Iterator[None]:
    """Turns errors that a person can correct into one line."""
    from carillon.backup.archives import InvalidArchive
    from carillon.backup.databases import NotEmpty
    from carillon.backup.programs import ProgramFailed
    from carillon.backup.restoring import StillRunning, UnknownErasures
    from notifications.features.audit.restores import OtherHistory
    from notifications.features.privacy.known import InvalidErasures
    from notifications.features.privacy.reapply import ErasureFailed
    from notifications.features.restoring.settle import NotFreed, NotMade

    try:
        yield
    except (InvalidArchive, NotEmpty, StillRunning, UnknownErasures, InvalidErasures) as error:
        raise click.ClickException(str(error)) from error
    except (ProgramFailed, OtherHistory, ErasureFailed, NotFreed, NotMade, OSError) as error:
        raise click.ClickException(f"the restore is not finished: {error}") from error


def _print(done: RestoreSummary) -> None:
    erased = done.erased
    click.echo(
        f"{erased.erasures:,} erasures were applied again, {erased.keys:,} keys deleted,"
        f" {erased.suppressions:,} suppressions restored"
    )
    _print_access(done.access)
    held = done.held
    if held is None:
        click.echo("Open messages will be sent when the processes start.")
        return
    click.echo(
        f"{held.messages:,} open messages are held, {held.paused:,} broadcasts paused,"
        f" {held.drafts:,} scheduled broadcasts are drafts, {held.tasks:,} tasks ended"
    )
    if held.digests:
        click.echo(f"{held.digests:,} digests failed three times: they are closed, and not sent")
    if held.campaigns:
        click.echo(f"{held.campaigns:,} campaigns that had begun are paused, or drafts")
    if held.series:
        click.echo(f"{held.series:,} series in which a mail or a date was due are paused")
    if held.messages:
        click.echo("List them: carillon dead-letters list --code restored")
        click.echo("Send them: carillon dead-letters replay --code restored")


def _print_access(access: EndedAccess) -> None:
    click.echo(f"{access.sessions:,} sessions and {access.tokens:,} tokens of people were ended")
    click.echo("Review these: what was revoked since the backup is valid again.")
    for what, names, count in (
        ("API keys", access.keys, access.key_count),
        ("staff", access.staff, access.staff_count),
    ):
        click.echo(f"{what} ({count:,}): {', '.join(names) or '-'}")
        if count > len(names):
            click.echo(f"... and {count - len(names):,} more: see the admin")
