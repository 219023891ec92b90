"""People with messages for their inbox, and a worker that records them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from directory.models import User
from notifications.engine.runs import deliver_rows
from notifications.models import InboxArrival
from notifications.queue import batches
from tests.integration.api.conftest import as_user, template, user, with_key
from tests.integration.factories import make_user

__all__ = ["as_user", "template", "user", "with_key"]


@pytest.fixture
def person(db: None) -> User:
    return make_user()


def deliver(lane: str = "default") -> None:
    """Delivers all that is due on the row channels."""
    while leases := batches.lease(owner="w", lane=lane, seconds=60):
        deliver_rows(leases, owner="w")


def arrivals_of(user: User) -> Sequence[InboxArrival]:
    return InboxArrival.objects.filter(user_id=user.pk).order_by("seq")


def shown(item: Any) -> tuple[Any, ...]:
    """What a client shows of an arrival."""
    return (
        str(item.uuid),
        item.content.get("title"),
        item.read_at is not None,
        item.archived_at is not None,
        item.snoozed_until is not None,
    )
