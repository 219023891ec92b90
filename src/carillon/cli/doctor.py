"""`carillon doctor`."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass

import click

from carillon.cli import setup_django


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at; mend says what to do where it is not well."""

    name: str
    well: bool
    detail: str
    mend: str = ""


def _database() -> Finding:
    from django.db import DatabaseError, connection

    try:
        with connection.cursor() as cursor:
            if connection.vendor == "sqlite":
                cursor.execute("PRAGMA synchronous")
                durable, text = cursor.fetchone()[0] >= 2, "synchronous=FULL"
            else:
                cursor.execute("SHOW synchronous_commit")
                durable, text = cursor.fetchone()[0] == "on", "synchronous_commit=on"
    except DatabaseError as error:
        return Finding("database", False, str(error).strip(), "check CARILLON_DATABASE_URL")
    return Finding("database", durable, f"{connection.vendor}, {text}", f"set {text}")


def _migrations() -> Finding:
    from django.db import connection
    from django.db.migrations.executor import MigrationExecutor

    executor = MigrationExecutor(connection)
    plan = executor.migration_plan(executor.loader.graph.leaf_nodes())
    return Finding("migrations", not plan, f"{len(plan)} to apply", "run `carillon migrate`")


def _redis() -> Finding:
    from redis import Redis, RedisError

    from notifications.conf import environment

    url = environment().redis_url
    if not url:
        return Finding("redis", True, "not configured: local wake-ups and polling")
    try:
        Redis.from_url(url, socket_timeout=2, socket_connect_timeout=2).ping()
    except RedisError as error:
        return Finding("redis", False, type(error).__name__, "check CARILLON_REDIS_URL")
    return Finding("redis", True, "answers")


def _email() -> Finding:
    from notifications.conf import environment

    chosen = environment()
    if "smtp" not in chosen.email_provider:
        return Finding("email", True, f"{chosen.email_provider}: nothing leaves")
    try:
        socket.create_connection((chosen.smtp_host, chosen.smtp_port), timeout=5).close()
    except OSError as error:
        where = f"{chosen.smtp_host}:{chosen.smtp_port}"
        return Finding("email", False, f"{where}: {error}", "check CARILLON_SMTP_HOST and _PORT")
    return Finding("email", True, f"smtp at {chosen.smtp_host}:{chosen.smtp_port} answers")


def _workers() -> Finding:
    from notifications.infra import clock
    from notifications.services.metrics import workers_alive

    count = workers_alive(clock.now())
    return Finding("workers", count > 0, f"{count} alive", "start one: `carillon worker`")


def _queue() -> Finding:
    from notifications.infra import clock
    from notifications.services.metrics import queue_depth

    overdue = sum(lane["overdue"] for lane in queue_depth(clock.now()).values())
    return Finding("queue", overdue < 10_000, f"{overdue:.0f} overdue", "start more workers")


def _dead_letters() -> Finding:
    from notifications.conf import environment
    from notifications.services.metrics import open_dead_letters

    count = open_dead_letters()
    few = count < environment().dead_letters_alert
    return Finding("dead letters", few, f"{count} wait", "see `carillon dead-letters list`")


def _public_url() -> Finding:
    from notifications.conf import environment

    chosen = environment()
    https = chosen.public_url.startswith("https://")
    said = chosen.public_url if https else f"{chosen.public_url}: mails offer no one-click ending"
    well = https or not chosen.production
    return Finding("public url", well, said, "set CARILLON_PUBLIC_URL to an https address")


_NOBODY_TO_ASK = frozenset({"sandbox", "in_app"})

CHECKS: tuple[Callable[[], Finding], ...] = (
    _database,
    _migrations,
    _redis,
    _email,
    _public_url,
    _workers,
    _queue,
    _dead_letters,
)


def _providers() -> Iterator[Finding]:
    """The chosen providers, each asked whether its account is good."""
    from carillon.cli.caller import CALLER
    from notifications.services.providers import ProviderService

    service = ProviderService()
    for each in service.providers(caller=CALLER):
        if not each.chosen or each.key in _NOBODY_TO_ASK:
            continue
        wrong = service.check(key=each.key, caller=CALLER)
        yield Finding(
            f"provider {each.key}",
            not wrong,
            wrong or "its account is good",
            f"see `carillon providers list`, then `carillon providers test {each.key} --to ...`",
        )


def _examine() -> Iterator[Finding]:
    """All findings; without a database or its tables the rest cannot be asked."""
    for check in CHECKS:
        finding = check()
        yield finding
        if not finding.well and finding.name in ("database", "migrations"):
            return
    yield from _providers()


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
