"""`carillon send`."""

from __future__ import annotations

import base64
import json
import mimetypes
from pathlib import Path
from typing import Any

import click

from carillon.cli import setup_django
from carillon.cli.caller import CALLER


def _pairs(_: click.Context, __: click.Parameter, values: tuple[str, ...]) -> dict[str, Any]:
    """`k=v` words; a value that is a JSON number, true, false or null is taken as such."""
    context: dict[str, Any] = {}
    for value in values:
        name, equals, text = value.partition("=")
        if not equals or not name:
            raise click.BadParameter(f"{value!r} is not NAME=VALUE")
        try:
            parsed = json.loads(text)
        except ValueError:
            parsed = text
        context[name] = text if isinstance(parsed, str | list | dict) else parsed
    return context


def _attachment(path: Path) -> dict[str, str]:
    """A file as the API takes it; its type from its name."""
    kind = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
    content = base64.b64encode(path.read_bytes()).decode()
    return {"filename": path.name, "content_type": kind, "content": content}


@click.command(
    epilog="Example: carillon send user.payment.success --to student1 --channel email"
    " --context amount=29.99"
)
@click.argument("template_path")
@click.option("--to", "person", required=True, help="Username, id or uuid.")
@click.option("--channel", "channels", multiple=True, required=True, help="May be repeated.")
@click.option("--context", multiple=True, callback=_pairs, help="NAME=VALUE; may be repeated.")
@click.option("--priority", help="1 to 4, or critical, high, medium, low.")
@click.option(
    "--attach",
    "files",
    multiple=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A file that goes along with a mail; may be repeated.",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object as the last line.")
def command(
    template_path: str,
    person: str,
    channels: tuple[str, ...],
    context: dict[str, Any],
    priority: str | None,
    files: tuple[Path, ...],
    as_json: bool,
) -> None:
    """Send one notification."""
    setup_django()
    import msgspec

    from directory.models import User
    from notifications.infra import wakeups
    from notifications.services import NotificationService

    named = User.objects.filter(username=person).values_list("pk", flat=True).first()
    body: dict[str, Any] = {
        "template_path": template_path,
        "user_id": named or person,
        "channels": list(channels),
        "context": context,
    }
    if priority:
        body["priority"] = int(priority) if priority.isdigit() else priority
    if files:
        body["options"] = {"attachments": [_attachment(path) for path in files]}
    answer = NotificationService().send(body=body, caller=CALLER)
    wakeups.flush()
    if as_json:
        click.echo(msgspec.json.encode(answer).decode())
    else:
        click.echo(f"{answer.message}: {answer.id}")
