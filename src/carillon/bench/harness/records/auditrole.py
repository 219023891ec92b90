"""The roles of `bench audit`: writing entries, sealing, proving and verifying them."""

from __future__ import annotations

import random
import time
from statistics import median
from typing import Any

from django.db import transaction

from notifications.domain.audit_leaves import decision_commitment
from notifications.features.audit.proofs import inclusion_proof
from notifications.features.audit.sealer import seal_block, seal_due
from notifications.features.audit.verify import verify_store
from notifications.infra import clock
from notifications.models import AuditHead, AuditLeaf
from notifications.models.audit.entries import NewEntry, write_entries, write_slice

_PROOFS = 200
_MESSAGES = 20_000
_TRAIL = '[1893456000000, "sent", "sandbox"]'
_PATIENCE_S = 600.0


def audit_write(count: str, at_once: str = "50", writer: str = "1") -> dict[str, Any]:
    """Writes entries with values before and after, some in each transaction."""
    began, step = time.perf_counter(), int(at_once)
    for start in range(0, int(count), step):
        entries = [
            NewEntry(
                actor=f"user:{number % 100}",
                action="category.changed",
                target=f"{writer}:{number}",
                subject_id=number % 5000,
                before={"name": "Homework", "marketing": False},
                after={"name": "Homework", "marketing": True},
            )
            for number in range(start, min(int(count), start + step))
        ]
        with transaction.atomic():
            write_entries(entries, at=clock.now())
    return {"write_s": time.perf_counter() - began}


def audit_seal(count: str) -> dict[str, Any]:
    """Seals until the tree has `count` leaves. It measures from the first entry that it finds."""
    started, wanted = time.perf_counter(), int(count)
    first, cpu = 0.0, 0.0
    while (head := AuditHead.objects.first()) is None or head.size < wanted:
        at, used = time.perf_counter(), time.process_time()
        if not seal_block():
            time.sleep(0.01)
        elif not first:
            first, cpu = at, used
        if at - started > _PATIENCE_S:
            raise TimeoutError(f"fewer than {wanted} entries in {_PATIENCE_S:.0f} s")
    seal_due(now=clock.now())
    return {"seal_s": time.perf_counter() - first, "cpu_s": time.process_time() - cpu}


def audit_check() -> dict[str, Any]:
    """Verifies the store, and proves some leaves."""
    began = time.perf_counter()
    report = verify_store()
    verify_s = time.perf_counter() - began
    proofs = []
    for _ in range(_PROOFS):
        began = time.perf_counter()
        inclusion_proof(random.randrange(report.leaves), report.leaves)
        proofs.append((time.perf_counter() - began) * 1000)
    used = time.process_time()
    for key in range(_MESSAGES):
        decision_commitment(b"0123456789abcdef", key, _TRAIL)
    hash_us = (time.process_time() - used) / _MESSAGES * 1e6
    return {
        "leaves": report.leaves,
        "out_of_order": _out_of_order(),
        "verify_per_s": round(report.leaves / verify_s),
        "faults": report.count,
        "proof_p50_ms": round(median(proofs), 2),
        "hash_us_per_message": round(hash_us, 2),
        "slice_us_per_message": round(_slice_us(), 2),
    }


def _slice_us() -> float:
    """Returns the CPU time of this process for the row of a slice, in us a message of 100."""
    with transaction.atomic():
        used = time.process_time()
        for start in range(0, _MESSAGES, 100):
            decisions = [(key, _TRAIL) for key in range(start, start + 100)]
            write_slice(decisions, at=clock.now())
        used = time.process_time() - used
        transaction.set_rollback(True)
    return used / _MESSAGES * 1e6


def _out_of_order() -> int:
    """Counts the entries that stand before an earlier one of the same writer."""
    last: dict[str, int] = {}
    wrong = 0
    for target in AuditLeaf.objects.order_by("number").values_list("target", flat=True):
        writer, _, number = target.partition(":")
        wrong += int(number) <= last.get(writer, -1)
        last[writer] = int(number)
    return wrong
