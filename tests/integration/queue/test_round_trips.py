"""On a slow database, each round trip is what a message waits for."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest
from django.db import connection

from carillon.postgres.session import Session
from notifications.engine import worker
from notifications.engine.worker import Worker
from notifications.models import NotificationMessage
from tests.integration.factories import make_messages

pytestmark = pytest.mark.django_db(transaction=True)
MOST = 22
"""Of a message to the sandbox: what is due, its lease, its facts, its record, and two more looks
for work that a slow machine may take meanwhile. With BEGIN and COMMIT around leases it was 27."""


def round_trips(monkeypatch: pytest.MonkeyPatch) -> int:
    """How often a worker that delivers what is due waits for the database: for its own work, not
    for heartbeats, statistics and sweeps, which come by the clock."""
    waits: list[None] = []
    wait = Session.wait

    def counted(self: Session, *args: Any, **kwargs: Any) -> Any:
        if threading.current_thread().name.startswith(("carillon-db", "carillon-ledger")):
            waits.append(None)
        return wait(self, *args, **kwargs)

    with monkeypatch.context() as patched:
        patched.setattr(Session, "wait", counted)
        patched.setattr(worker, "_SWEEP_S", 3_600.0)
        asyncio.run(Worker().main(once=True))
    return len(waits)


def test_a_single_message_needs_few_round_trips(monkeypatch: pytest.MonkeyPatch) -> None:
    if connection.vendor != "postgresql":
        pytest.skip("SQLite has no round trips")
    idle = round_trips(monkeypatch)
    make_messages(1)

    trips = round_trips(monkeypatch) - idle

    assert NotificationMessage.objects.get().status == "sent"
    assert trips <= MOST
