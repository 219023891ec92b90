"""`carillon audit`."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click
import structlog

from carillon.cli import setup_django
from carillon.cli.caller import CALLER
from carillon.cli.dead_letters import as_json

if TYPE_CHECKING:
    from notifications.domain.checkpoints import Checkpoint
    from notifications.features.audit.verify import Report


_ONLY_RESTORES = 3
security_log = structlog.get_logger("carillon.security")


@click.group(epilog="Example: carillon audit verify --checkpoint last-month.txt")
def command() -> None:
    """The audit log: who changed what, and the proof that nothing was changed since."""
    setup_django()


@command.command("verify", epilog="Example: carillon audit verify --checkpoint last-month.txt")
@click.option(
    "--checkpoint",
    "files",
    multiple=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A checkpoint that was stored elsewhere. Only it shows a truncated or rewritten log.",
)
@as_json
def verify(files: tuple[Path, ...], as_json: bool) -> None:
    """Verify every leaf, node and checkpoint. Exit code 1 names the first bad row.

    Exit code 3: only leaves are missing that the restore of a backup lost. Compare its time with
    your own record of restores.
    """
    from notifications.features.audit.verify import verify_store
    from notifications.models import AuditHead

    external = [_read_checkpoint(path) for path in files]
    head = AuditHead.objects.first()
    length = head.size if head is not None else 0
    with click.progressbar(length=length, label="leaves", file=sys.stderr) as bar:
        report = verify_store(external, progress=lambda done: bar.update(done - bar.pos))
        bar.update(length - bar.pos)
    _print_report(report, as_json)
    if report.count:
        row = report.first.row if report.first is not None else ""
        security_log.error("security.audit_failed", failures=report.count, row=row)
        raise SystemExit(1)
    if report.lost:
        raise SystemExit(_ONLY_RESTORES)


def _read_checkpoint(path: Path) -> Checkpoint:
    from notifications.domain.checkpoints import LONGEST, InvalidCheckpoint
    from notifications.infra.audit_keys import open_checkpoint

    with path.open(encoding="utf-8", errors="replace") as file:
        text = file.read(LONGEST + 1)
    try:
        return open_checkpoint(text)
    except InvalidCheckpoint as error:
        raise click.UsageError(
            f"{path}: {error}. If the key was replaced, add the old one to CARILLON_AUDIT_KEYS"
        ) from error


def _print_report(report: Report, as_json: bool) -> None:
    if as_json:
        found = [{"leaf": f.number, "row": f.row, "problem": f.problem} for f in report.faults]
        first = report.first
        values: dict[str, Any] = {
            "ok": not report.count,
            "leaves": report.leaves,
            "let_go": report.let_go,
            "checkpoints": report.checkpoints,
            "root": report.root.hex(),
            "first_bad": first and {"leaf": first.number, "row": first.row},
            "faults": report.count,
            "restores": [
                {"leaves": each.size, "at": each.at.isoformat()} for each in report.restores
            ],
            "lost": [{"row": each.row, "problem": each.problem} for each in report.lost],
            "problems": found,
        }
        click.echo(json.dumps(values))
        return
    for fault in (*report.lost, *report.faults):
        click.echo(f"{fault.row}: {fault.problem}")
    if report.first is not None:
        click.echo(f"{report.count} faults; the first bad row is {report.first.row}")
        return
    click.echo(
        f"{report.leaves} leaves and {report.checkpoints} checkpoints are as they were sealed;"
        f" {report.let_go} contents were let go lawfully"
    )
    for each in report.restores:
        click.echo(f"a backup of {each.size} leaves was restored at {each.at:%Y-%m-%d %H:%M:%S}")


@command.command("checkpoint", epilog="Example: carillon audit checkpoint > checkpoint.txt")
@click.option("--key", is_flag=True, help="Print the public key as one line instead.")
def checkpoint(key: bool) -> None:
    """Print the newest signed checkpoint. Store it where the service cannot change it."""
    from notifications.features.audit.proofs import public_key_line
    from notifications.features.audit.service import AuditService

    if key:
        click.echo(public_key_line())
    else:
        click.echo(AuditService().checkpoint(caller=CALLER).checkpoint, nl=False)


@command.command("export", epilog="Example: carillon audit export --format csv > audit.csv")
@click.option("--format", "form", type=click.Choice(["ndjson", "csv"]), default="ndjson")
@click.option("--actor", default="", help="Only this actor, e.g. user:1.")
@click.option("--action", default="", help="Only this action, e.g. category.changed.")
@click.option("--target", default="", help="Only this target, e.g. category:homework.")
@click.option("--from", "start", default="", help="Only entries since this time (RFC 3339).")
@click.option("--to", "end", default="", help="Only entries before this time (RFC 3339).")
def export(
    form: Literal["ndjson", "csv"], actor: str, action: str, target: str, start: str, end: str
) -> None:
    """Write entries to the standard output, the newest first."""
    from notifications.features.audit.queries import audit_filter
    from notifications.features.audit.service import AuditService

    wanted = audit_filter(
        actor=actor, action=action, target=target, user=None, start=start, end=end
    )
    for part in AuditService().export(wanted=wanted, caller=CALLER, form=form, whole=True):
        sys.stdout.buffer.write(part)
