"""`carillon templates`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

from carillon.cli import setup_django
from carillon.cli.caller import CALLER

if TYPE_CHECKING:
    from notifications.features.templates.schemas import TemplateResponse

PAGE = 200
as_json = click.option(
    "--json", "as_json", is_flag=True, help="One JSON object as the last line of the output."
)


@click.group(epilog="Example: carillon templates check")
def command() -> None:
    """Check templates, and show how often they are used."""
    setup_django()


@command.command("check", epilog="Example: carillon templates check user.payment --json")
@click.argument("path", default="")
@as_json
def check(path: str, as_json: bool) -> None:
    """Check the drafts of all templates, or of those whose path begins with PATH.

    Errors are those that publishing would refuse; they cause exit code 1.
    """
    import msgspec

    from notifications.features.templates.service import TemplateService

    service, broken, found = TemplateService(), 0, []
    for row in _templates(path):
        response = service.validate(identifier=row.id, body={}, caller=CALLER)
        broken += bool(response.errors)
        found.append({"path": row.path, **msgspec.to_builtins(response)})
        if not as_json:
            _print_findings(row.path, response)
    if as_json:
        click.echo(msgspec.json.encode({"templates": found, "broken": broken}).decode())
    elif not broken:
        click.echo(f"{len(found)} templates, none broken")
    if broken:
        raise SystemExit(1)


@command.command("usage", epilog="Example: carillon templates usage user.payment --days 7")
@click.argument("path", default="")
@click.option("--days", default=30, show_default=True, help="The number of days to count.")
@as_json
def usage(path: str, days: int, as_json: bool) -> None:
    """Count the messages of each template, by channel and language."""
    import msgspec

    from notifications.features.templates.usage import TemplateUsageService

    found = TemplateUsageService().most_used(caller=CALLER, days=days, path=path)
    if as_json:
        click.echo(msgspec.json.encode({"usage": found}).decode())
        return
    for each in found:
        click.echo(f"{each.count:>12,}  {each.path:<32} {each.channel:<10} {each.locale}")
    if not found:
        click.echo("no message was rendered")


def _templates(path: str) -> Iterator[TemplateResponse]:
    from notifications.features.templates.service import TemplateService

    after = 0
    while page := TemplateService().templates(caller=CALLER, path=path, after=after, limit=PAGE):
        yield from page
        after = page[-1].id


def _print_findings(path: str, response: Any) -> None:
    for error in response.errors:
        click.echo(f"{path}  error    {error.path}: {error.detail}")
    for warning in response.warnings:
        click.echo(f"{path}  warning  {warning}")
