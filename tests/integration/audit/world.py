"""What the tests of the audit log share: entries, keys, and a delivered notification."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from uuid import UUID

from directory.models import User
from notifications.domain.callers import SYSTEM
from notifications.engine.runs import deliver_rows
from notifications.models import ApiKey
from notifications.models.audit.entries import NewEntry, write_entries
from notifications.queue import batches
from notifications.services import NotificationService
from tests.integration.factories import make_template

AT = datetime(2030, 5, 1, 12, 0, tzinfo=UTC)


def write(count: int, *, first: int = 0, at: datetime = AT, subject_id: int | None = None) -> None:
    """Writes entries on `thing:<number>`."""
    write_entries(
        [
            NewEntry(
                actor="user:1",
                action="test.change",
                target=f"thing:{number}",
                subject_id=subject_id,
                before={"number": number},
                after={"number": number + 1},
            )
            for number in range(first, first + count)
        ],
        at=at,
    )


def api_key(scopes: Sequence[str]) -> str:
    """Returns the text of a new key."""
    return ApiKey.make(name="a service", scopes=list(scopes))[1]


def send_to(user: User, *, channels: Sequence[str] = ("in_app",)) -> UUID:
    """Accepts a notification; returns its id."""
    make_template()
    body = {
        "template_path": "test.hello",
        "user_id": user.pk,
        "channels": list(channels),
        "context": {"amount": 5},
    }
    return NotificationService().send(body=body, caller=SYSTEM).id


def deliver_all() -> None:
    """Delivers what is due. The sandbox and the inbox take everything."""
    leases = batches.lease(owner="w", lane="default", seconds=60)
    for channel in sorted({lease.channel for lease in leases}):
        deliver_rows([lease for lease in leases if lease.channel == channel], owner="w")
    batches.release([lease for lease in leases if lease.open_keys], "w")
