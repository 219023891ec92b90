"""The conformance suite of the queue: the same on SQLite and PostgreSQL."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection, transaction

from notifications.domain.channels import Lane
from notifications.infra import clock
from notifications.models import DeliveryBatch, pack_keys
from notifications.queue import batches
from notifications.queue.leases import Lease, LeaseRequest, NewBatch

pytestmark = pytest.mark.django_db
NOW = datetime(2030, 5, 1, 12, 0, tzinfo=UTC)


@pytest.fixture(autouse=True)
def _frozen():
    with clock.reading(lambda: NOW):
        yield


def put(
    *, lane="default", channel="email", source="key:1", due=NOW, keys=(1, 2, 3), isolated=False
):
    (batch_id,) = batches.insert([NewBatch(lane, channel, source, due, list(keys), 0, isolated)])
    return batch_id


def lease(owner="w1", lane=Lane.DEFAULT, **more) -> list[Lease]:
    return batches.lease(owner=owner, lane=lane, seconds=60, **more)


def at(moment: datetime):
    return clock.reading(lambda: moment)


def test_a_due_batch_is_leased_once_with_its_members_in_order():
    batch_id = put(keys=[7, 8, 9, 20])

    (held,) = lease()

    assert (held.batch_id, held.fence, held.size) == (batch_id, 1, 4)
    assert held.open_keys == {7, 8, 9, 20}
    assert lease(owner="w2") == []


def test_a_batch_that_is_not_due_stays():
    put(due=NOW + timedelta(seconds=1))

    assert lease() == []
    with at(NOW + timedelta(seconds=1)):
        assert len(lease()) == 1


def test_a_batch_without_a_due_time_is_due_at_once():
    put(due=None)

    assert len(lease()) == 1


def test_each_batch_takes_its_own_size_from_the_budget():
    for keys in ([1], [2, 3, 4], [5, 6, 7]):
        put(keys=keys)

    assert [held.size for held in lease(budget=4)] == [1, 3]


def test_many_small_batches_are_leased_together_up_to_the_budget():
    for key in range(30):
        put(keys=[key])

    assert sum(held.size for held in lease(budget=20)) == 20
    assert sum(held.size for held in lease(budget=20)) == 10


def test_the_earliest_due_goes_first():
    late = put(due=NOW - timedelta(seconds=1), keys=[1])
    early = put(due=NOW - timedelta(seconds=9), keys=[2])

    assert [held.batch_id for held in lease(budget=1)] == [early]
    assert [held.batch_id for held in lease(budget=1)] == [late]


def test_sources_take_turns():
    for key in range(3):
        put(source="broadcast:1", keys=[key])
    put(source="key:9", keys=[50])

    first = lease(budget=1)[0].source
    second = lease(budget=1, after_source=first)[0].source

    assert {first, second} == {"broadcast:1", "key:9"}


@pytest.mark.parametrize(("most", "of_each"), [(4, 2), (5, 3), (1, 1), (8, 4)])
def test_each_source_gives_its_share_of_so_many_batches(most, of_each):
    for source in ("broadcast:1", "key:9"):
        for key in range(4):
            put(source=source, keys=[key])
    request = LeaseRequest(
        owner="w1",
        lane=Lane.DEFAULT,
        sources=["broadcast:1", "key:9"],
        seconds=60,
        budget=100,
        most=most,
    )

    with transaction.atomic():
        taken = batches.statements().lease(request, NOW)

    assert [each.source for each in taken] == ["broadcast:1"] * of_each + ["key:9"] * of_each


def test_other_lanes_and_excluded_channels_and_sources_are_left():
    put(lane="bulk")
    put(channel="push", keys=[4])
    put(source="broadcast:7", keys=[5])

    assert lease(without_channels=["push"], without_sources=["broadcast:7"]) == []
    assert len(lease(lane=Lane.BULK)) == 1


def test_isolated_batches_are_leased_only_when_asked_for_and_one_at_a_time():
    put(keys=[1], isolated=True)
    put(keys=[2], isolated=True)

    assert lease() == []
    assert [held.size for held in lease(isolated=True)] == [1]


def test_hold_tells_whose_lease_ran_out_or_was_taken_over():
    put()
    (held,) = lease()
    with transaction.atomic():
        assert batches.lock_owned([held], "w1").living == {held.batch_id}
    with at(NOW + timedelta(seconds=61)), transaction.atomic():
        lapsed = batches.lock_owned([held], "w1")
    assert (lapsed.living, lapsed.lapsed, held.lost) == (set(), {held.batch_id}, False)

    (other,) = [Lease(**{**_fields(held), "fence": held.fence - 1})]
    with transaction.atomic():
        assert batches.lock_owned([other], "w1").locked == set()
        assert batches.lock_owned([held], "w2").locked == set()
    assert (other.lost, held.lost) == (True, True)


def _fields(held: Lease) -> dict[str, object]:
    names = ("batch_id", "lane", "channel", "source", "fence", "members", "size", "takeovers")
    return {name: getattr(held, name) for name in names} | {"isolated": held.isolated}


def test_renewing_revives_a_lease_that_ran_out_and_marks_what_was_taken_over():
    put()
    (held,) = lease()
    with at(NOW + timedelta(seconds=50)):
        batches.renew([held], "w1", 60)
    with at(NOW + timedelta(seconds=100)), transaction.atomic():
        assert batches.lock_owned([held], "w1").living == {held.batch_id}
    with at(NOW + timedelta(seconds=200)):
        batches.renew([held], "w1", 60)
    assert not held.lost
    with at(NOW + timedelta(seconds=259)), transaction.atomic():
        assert batches.lock_owned([held], "w1").living == {held.batch_id}
    with transaction.atomic():
        batches.statements().reset(held.batch_id, 1, held.size)
    batches.renew([held], "w1", 60)
    assert held.lost


def test_a_released_batch_is_due_again_and_burns_nothing():
    put()
    (held,) = lease()

    batches.release([held], "w1", NOW + timedelta(seconds=5))

    assert lease() == []
    with at(NOW + timedelta(seconds=5)):
        (again,) = lease(owner="w2")
    assert (again.fence, again.takeovers) == (2, 0)


def test_a_batch_with_an_open_journal_is_not_released():
    put()
    (held,) = lease()
    assert batches.journal_one(held, 2, "w1")

    batches.release([held], "w1")

    row = DeliveryBatch.objects.get(pk=held.batch_id)
    assert (row.owner, row.journal) == ("w1", "2")


def test_journals_are_written_set_wise_and_finished_batches_deleted():
    put(keys=[1])
    put(keys=[2])
    held = lease()
    held[0].journal, held[1].journal = {1}, {2}
    with transaction.atomic():
        batches.lock_owned(held, "w1")
        batches.write_journals(held)
    assert set(DeliveryBatch.objects.values_list("journal", flat=True)) == {"1", "2"}

    held[0].open_keys.clear()
    batches.close_stale(held, "w1")

    assert list(DeliveryBatch.objects.values_list("pk", flat=True)) == [held[1].batch_id]


def test_sources_are_listed_once_each():
    for source in ("b", "a", "b", "c"):
        put(source=source)

    put(source="a", lane=Lane.BULK)

    found = batches.find_due([Lane.CRITICAL, Lane.DEFAULT])

    assert found == {Lane.DEFAULT: ["a", "b", "c"]}


def test_keys_are_packed_as_runs():
    assert pack_keys([5, 3, 4, 9]) == "3-5,9"
    assert pack_keys([]) == ""


def test_many_sources_whose_batches_wait_for_their_time_hide_none_that_is_due():
    later = NOW + timedelta(days=1)
    batches.insert(
        [NewBatch("default", "email", f"key:{n:04}", later, [n]) for n in range(1, 1_001)]
    )
    due = put(source="key:2000")

    assert [held.batch_id for held in lease()] == [due]


def test_a_lane_may_lease_what_is_due_free_and_carried_with_others():
    def may(**stopped):
        given = {"without_channels": (), "without_sources": (), **stopped}
        return batches.may_lease(Lane.DEFAULT, **given, now=NOW)

    put(isolated=True)
    assert batches.is_due(Lane.DEFAULT, now=NOW)
    assert not may()
    put()
    assert may()
    assert not may(without_channels=["email"])
    assert not may(without_sources=["key:1"])
    lease()
    assert not may()
    lease(isolated=True)
    assert not batches.is_due(Lane.DEFAULT, now=NOW)


def test_the_next_batch_that_is_free_falls_due():
    put(due=NOW + timedelta(seconds=9))
    put(due=NOW + timedelta(seconds=5), source="key:2")
    later = NOW + timedelta(seconds=5)
    assert batches.next_due([Lane.DEFAULT], now=NOW) == later
    with at(later):
        lease()
    assert batches.next_due([Lane.DEFAULT], now=NOW) == NOW + timedelta(seconds=9)


def test_one_message_is_journalled_under_a_living_lease_alone():
    put(keys=[1, 2])
    (held,) = lease()
    assert batches.journal_one(held, 1, "w1")
    assert held.journal == {1}
    DeliveryBatch.objects.update(fence=99)
    assert not batches.journal_one(held, 2, "w1")
    assert held.journal == {1}
    assert DeliveryBatch.objects.get().journal == pack_keys([1])


@pytest.mark.django_db(transaction=True)
@pytest.mark.skipif("connection.vendor != 'sqlite'", reason="PostgreSQL takes them at once")
def test_batches_are_chosen_and_taken_in_one_transaction(monkeypatch):
    """Or two workers would choose the same ones."""
    put()
    module = batches.statements()
    states = []
    real = module.raw

    def raw():
        states.append(connection.in_atomic_block)
        return real()

    monkeypatch.setattr(module, "raw", raw)
    assert len(lease()) == 1
    assert states[-2:] == [True, True]
