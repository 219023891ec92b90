"""`carillon doctor`."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from carillon.cli import setup_django
from carillon.cli.doctor_settings import DoctorFinding, settings

if TYPE_CHECKING:
    from notifications.features.operations.health_results import CheckResponse


_FIXES = {
    "database": "check CARILLON_DATABASE_URL, and the database's disk and log",
    "migrations": "run `carillon migrate`",
    "loops": "see the worker's log; start a worker: `carillon worker`",
    "beat": "start `carillon worker`; with Redis `carillon beat` too",
    "workers": "start a worker: `carillon worker`",
    "queues": "start more workers, or find out why the running ones are slow",
    "tasks": "see the worker's log at the trace id; request the task again",
    "dead_letters": "see `carillon dead-letters list`",
    "providers": "see `carillon providers breakers`",
    "stops": "see `carillon kill-switch list`; lift stops that are no longer needed",
    "redis": "check CARILLON_REDIS_URL",
}


def _health() -> Iterator[DoctorFinding]:
    """Yields the checks of `/health`; reports an unreachable or unmigrated database only once."""
    from notifications.features.operations.health import health
    from notifications.features.operations.health_results import NOT_MIGRATED
    from notifications.infra import clock

    checks = health(now=clock.now(), in_full=lambda: True).checks
    away = checks["database"].reason
    for name, check in checks.items():
        if check.reason == NOT_MIGRATED or (name != "database" and away and check.reason == away):
            continue
        words = check.reason or _detail_of(check)
        fix = _FIXES.get(name, "see the runbook, docs/operations/runbook.md")
        yield DoctorFinding(name.replace("_", " "), not check.reason, words, fix)


def _detail_of(check: CheckResponse) -> str:
    if check.lanes is not None:
        queued = sum(lane.queued for lane in check.lanes.values())
        overdue = sum(lane.overdue for lane in check.lanes.values())
        return f"{queued:,} wait, {overdue:,} overdue"
    if check.providers is not None:
        return ", ".join(check.providers)
    return "ok" if check.count is None else f"{check.count:,}"


_SYNCHRONOUS = ("OFF", "NORMAL", "FULL", "EXTRA")  # by the number that the PRAGMA returns


def _durability() -> DoctorFinding:
    from django.db import connection

    with connection.cursor() as cursor:
        if connection.vendor == "sqlite":
            cursor.execute("PRAGMA synchronous")
            name, value, wanted = "synchronous", _SYNCHRONOUS[cursor.fetchone()[0]], "FULL"
            durable = value in ("FULL", "EXTRA")
        else:
            cursor.execute("SHOW synchronous_commit")
            name, value, wanted = "synchronous_commit", cursor.fetchone()[0], "on"
            durable = value == wanted
    fix = f"set {name}={wanted}"
    return DoctorFinding("durability", durable, f"{connection.vendor}, {name}={value}", fix)


def _time_outs() -> DoctorFinding:
    """Checks that a session has its limits; behind a pooler perhaps only transactions have them."""
    from django.db import connection

    from carillon.postgres.limits import Limits

    if connection.vendor == "sqlite":
        return DoctorFinding("time-outs", True, "a writer waits only for its turn")
    names = sorted(Limits().settings())
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT name FROM pg_settings WHERE name = ANY(%s) AND setting = '0' ORDER BY name",
            [names],
        )
        missing = [row[0] for row in cursor.fetchall()]
    detail = f"no {', '.join(missing)} outside transactions" if missing else ", ".join(names)
    fix = "set them by ALTER ROLE ... SET, as docs/scaling.md describes for PgBouncer"
    return DoctorFinding("time-outs", not missing, detail, fix)


def _key_store() -> DoctorFinding:
    """Checks that a backup of the main database's server does not contain the keys."""
    from django.conf import settings as chosen
    from django.db import connections

    keys = connections[chosen.KEYS_ALIAS]
    if keys.vendor == "sqlite":
        return DoctorFinding("key store", True, str(keys.settings_dict["NAME"]))
    fix = "set CARILLON_KEYS_DATABASE_URL to a database of another cluster, with its own backups"
    if chosen.KEYS_ALIAS == "default":
        detail = "the keys of people are in the main database: each of its backups has them"
        return DoctorFinding("key store", True, detail, fix, warns=True)
    same = connections["default"].vendor == "postgresql" and _cluster("default") == _cluster(
        chosen.KEYS_ALIAS
    )
    detail = "the keys are in the main database's server: its physical backups have them"
    return DoctorFinding("key store", True, detail if same else "its own server", fix, warns=same)


def _cluster(alias: str) -> str:
    """Returns the identifier of a PostgreSQL cluster, which its replicas share."""
    from django.db import connections

    with connections[alias].cursor() as cursor:
        cursor.execute("SELECT system_identifier FROM pg_control_system()")
        return str(cursor.fetchone()[0])


def _email() -> DoctorFinding:
    from notifications.delivery.accounts import environment_settings
    from notifications.delivery.vendors.smtp.settings import Settings
    from notifications.infra.conf import environment

    chosen = environment()
    if "smtp" not in chosen.email_provider:
        is_sandbox = chosen.email_provider == "sandbox"
        detail = "no mail is sent" if is_sandbox else "mails are sent by it"
        return DoctorFinding("email", True, f"{chosen.email_provider}: {detail}")
    server = environment_settings(Settings)
    where = f"{server.smtp_host}:{server.smtp_port}"
    try:
        socket.create_connection((server.smtp_host, server.smtp_port), timeout=5).close()
    except OSError as error:
        return DoctorFinding(
            "email", False, f"{where}: {error}", "check CARILLON_SMTP_HOST and _PORT"
        )
    return DoctorFinding("email", True, f"smtp at {where} responds")


def _set_aside() -> DoctorFinding:
    from notifications.features.operations.set_aside import SetAsideService

    counts = SetAsideService().counts()
    detail = ", ".join(f"{work} {count}" for work, count in counts.items()) or "nothing"
    fix = "see `carillon set-aside list`, correct the cause, run `carillon set-aside resume`"
    return DoctorFinding("set aside", not counts, detail, fix)


def _old_rows() -> DoctorFinding:
    from notifications.features.sealing.service import rows_left

    left = rows_left()
    detail = ", ".join(f"{count:,} {work}" for work, count in left.items())
    fix = "run `carillon keys seal`: they are readable, or under the service's key"
    return DoctorFinding("old rows", not left, detail or "none is left to be sealed", fix)


_WITHOUT_ACCOUNT = frozenset({"sandbox", "in_app"})


def _providers() -> Iterator[DoctorFinding]:
    """Checks the account of each chosen provider."""
    from carillon.cli.caller import CALLER
    from notifications.features.providers.service import ProviderService

    service = ProviderService()
    for each in service.providers(caller=CALLER):
        if not each.chosen or each.key in _WITHOUT_ACCOUNT:
            continue
        wrong = service.check(key=each.key, caller=CALLER)
        yield DoctorFinding(
            f"provider {each.key}",
            not wrong,
            wrong or "its account works",
            _fix_of(each.key, wrong),
        )
        fault = service.callbacks_fault(key=each.key, caller=CALLER)
        if fault:
            yield DoctorFinding(
                f"callbacks {each.key}", False, fault, "see docs/reference/receipts.md"
            )


def _fix_of(key: str, wrong: str) -> str:
    """Returns what to do about a provider's account that does not work."""
    test = f"try it with `carillon providers test {key} --to ...`"
    if key == "smtp" and "credentials" in wrong:
        return f"correct CARILLON_SMTP_USER and CARILLON_SMTP_PASSWORD, restart; {test}"
    return f"see `carillon providers list`, then {test}"


def _examine() -> Iterator[DoctorFinding]:
    """Checks the service's health, then its set-up, which needs a database with its tables."""
    from django.db import DatabaseError, InterfaceError

    from notifications.infra.conf import environment

    is_readable = True
    for finding in _health():
        yield finding
        is_readable = is_readable and (
            finding.well or finding.name not in ("database", "migrations")
        )
    yield _email()
    yield from settings(environment())
    if not is_readable:
        return
    try:
        yield _durability()
        yield _time_outs()
        yield _key_store()
        yield _set_aside()
        yield _old_rows()
        yield from _providers()
    except (DatabaseError, InterfaceError) as error:
        yield DoctorFinding("database", False, " ".join(str(error).split()), _FIXES["database"])


def _shown(finding: DoctorFinding) -> dict[str, object]:
    """Returns a finding as `--json` prints it."""
    return {
        "name": finding.name,
        "well": finding.well,
        "detail": finding.detail,
        "fix": finding.fix,
        "warns": finding.warns,
    }


def _label(finding: DoctorFinding) -> str:
    if not finding.well:
        return "FAULT"
    return "warn " if finding.warns else "ok   "


@click.command(epilog="Example: carillon doctor --json")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def command(as_json: bool) -> None:
    """Check every setting, provider and queue, and say what to fix."""
    setup_django()
    findings = list(_examine())
    if as_json:
        click.echo(json.dumps({"findings": [_shown(each) for each in findings]}))
    else:
        for each in findings:
            click.echo(f"{_label(each)}  {each.name:<13} {each.detail}")
            if each.warns or not each.well:
                click.echo(f"       fix: {each.fix}")
    if not all(each.well for each in findings):
        raise SystemExit(1)
