"""The hot statements use their keys, whatever statistics the planner has.

A broadcast fills a table within seconds; autovacuum gathers statistics up to a minute later. Until
then these statements once took a thousand times as long.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime

import psycopg
import pytest
from django.db import connection

from notifications.models.delivery import hot_postgres
from notifications.models.delivery.hot import hot
from notifications.models.delivery.hot_rows import Change
from notifications.models.sources import recipient_states, recipients

pytestmark = [
    pytest.mark.django_db,
    pytest.mark.skipif("connection.vendor != 'postgresql'", reason="PostgreSQL's planner"),
]
AT = datetime(2026, 11, 23, 9, tzinfo=UTC)
SEEN, FILLED, SLICE = 20_000, 40_000, 500
TABLES = ("notification", "notificationmessage", "broadcastrecipient")


class Explaining(psycopg.Cursor):
    """Stores the plan of each statement before it runs."""

    plans: list[str] = []

    def execute(self, query, params=None, **options):
        super().execute(f"EXPLAIN {query}", params, **options)
        Explaining.plans.append("\n".join(row[0] for row in self.fetchall()))
        return super().execute(query, params, **options)


def fill(broadcast_id: int, first: int, last: int, status: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO notifications_notification (id, uuid, user_id, category_id, type,"
            " priority, source, locale, scheduled_at, created_at, is_test)"
            " SELECT i, gen_random_uuid(), i, 1, 'system', 3, 'service', '', %s, %s, false"
            " FROM generate_series(%s, %s) AS i",
            [AT, AT, first, last],
        )
        cursor.execute(
            "INSERT INTO notifications_notificationmessage (id, notification_id, user_id, channel,"
            " priority, status, batch_id, scheduled_at, attempts, max_attempts)"
            " SELECT i, i, i, 'in_app', 1, %s, i / 500, %s, 0, 5 FROM generate_series(%s, %s) AS i",
            [status, AT, first, last],
        )
    keys = list(range(first, last + 1))
    recipients.insert_recipients(broadcast_id, keys, keys)


def change(key: int) -> Change:
    empty = dict.fromkeys(Change._fields)
    given = {"id": key, "status": "sent", "attempts": 1, "trail": "x", "from_batch": key // 500}
    return Change(**{**empty, **given})


@pytest.fixture(params=["no statistics", "gathered without waiting recipients"])
def crowded(request, db):
    fill(6, 1, SEEN, "delivered")
    if request.param != "no statistics":
        with connection.cursor() as cursor:
            for table in TABLES:
                cursor.execute(f"ANALYZE notifications_{table}")
    fill(7, SEEN + 1, FILLED, "pending")


@pytest.fixture
def plans(monkeypatch):
    monkeypatch.setattr(Explaining, "plans", [])
    monkeypatch.setattr(hot_postgres.psycopg, "Cursor", Explaining)
    return Explaining.plans


def test_a_slice_is_found_by_its_keys(crowded, plans):
    keys = list(range(FILLED - SLICE + 1, FILLED + 1))
    assert len(hot().load_pending(keys)) == SLICE
    hot().recheck(keys, "email", ["a@example.org"])
    assert len(hot().still_pending(keys)) == SLICE
    assert len(recipient_states.messages_of(7, keys)) == SLICE
    assert hot().apply_changes([change(key) for key in keys]) == set(keys)
    written = recipient_states.RecipientUpdate(0, "sent", "{}", None, False, None, None, AT)
    recipient_states.write_states(7, [written._replace(person=key) for key in keys])
    assert len(plans) == 6
    for plan in plans:
        read = re.findall(rf"Seq Scan on notifications_(?:{'|'.join(TABLES)})\b", plan)
        assert not read, plan
        assert "broadcast_recipient_sent" not in plan, (
            plan
        )  # by the broadcast alone it would read all rows
