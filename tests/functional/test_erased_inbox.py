"""A person with an inbox is erased: raw files and a dump have nothing of it."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import psycopg
import pytest

from carillon.servers import PostgresServer
from tests.functional.installation import Installation
from tests.functional.test_erased_backup import ERASE, found_in, readable_in

pytestmark = pytest.mark.processes
SETUP = """
import datetime, json
from django.db import connection
from directory.models import User
from notifications.engine.runs import deliver_rows
from notifications.features.inbox import actions, marks
from notifications.infra import clock
from notifications.models import Category, ChangeKind, Notification, NotificationMessage
from notifications.queue import batches
from notifications.queue.leases import NewBatch

def arrived(user, count):
    keys = []
    for number in range(count):
        made = Notification(user=user, category_id=Category.objects.get(key="course").pk,
            source="key:1", text={"title": "seventeen roses", "message": f"Zebulon {number}"})
        made.save()
        NotificationMessage.objects.create(id=made.pk, notification=made, user=user,
            channel="in_app", scheduled_at=clock.now())
        keys.append(made.pk)
    (batch,) = batches.insert([NewBatch("default", "in_app", "key:1", clock.now(), keys)])
    NotificationMessage.objects.filter(pk__in=keys).update(batch_id=batch)
    deliver_rows([batches.lease_one(batch, owner="w", seconds=60)], owner="w")
    return keys

user = User.objects.create(username="zebu-17", email="zebulon@example.org", first_name="Zebulon")
other = User.objects.create(username="other", email="other@example.org")
keys = arrived(user, 6)
arrived(other, 1)
later = clock.now() + datetime.timedelta(days=3)
actions.amend(user.pk, keys[0], {"title": "Zebulon", "body": "seventeen roses, amended"})
actions.act(user.pk, [keys[1]], ChangeKind.READ)
actions.act(user.pk, [keys[2]], ChangeKind.ARCHIVED)
actions.act(user.pk, [keys[3]], ChangeKind.SNOOZED, until=later)
actions.act(user.pk, [keys[4]], ChangeKind.RETRACTED)
marks.mark_all_seen([(user.pk, key) for key in keys])
"""
LOOK = """
import json
from django.db import connection
def rows(table):
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT user_id, count(*) FROM notifications_{table} GROUP BY user_id")
        return len(cursor.fetchall())
with connection.cursor() as cursor:
    cursor.execute("SELECT content FROM notifications_inboxarrival a"
                   " JOIN directory_user u ON u.id = a.user_id WHERE content IS NOT NULL"
                   " AND u.id = (SELECT min(user_id) FROM notifications_inboxarrival)")
    sealed = [bytes(content).hex() for (content,) in cursor.fetchall() if content]
    cursor.execute("SELECT count(*) FROM notifications_inboxepoch")
    (epochs,) = cursor.fetchone()
print(json.dumps({"people": [rows(t) for t in ("inboxarrival", "inboxchange", "inboxcounter")],
                  "sealed": sealed, "epochs": epochs}))
"""


def look(place: Installation) -> dict[str, object]:
    return dict(json.loads(place.python(LOOK).splitlines()[-1]))


def traces_of(found: dict[str, object]) -> list[bytes]:
    sealed = found["sealed"]
    assert isinstance(sealed, list)
    return [bytes.fromhex(each) for each in sealed]


def test_the_files_of_sqlite_have_nothing_of_an_erased_inbox(tmp_path: Path) -> None:
    place = Installation(tmp_path / "data")
    place.prepare(demo=True)
    place.python(SETUP)
    before = look(place)
    traces = traces_of(before)
    assert readable_in(tmp_path) == []  # not even before
    assert {trace for _, trace in found_in(place.folder, traces)} == set(traces)

    assert json.loads(place.python(ERASE).splitlines()[-1])["state"] == "done"

    assert look(place)["people"] == [1, 0, 1]
    assert found_in(tmp_path, traces) == []
    assert readable_in(tmp_path) == []


def test_a_dump_of_postgres_has_nothing_of_an_erased_inbox(
    migrated_postgres: PostgresServer, postgres_url: str, tmp_path: Path
) -> None:
    place = Installation(
        tmp_path / "data", database_url=postgres_url, secret_key="0123456789abcdefghijklmnopqrstu"
    )
    place.folder.mkdir()
    place.python("from carillon.cli.demo import load_demo\nload_demo(quiet=True)\n")
    place.python(SETUP)
    before = look(place)
    traces = [each.hex().encode() for each in traces_of(before)]
    control = migrated_postgres.control.parent
    assert all(trace in dump(control, postgres_url) for trace in traces)

    assert json.loads(place.python(ERASE).splitlines()[-1])["state"] == "done"

    assert look(place)["people"] == [1, 0, 1]
    with psycopg.connect(postgres_url, autocommit=True) as base:
        base.execute("VACUUM")
        base.execute("CHECKPOINT")
    left = dump(control, postgres_url)
    assert b"notifications_inboxarrival" in left
    assert [trace for trace in traces if trace in left] == []
    (tmp_path / "dump.sql").write_bytes(left)
    assert readable_in(tmp_path) == []
    assert readable_in(migrated_postgres.folder) == []


def dump(control: Path, url: str) -> bytes:
    return subprocess.run(
        [control / "pg_dump", f"--dbname={url}"], capture_output=True, check=True, timeout=60
    ).stdout
