"""An idle worker looks for work in one statement, and finds all that a turn would find."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from notifications.domain.channels import Lane
from notifications.infra.database.clock_bridge import database_now
from notifications.models import DeliveryBatch, ProviderFlow, WorkerProcess
from notifications.queue import batches, quiet
from notifications.queue.quiet import EMPTY_S

pytestmark = pytest.mark.django_db
POLL_S = 0.25


def look(**given: Any) -> float:
    lanes = given.pop("lanes", list(Lane))
    return quiet.look(lanes, owner="own", now=database_now(), poll_s=POLL_S).rest_s


def insert(*, later_s: float = -1.0, lane: Lane = Lane.BULK) -> None:
    due_at = database_now() + timedelta(seconds=later_s)
    made = batches.batches_of(lane=lane, channel="email", source="key:1", due_at=due_at, keys=[1])
    batches.insert(made)


def process(owner: str) -> None:
    until = database_now() + timedelta(seconds=10)
    WorkerProcess.objects.create(owner=owner, lease_until=until, started_at=until)


def test_without_anything_it_looks_again_in_a_second(django_assert_num_queries: Any) -> None:
    process("own")
    with django_assert_num_queries(1):
        assert look() == EMPTY_S


def test_a_due_batch_needs_a_turn() -> None:
    insert()
    assert look() == 0
    assert look(lanes=[Lane.CRITICAL]) == POLL_S


def test_a_batch_that_waits_for_its_time_is_polled_for() -> None:
    insert(later_s=3600)
    assert look() == POLL_S


def test_a_leased_batch_needs_no_turn_of_its_own() -> None:
    insert()
    DeliveryBatch.objects.update(owner="own")
    assert look() == POLL_S


def test_beside_another_process_it_sweeps() -> None:
    process("other")
    found = quiet.look([Lane.BULK], owner="own", now=database_now(), poll_s=POLL_S)
    assert found == (EMPTY_S, True)


@pytest.mark.parametrize("trouble", [{"open_until": 1}, {"next_at": 1 << 60}])
def test_a_service_in_trouble_needs_turns(trouble: dict[str, int]) -> None:
    ProviderFlow.objects.create(service="smtp", **trouble)
    assert look() == 0
