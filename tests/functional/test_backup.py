"""`carillon backup` and `carillon restore`, on both databases."""

from __future__ import annotations

import json
import os
import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest

from carillon.servers import PostgresServer
from tests.functional.installation import Installation, free_port

pytestmark = pytest.mark.processes
SECRET = "0123456789abcdefghijklmnopqrstuvwxyz"
BEFORE = """
import datetime, json
from directory.models import User
from notifications.domain.callers import SYSTEM
from notifications.features.audit.sealer import seal_due
from notifications.features.sending.service import NotificationService
from notifications.infra import clock
from notifications.models import DeliveryBatch, NotificationMessage
from notifications.models.audit.actions import record_change
from tests.integration.factories import make_template
make_template("test.note", email_body_template="{{ amount }}")
zebu = User.objects.create(
    username="zebu-17", email="zebulon@example.org", first_name="Zebulon",
    phone_number="+4915112345678",
)
olga = User.objects.create(username="olga", email="olga@example.org")
later = (clock.now() + datetime.timedelta(days=30)).isoformat()
def send(at=None, **to):
    body = {"template_path": "test.note", "channel": "email",
            "context": {"amount": "seventeen roses"}, **to}
    if at:
        body["scheduled_at"] = at
    return NotificationService().send(caller=SYSTEM, body=body)
for user in (zebu, olga):
    for at in (later, None):
        send(at, user_id=user.pk)
send(None, user_id=olga.pk)
send(None, to={"email": "stranger@example.org"})
flying = NotificationMessage.objects.filter(user=olga, scheduled_at__lt=later).latest("pk")
DeliveryBatch.objects.filter(pk=flying.batch_id).update(
    owner="worker-1@elsewhere", lease_until=later, journal=str(flying.pk)
)
record_change(actor="cli", action="page.checked", target="x", at=clock.now())
seal_due(now=clock.now())
print(json.dumps([zebu.pk, olga.pk]))
"""
ERASE = """
import json
from pathlib import Path
from notifications.domain.callers import SYSTEM
from notifications.features.audit.sealer import seal_due
from notifications.features.audit.service import AuditService
from notifications.features.privacy.schemas import EraseAddressBody
from notifications.features.privacy.service import PrivacyService
from notifications.features.privacy.steps import erase_due
from notifications.infra import clock
service = PrivacyService()
made = service.erase_user(identifier=%d, reason="asked", caller=SYSTEM)
body = EraseAddressBody(reason="asked", email="stranger@example.org")
service.erase_address(body=body, caller=SYSTEM)
erase_due(now=clock.now())
seal_due(now=clock.now())
Path(%r).write_text(AuditService().checkpoint(caller=SYSTEM).checkpoint)
print(json.dumps(str(made.certificate_id)))
"""
AFTER = """
import json
from directory.importing import import_users
from directory.models import User
from notifications.domain.callers import SYSTEM
from notifications.domain.errors import Refused
from notifications.features.privacy.service import PrivacyService
from notifications.features.sending.service import NotificationService
from notifications.models import DeadLetter, Notification, NotificationMessage
from vault.models import DataKey, ErasedKey
found = PrivacyService().certificate(identifier=%r, caller=SYSTEM)
import_users([json.dumps({"external_id": "x", "email": "Zebulon@example.org"})], kind="ndjson")
messages = NotificationMessage.objects.exclude(user_id=None)
again, refused = User.objects.get(external_id="x"), ""
try:
    NotificationService().send(caller=SYSTEM, body={
        "template_path": "test.note", "channel": "email", "context": {"amount": 1},
        "user_id": again.pk})
except Refused as error:
    refused = error.code
print(json.dumps({
    "people": sorted(User.objects.exclude(pk=again.pk).values_list("pk", flat=True)),
    "certificate": [found.state, found.reason, len(found.keys)],
    "stranger": Notification.objects.filter(user_id=None).count(),
    "keys": DataKey.objects.filter(pk__in=ErasedKey.objects.values("pk")).count(),
    "import": refused,
    "open": sorted(DeadLetter.objects.values_list("code", flat=True)),
    "statuses": sorted(messages.values_list("status", flat=True)),
}))
"""
WORK = """
import asyncio, json
from notifications.engine.worker import Worker
from notifications.models import SandboxMessage
asyncio.run(Worker().main(once=True))
print(json.dumps(SandboxMessage.objects.count()))
"""
CLI = """
import json, traceback
from click.testing import CliRunner
from carillon.cli import carillon
found = CliRunner().invoke(carillon, %r)
if found.exception and not isinstance(found.exception, SystemExit):
    traceback.print_exception(found.exception)
    raise found.exception
print(json.dumps([found.exit_code, found.output]))
"""


def run(place: Installation, *words: str) -> tuple[int, str]:
    """Runs a command in a fork of a process that has Django; returns its code and output."""
    code, output = result(place, CLI % (list(words),))
    return code, output


def result(place: Installation, script: str) -> Any:
    return json.loads(place.python(script).splitlines()[-1])


@dataclass
class Pair:
    """An installation, and an empty one to restore into."""

    first: Installation
    second: Installation
    folder: Path


def _installation(folder: Path, url: str | None, programs: str) -> Installation:
    settings = {"secret_key": SECRET, "postgres_programs": programs}
    if url is not None:
        settings["database_url"] = url
    made = Installation(folder, **settings)
    folder.mkdir(exist_ok=True)
    return made


@pytest.fixture(params=["sqlite", "postgres"])
def pair(request: pytest.FixtureRequest, tmp_path: Path) -> Pair:
    urls: list[str | None] = [None, None]
    programs = ""
    if request.param == "postgres":
        server: PostgresServer = request.getfixturevalue("migrated_postgres")
        urls[0] = request.getfixturevalue("postgres_url")
        urls[1] = _empty_database(server)
        programs = str(server.control.parent)
    first, second = (
        _installation(tmp_path / name, url, programs)
        for name, url in zip(("first", "second"), urls, strict=True)
    )
    if request.param == "sqlite":
        first.prepare()
        (first.folder / "secret-key").unlink(missing_ok=True)
    return Pair(first, second, tmp_path)


def _empty_database(server: PostgresServer) -> str:
    name = f"empty_{os.urandom(4).hex()}"
    with psycopg.connect(server.url, autocommit=True) as base:
        base.execute(f'CREATE DATABASE "{name}" TEMPLATE template0')
    return server.url.replace("/postgres?", f"/{name}?")


def test_who_was_erased_since_the_backup_is_unreadable_in_the_restored_copy(pair: Pair) -> None:
    backups, erasures = pair.folder / "backups", pair.folder / "erasures.ndjson"
    checkpoint = pair.folder / "checkpoint.txt"
    zebu, olga = result(pair.first, BEFORE)
    code, output = run(pair.first, "backup", str(backups))
    assert code == 0, output
    certificate = result(pair.first, ERASE % (zebu, str(checkpoint)))
    assert run(pair.first, "erasures", "export", str(erasures))[0] == 0
    assert "zebu" not in erasures.read_text().lower()

    code, output = run(pair.second, "restore", str(backups), "--erasures", str(erasures))
    assert code == 0, output

    found = result(pair.second, AFTER % certificate)
    assert found["people"] == [olga]
    assert found["certificate"][:2] == ["done", "asked"]
    assert found["stranger"] == 0
    assert found["keys"] == 0
    assert found["import"] == "opted_out"
    assert found["open"] == ["restored", "restored"]
    assert found["statuses"] == ["pending", "uncertain", "uncertain"]

    assert result(pair.second, WORK) == 0
    code, output = run(pair.second, "dead-letters", "replay", "--code", "restored")
    assert "2 replayed" in output
    assert result(pair.second, WORK) >= 2

    assert run(pair.second, "audit", "verify")[0] == 0
    code, output = run(pair.second, "audit", "verify", "--checkpoint", str(checkpoint))
    assert (code, "lost by the restore" in output) == (3, True), output


def test_a_copy_that_no_one_settled_starts_no_process(tmp_path: Path) -> None:
    place = _installation(tmp_path / "first", None, "")
    place.prepare()
    (place.folder / "secret-key").unlink(missing_ok=True)
    assert run(place, "backup", str(tmp_path / "backups"))[0] == 0
    copy = _installation(tmp_path / "copy", None, "")
    (copy.folder / "keys").mkdir()
    for part, name in (("main", "carillon.sqlite3"), ("keys", "keys/keys.sqlite3")):
        (archive,) = (tmp_path / "backups").glob(f"carillon-{part}-*.tar")
        with tarfile.open(archive) as tar:
            content = tar.extractfile("content")
            assert content is not None
            (copy.folder / name).write_bytes(content.read())
    for words in (("worker",), ("web", "--port", str(free_port())), ("serve",)):
        code, output = run(copy, *words)
        assert (code, "carillon restore --loaded" in output) == (1, True), output
    code, output = run(copy, "restore", "--loaded", "--none-since", "2020-01-01T00:00:00Z")
    assert code == 0, output
    assert result(copy, WORK) == 0
