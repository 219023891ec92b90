"""`carillon dead-letters`."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

from carillon.cli import setup_django
from carillon.cli.caller import CALLER

if TYPE_CHECKING:
    from notifications.features.dead_letters.service import DeadLetterFilter, ManyResponse

F = TypeVar("F", bound=Callable[..., Any])
_PAGE = 500
as_json = click.option(
    "--json", "as_json", is_flag=True, help="One JSON object as the last line of the output."
)


def filters(call: F) -> F:
    """Adds the options that filter dead letters."""
    for name, text in (
        ("--template", "Only this template, by its path."),
        ("--code", "Only this error code, `uncertain` or `poison`."),
        ("--provider", "Only this provider."),
        ("--channel", "Only this channel."),
    ):
        call = click.option(name, default="", help=text)(call)
    return call


@click.group(epilog="Example: carillon dead-letters replay --all")
def command() -> None:
    """Messages that failed permanently, or that need a person's decision."""
    setup_django()


@command.command("list", epilog="Example: carillon dead-letters list --channel email --json")
@filters
@click.option("--limit", type=click.IntRange(1, _PAGE), default=50, show_default=True)
@as_json
def list_(channel: str, provider: str, code: str, template: str, limit: int, as_json: bool) -> None:
    """List open dead letters, the oldest first."""
    import msgspec

    from notifications.services import OperationsService

    letters = OperationsService().dead_letters(
        caller=CALLER,
        channel=channel,
        provider=provider,
        code=code,
        template=template,
        limit=limit,
    )
    if as_json:
        click.echo(msgspec.json.encode({"dead_letters": letters}).decode())
        return
    for each in letters:
        click.echo(
            f"{each.id}  {each.failed_at:%Y-%m-%d %H:%M}  {each.channel}  {each.code}"
            f"  {each.notification_id}  {each.last_error}"
        )
    if not letters:
        click.echo("no dead letters")


def _wanted(ids: tuple[int, ...], everything: bool, **given: str) -> DeadLetterFilter | None:
    """Returns the filter, or None if ids are given.

    Raises:
        UsageError: no ids, no filter and no --all; or ids with a filter or --all.
    """
    if bool(ids) == (everything or any(given.values())):
        raise click.UsageError("give ids, or a filter such as --code, or --all")
    return None if ids else _filter_of(**given)


def _filter_of(*, channel: str, provider: str, code: str, template: str) -> DeadLetterFilter:
    from notifications.features.dead_letters.service import DeadLetterFilter

    return DeadLetterFilter(channel=channel, provider=provider, code=code, template_path=template)


def _all_of(work: Callable[[], ManyResponse], total: int, label: str) -> int:
    """Repeats a call until nothing is left, with a progress bar; returns the number of items."""
    done = 0
    with click.progressbar(length=total, label=label, file=sys.stderr) as bar:
        response = work()
        while response.done:
            done += response.done
            bar.update(response.done)
            if not response.left:
                break
            response = work()
    return done


def _report(done: str, count: int, named: int, as_json: bool) -> None:
    """Prints the number of items. Ids that are no open dead letters cause exit code 1."""
    left = max(0, named - count)
    if as_json:
        click.echo(json.dumps({done: count, "not_open": left}))
    else:
        click.echo(f"{count} {done}" + (f", {left} not open or unknown" if left else ""))
    if left:
        raise SystemExit(1)


@command.command("replay", epilog="Example: carillon dead-letters replay --code auth")
@click.argument("ids", nargs=-1, type=int)
@filters
@click.option("--all", "everything", is_flag=True, help="All that wait.")
@as_json
def replay(ids: tuple[int, ...], everything: bool, as_json: bool, **given: str) -> None:
    """Send dead letters again with their original template versions: ids, a filter, or all."""
    from notifications.features.dead_letters.service import DeadLetterService
    from notifications.infra.process import wakeups
    from notifications.services import OperationsService

    wanted, service = _wanted(ids, everything, **given), DeadLetterService()
    if wanted is None:
        count = OperationsService().replay(ids=ids, caller=CALLER)
    else:
        total = service.matching(wanted, CALLER).count()
        count = _all_of(
            lambda: service.replay_matching(wanted=wanted, caller=CALLER), total, "replaying"
        )
    wakeups.flush()
    _report("replayed", count, len(ids), as_json)


@command.command("discard", epilog="Example: carillon dead-letters discard 17 --reason 'test'")
@click.argument("ids", nargs=-1, type=int)
@filters
@click.option("--all", "everything", is_flag=True, help="All that wait.")
@click.option("--reason", required=True)
@as_json
def discard(
    ids: tuple[int, ...], everything: bool, reason: str, as_json: bool, **given: str
) -> None:
    """Close dead letters permanently: ids, a filter, or all."""
    from notifications.features.dead_letters.service import DeadLetterService
    from notifications.services import OperationsService

    wanted, service = _wanted(ids, everything, **given), DeadLetterService()
    if wanted is None:
        count = OperationsService().discard(ids=ids, reason=reason, caller=CALLER)
    else:
        total = service.matching(wanted, CALLER).count()
        count = _all_of(
            lambda: service.discard_matching(wanted=wanted, reason=reason, caller=CALLER),
            total,
            "discarding",
        )
    _report("discarded", count, len(ids), as_json)


@command.command(
    "settle",
    epilog="Example: carillon dead-letters settle 17 --as delivered --reason 'the user confirmed'",
)
@click.argument("ids", nargs=-1, type=int, required=True)
@click.option("--as", "outcome", required=True, type=click.Choice(["sent", "delivered", "failed"]))
@click.option("--reason", required=True, help="How the outcome is known.")
@as_json
def settle(ids: tuple[int, ...], outcome: str, reason: str, as_json: bool) -> None:
    """Record the outcome of uncertain messages; `replay` sends them again instead."""
    from notifications.features.dead_letters.service import DeadLetterService
    from notifications.infra.process import wakeups

    response = DeadLetterService().resolve(ids=ids, outcome=outcome, reason=reason, caller=CALLER)
    wakeups.flush()
    _report("settled", response.settled, len(ids), as_json)
