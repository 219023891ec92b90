"""`carillon doctor`."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from carillon.cli import setup_django
from carillon.cli.doctor_settings import Finding, settings

if TYPE_CHECKING:
    from notifications.features.operations.health import CheckResponse


_MENDS = {
    "database": "check CARILLON_DATABASE_URL, and the database's disk and log",
    "migrations": "run `carillon migrate`",
    "loops": "see the worker's log; start one: `carillon worker`",
    "beat": "start `carillon worker`; with Redis `carillon beat` too",
    "workers": "start one: `carillon worker`",
    "queues": "start more workers, or see why those that run are slow",
    "tasks": "see the worker's log at the trace id; ask for the task again",
    "dead_letters": "see `carillon dead-letters list`",
    "providers": "see `carillon providers breakers`",
    "stops": "see `carillon kill-switch list`; lift what is over",
    "redis": "check CARILLON_REDIS_URL",
}


def _health() -> Iterator[Finding]:
    """What `/health` says, check by check; a database that is away or not migrated is told once."""
    from notifications.features.operations.health import NOT_MIGRATED, health
    from notifications.infra import clock

    checks = health(now=clock.now(), in_full=lambda: True).checks
    away = checks["database"].reason
    for name, check in checks.items():
        if check.reason == NOT_MIGRATED or (name != "database" and away and check.reason == away):
            continue
        words = check.reason or _said(check)
        mend = _MENDS.get(name, "see the runbook, docs/operations/runbook.md")
        yield Finding(name.replace("_", " "), not check.reason, words, mend)


def _said(check: CheckResponse) -> str:
    if check.lanes is not None:
        queued = sum(lane.queued for lane in check.lanes.values())
        overdue = sum(lane.overdue for lane in check.lanes.values())
        return f"{queued:,} wait, {overdue:,} overdue"
    if check.providers is not None:
        return ", ".join(check.providers)
    return "well" if check.count is None else f"{check.count:,}"


_SYNCHRONOUS = ("OFF", "NORMAL", "FULL", "EXTRA")  # by the number that the PRAGMA answers


def _durability() -> Finding:
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
    mend = f"set {name}={wanted}"
    return Finding("durability", durable, f"{connection.vendor}, {name}={value}", mend)


def _time_outs() -> Finding:
    """Whether a session has its limits; behind a pooler only each transaction may have them."""
    from django.db import connection

    from carillon.postgres.limits import Limits

    if connection.vendor == "sqlite":
        return Finding("time-outs", True, "a writer waits for its turn, and no longer")
    names = sorted(Limits().settings())
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT name FROM pg_settings WHERE name = ANY(%s) AND setting = '0' ORDER BY name",
            [names],
        )
        missing = [row[0] for row in cursor.fetchall()]
    said = f"no {', '.join(missing)} outside transactions" if missing else ", ".join(names)
    mend = "ALTER ROLE ... SET them, as docs/scaling.md says of PgBouncer"
    return Finding("time-outs", not missing, said, mend)


def _email() -> Finding:
    from notifications.delivery.accounts import environment_settings
    from notifications.delivery.vendors.smtp.settings import Settings
    from notifications.infra.conf import environment

    chosen = environment()
    if "smtp" not in chosen.email_provider:
        said = "nothing leaves" if chosen.email_provider == "sandbox" else "mails leave by it"
        return Finding("email", True, f"{chosen.email_provider}: {said}")
    server = environment_settings(Settings)
    where = f"{server.smtp_host}:{server.smtp_port}"
    try:
        socket.create_connection((server.smtp_host, server.smtp_port), timeout=5).close()
    except OSError as error:
        return Finding("email", False, f"{where}: {error}", "check CARILLON_SMTP_HOST and _PORT")
    return Finding("email", True, f"smtp at {where} answers")


def _set_aside() -> Finding:
    from notifications.features.operations.set_aside import SetAsideService

    counts = SetAsideService().counts()
    said = ", ".join(f"{work} {count}" for work, count in counts.items()) or "nothing"
    mend = "see `carillon set-aside list`, mend, then `carillon set-aside resume`"
    return Finding("set aside", not counts, said, mend)


_NOBODY_TO_ASK = frozenset({"sandbox", "in_app"})


def _providers() -> Iterator[Finding]:
    """The chosen providers, each asked whether its account is good."""
    from carillon.cli.caller import CALLER
    from notifications.features.providers.service import ProviderService

    service = ProviderService()
    for each in service.providers(caller=CALLER):
        if not each.chosen or each.key in _NOBODY_TO_ASK:
            continue
        wrong = service.check(key=each.key, caller=CALLER)
        yield Finding(
            f"provider {each.key}",
            not wrong,
            wrong or "its account is good",
            _mend_of(each.key, wrong),
        )
        deaf = service.callbacks_fault(key=each.key, caller=CALLER)
        if deaf:
            yield Finding(f"callbacks {each.key}", False, deaf, "see docs/reference/receipts.md")


def _mend_of(key: str, wrong: str) -> str:
    """What to do where a provider's account is not good."""
    test = f"try it with `carillon providers test {key} --to ...`"
    if key == "smtp" and "credentials" in wrong:
        return f"correct CARILLON_SMTP_USER and CARILLON_SMTP_PASSWORD, restart; {test}"
    return f"see `carillon providers list`, then {test}"


def _examine() -> Iterator[Finding]:
    """The service's health, then its set-up; without a database or its tables the latter cannot be
    asked."""
    from django.db import DatabaseError, InterfaceError

    from notifications.infra.conf import environment

    asked = True
    for finding in _health():
        yield finding
        asked = asked and (finding.well or finding.name not in ("database", "migrations"))
    yield _email()
    yield from settings(environment())
    if not asked:
        return
    try:
        yield _durability()
        yield _time_outs()
        yield _set_aside()
        yield from _providers()
    except (DatabaseError, InterfaceError) as error:
        yield Finding("database", False, " ".join(str(error).split()), _MENDS["database"])


@click.command(epilog="Example: carillon doctor --json")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def command(as_json: bool) -> None:
    """Check every setting, provider and queue, and say what to mend."""
    setup_django()
    findings = list(_examine())
    if as_json:
        click.echo(json.dumps({"findings": [asdict(each) for each in findings]}))
    else:
        for each in findings:
            click.echo(f"{'ok   ' if each.well else 'FAULT'}  {each.name:<13} {each.detail}")
            if not each.well:
                click.echo(f"       mend: {each.mend}")
    if not all(each.well for each in findings):
        raise SystemExit(1)
