"""A person is erased; a backup from before is restored, and nothing of theirs is readable."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import psycopg
import pytest

from carillon.servers import PostgresServer
from tests.functional.installation import Installation

pytestmark = pytest.mark.processes
SECRETS = ("Zebulon", "zebulon@example.org", "4915112345678", "zebu-17", "seventeen roses")
SETUP = """
import datetime, json
from directory.models import User
from notifications.domain.callers import SYSTEM
from notifications.features.sending.service import NotificationService
user = User.objects.create(
    username="zebu-17", email="zebulon@example.org", first_name="Zebulon",
    phone_number="+4915112345678",
)
later = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(days=30)
for at in (later.isoformat(), None):
    NotificationService().send(caller=SYSTEM, body={
        "template_path": "user.payment.success", "user_id": user.pk, "channel": "email",
        "context": {"amount": 29.99, "note": "seventeen roses"}, "scheduled_at": at,
    })
print(json.dumps(user.pk))
"""
TRACES = """
import json
from directory.models import User
from vault.models import DataKey
user = User.objects.get(username="zebu-17")
key = DataKey.objects.get(pk=user.key_id)
print(json.dumps([bytes(key.wrapped).hex(), bytes(user.sealed).hex()]))
"""
ERASE = """
import json
from directory.models import User
from notifications.domain.callers import SYSTEM
from notifications.features.privacy.service import PrivacyService
from notifications.features.privacy.steps import erase_due
from notifications.infra import clock
user = User.objects.get(username="zebu-17")
made = PrivacyService().erase_user(identifier=user.pk, reason="asked", caller=SYSTEM)
erase_due(now=clock.now())
found = PrivacyService().certificate(identifier=str(made.certificate_id), caller=SYSTEM)
print(json.dumps({
    "state": found.state, "removed": found.removed, "residues": found.residues
}))
"""
AFTER = """
import json
from directory.models import User
from notifications.models import Notification
from notifications.models.delivery.hot_facts import load_people
(key,) = set(Notification.objects.filter(pk__gt=0).values_list("user_id", flat=True))
user = User.objects.get(pk=key)
print(json.dumps({
    "user": [user.first_name, user.email, user.username],
    "contexts": [row.context for row in Notification.objects.all()],
    "keys": len(load_people([key]).keys),
}))
"""


def found_in(folder: Path, traces: Sequence[bytes]) -> list[tuple[str, bytes]]:
    """The traces that a search of the raw files finds: databases, their logs, logs of processes."""
    return [
        (path.name, trace)
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.is_symlink()
        for content in [path.read_bytes()]
        for trace in traces
        if trace in content
    ]


def readable_in(folder: Path) -> list[tuple[str, bytes]]:
    """The secrets that a search of the raw files finds."""
    return found_in(folder, [text.encode() for text in SECRETS])


def test_a_restored_backup_has_nothing_readable_of_an_erased_person(tmp_path: Path) -> None:
    place = Installation(tmp_path / "data")
    place.prepare(demo=True)
    place.python(SETUP)
    assert readable_in(tmp_path) == []  # not even before

    database = place.folder / "carillon.sqlite3"
    backup = tmp_path / "backup"
    backup.mkdir()
    for part in place.folder.glob("carillon.sqlite3*"):
        shutil.copy(part, backup / part.name)

    traces = [bytes.fromhex(each) for each in json.loads(place.python(TRACES).splitlines()[-1])]
    assert {trace for _, trace in found_in(place.folder, traces)} == set(traces)
    erased = json.loads(place.python(ERASE).splitlines()[-1])
    assert erased["state"] == "done"
    assert erased["removed"]["messages_cancelled"] == 2
    # Not even the wrapped key and the sealed row are left: in databases, their logs, and -shm.
    assert found_in(place.folder, traces) == []

    for part in place.folder.glob("carillon.sqlite3*"):
        part.unlink()
    for part in backup.iterdir():
        shutil.copy(part, place.folder / part.name)
    assert database.exists()
    restored = json.loads(place.python(AFTER).splitlines()[-1])
    assert restored == {"user": ["", "", ""], "contexts": [None, None], "keys": 0}
    assert readable_in(tmp_path) == []


def test_the_files_of_postgres_have_nothing_readable(
    migrated_postgres: PostgresServer, postgres_url: str, tmp_path: Path
) -> None:
    place = Installation(
        tmp_path / "data", database_url=postgres_url, secret_key="0123456789abcdefghijklmnopqrstu"
    )
    place.folder.mkdir()
    place.python(f"from carillon.cli.demo import load_demo\nload_demo(quiet=True)\n{SETUP}")
    erased = json.loads(place.python(ERASE).splitlines()[-1])
    assert erased["state"] == "done"
    assert any("dead rows" in each for each in erased["residues"])
    with psycopg.connect(postgres_url, autocommit=True) as base:
        base.execute("VACUUM")
        base.execute("CHECKPOINT")
    dump = subprocess.run(
        [migrated_postgres.control.parent / "pg_dump", f"--dbname={postgres_url}"],
        capture_output=True,
        check=True,
        timeout=60,
    )
    (tmp_path / "dump.sql").write_bytes(dump.stdout)
    assert b"vault_datakey" in dump.stdout
    assert readable_in(tmp_path) == []
    assert readable_in(migrated_postgres.folder) == []
