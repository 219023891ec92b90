"""Every read of the audit log uses an index, on both databases."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import connection

from notifications.features.audit.lawful import letting_go
from notifications.features.audit.queries import AuditFilter
from notifications.models import AuditLeaf, AuditQueued
from tests.integration.audit.world import AT

pytestmark = pytest.mark.django_db
SLICES = AuditLeaf.objects.filter(
    at_ms__range=(1, 2), first_message__lte=5, last_message__gte=5, data__isnull=False
)
READS: dict[str, tuple[Any, str]] = {
    "actor": (lambda: AuditFilter(actor="user:1").rows()[:50], "audit_actor"),
    "action": (lambda: AuditFilter(action="x").rows()[:50], "audit_action"),
    "target": (lambda: AuditFilter(target="x").rows()[:50], "audit_target"),
    "user": (lambda: AuditFilter(user_id=7).rows()[:50], "audit_subject"),
    "slices": (lambda: SLICES.order_by("at_ms")[:50], "audit_slice"),
    "letting go": (lambda: letting_go()[:50], "audit_action"),
    "time": (
        lambda: AuditLeaf.objects.filter(pk__in=AuditFilter(start=AT, end=AT).rows().values("pk")),
        "audit_time",
    ),
}


_FILL = """
INSERT INTO notifications_auditleaf (number, kind, at_ms, actor, action, target, subject_id,
  first_message, last_message, data, leaf_hash, tag)
SELECT n, CASE WHEN n % 4 = 0 THEN 'entry' ELSE 'slice' END, n, 'user:' || n % 500,
  'action' || n % 90, 'thing:' || n, CASE WHEN n % 4 = 0 THEN n % 900 END,
  CASE WHEN n % 4 > 0 THEN n * 100 END, CASE WHEN n % 4 > 0 THEN n * 100 + 99 END, '', '', ''
FROM generate_series(1, 40000) n"""


@pytest.fixture(autouse=True)
def _filled() -> None:
    """On PostgreSQL 40,000 leaves with statistics: its planner chooses by them."""
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute(_FILL)
            cursor.execute("ANALYZE notifications_auditleaf")


@pytest.mark.parametrize("name", READS)
def test_each_read_uses_its_index(name: str) -> None:
    rows, index = READS[name]
    assert index in rows().explain()


_QUEUE = """
INSERT INTO notifications_auditqueued (kind, at_ms, actor, action, target, data)
SELECT 'entry', n, 'user:1', 'x', 'y', '' FROM generate_series(1, 20000) n"""


def test_the_sealer_reads_the_queue_by_key() -> None:
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute(_QUEUE)
            cursor.execute("ANALYZE notifications_auditqueued")
    plan = AuditQueued.objects.order_by("id")[:100].explain()
    assert "auditqueued_pkey" in plan or "SCAN notifications_auditqueued" in plan
    assert "TEMP B-TREE" not in plan
