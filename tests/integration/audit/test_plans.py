"""Every read of the audit log uses an index, on both databases."""

from __future__ import annotations

import json
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


@pytest.mark.parametrize("name", READS)
def test_each_read_uses_its_index(name: str) -> None:
    rows, index = READS[name]
    assert index in plan_of(rows(), sorts=name == "letting go")


def test_the_sealer_reads_the_queue_by_key() -> None:
    plan = plan_of(AuditQueued.objects.order_by("id")[:100])
    assert "auditqueued_pkey" in plan or "SCAN notifications_auditqueued" in plan
    assert "TEMP B-TREE" not in plan


def plan_of(rows: Any, *, sorts: bool = False) -> str:
    """Returns the plan of a query on a table where reading all of it is never chosen.

    sorts: whether the query must sort its few rows.
    """
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute("SET LOCAL enable_seqscan = off")
            cursor.execute(f"SET LOCAL enable_sort = {'on' if sorts else 'off'}")
            cursor.execute(f"SET LOCAL enable_indexscan = {'off' if sorts else 'on'}")
            return json.dumps(rows.explain(format="json"))
    return rows.explain()
