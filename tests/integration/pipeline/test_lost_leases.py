"""A worker that woke after its lease was lost: what it named then counts against its limit."""

from __future__ import annotations

import pytest

from notifications.domain.messages import SendResult, Verdict
from notifications.infra import clock
from notifications.models import DeliveryBatch
from notifications.pipeline import journal, prepare
from notifications.queue import batches
from notifications.runs import keys_of
from notifications.settlement import settle
from tests.integration.factories import make_messages

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def clock_(frozen, override_environment):
    """Time stands still; mail goes out by a provider that journals."""
    override_environment(email_provider="smtp", rate_limits=("smtp=off",))
    return frozen


def ready(owner="w"):
    (lease,) = batches.lease(owner=owner, lane="default", seconds=60)
    return lease, prepare("email", keys_of([lease])).ready


def test_nothing_more_is_journalled_beside_what_a_lost_lease_still_names(clock_):
    make_messages(2)
    old, items = ready()
    assert len(journal(items, owner="w")) == 2
    clock_.forward(61)
    make_messages(2)
    fresh, more = ready()
    assert fresh.batch_id != old.batch_id
    landed = [settle(i, SendResult(Verdict.SENT), at=clock.now()) for i in items]

    assert journal(more, owner="w", outcomes=landed) == []
    assert old.lost
    assert not fresh.lost
    assert DeliveryBatch.objects.get(pk=fresh.batch_id).journal == ""
    assert batches.are_ours([old.batch_id], "w")

    assert len(journal(more, owner="w")) == 2  # once nothing of the lost lease comes along


def test_a_batch_that_was_taken_over_is_ours_no_more(clock_):
    make_messages(1)
    lease, _ = ready()
    DeliveryBatch.objects.filter(pk=lease.batch_id).update(owner="other")
    assert not batches.are_ours([lease.batch_id], "w")
