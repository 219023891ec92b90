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
    """Parses `k=v` words; `a.b=v` sets a nested value; a value that is JSON is parsed as JSON."""
    context: dict[str, Any] = {}
    for word in values:
        path, equals, text = word.partition("=")
        names = path.split(".")
        if not equals or not all(names):
            raise click.BadParameter(f"{word!r} is not NAME=VALUE")
        place = context
        for name in names[:-1]:
            place = place.setdefault(name, {})
            if not isinstance(place, dict):
                break
        if not isinstance(place, dict) or names[-1] in place:
            raise click.BadParameter(f"{path} is given twice, or inside a value without entries")
        place[names[-1]] = _value(text)
    return context


def _value(text: str) -> Any:
    """Returns the JSON value of a text; else the text itself."""
    try:
        return json.loads(text, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        return text


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


def _attachment(path: Path) -> dict[str, str]:
    """Returns a file as the API accepts it; its type is derived from its name."""
    kind = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
    raw = path.read_bytes()
    if kind.startswith("text/") and _is_utf8(raw):
        kind = f"{kind}; charset=utf-8"
    content = base64.b64encode(raw).decode()
    return {"filename": path.name, "content_type": kind, "content": content}


def _is_utf8(raw: bytes) -> bool:
    try:
        raw.decode()
    except UnicodeDecodeError:
        return False
    return True


@click.command(
    epilog="Example: carillon send user.payment.success --to student1 --channel email"
    " --context amount=29.99"
)
@click.argument("template_path")
@click.option("--to", "person", required=True, help="Username, id, uuid or ext:EXTERNAL_ID.")
@click.option("--channel", "channels", multiple=True, required=True, help="May be repeated.")
@click.option(
    "--context",
    multiple=True,
    callback=_pairs,
    help="NAME=VALUE; may be repeated. NAME may be order.id, VALUE may be JSON.",
)
@click.option("--priority", help="1 to 4, or critical, high, medium, low.")
@click.option(
    "--attach",
    "files",
    multiple=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A file to attach to a mail; may be repeated.",
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
    from directory.references import read_person
    from notifications.infra.process import wakeups
    from notifications.services import NotificationService

    named = User.objects.filter(username=person).values_list("pk", flat=True).first()
    body: dict[str, Any] = {
        "template_path": template_path,
        "user_id": named or read_person(person, written=True) or person,
        "channels": list(channels),
        "context": context,
    }
    if priority:
        body["priority"] = int(priority) if priority.isdigit() else priority
    if files:
        body["options"] = {"attachments": [_attachment(path) for path in files]}
    response = NotificationService().send(body=body, caller=CALLER)
    wakeups.flush()
    if as_json:
        click.echo(msgspec.json.encode(response).decode())
    else:
        click.echo(f"{response.message}: {response.id}")
