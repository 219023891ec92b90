"""The shared rows of limits and circuit breakers."""

from __future__ import annotations

import threading
from datetime import timedelta
from itertools import pairwise

import pytest
from django.db import connection

from notifications.domain.flow import OPEN_US, US, CallCounts, Rate
from notifications.models import ChatFlow, ProviderFlow
from notifications.models.providers.provider_flow import moment

pytestmark = pytest.mark.django_db
FLOWS = ProviderFlow.objects


@pytest.fixture(autouse=True)
def clock(frozen):
    """A clock that moves only when a test moves it."""
    return frozen


def claim(service="ses", count=3, *, owner="a", rate=None, **more):
    return FLOWS.claim(
        service, owner=owner, rate=rate, wanted=more.pop("wanted", [""] * count), **more
    )


def report(service="ses", *, owner="a", code="", **tally):
    return FLOWS.report(
        service, CallCounts(**tally), owner=owner, faults_to_open=5, open_us=OPEN_US, code=code
    )


def test_the_first_slot_of_a_new_service_comes_a_spacing_later():
    rate = Rate(10, 1)
    assert claim(rate=rate).waits == [rate.spacing_us * n for n in (1, 2, 3)]


def test_workers_share_one_row():
    rate = Rate(10, 1)
    first = claim(rate=rate, owner="a").waits
    second = claim(rate=rate, owner="b").waits
    assert second[0] == first[-1] + rate.spacing_us


def test_a_breaker_opens_and_closes_after_one_probe(clock):
    assert report(faults=5, code="timeout") == ("closed", "open")
    row = FLOWS.get(service="ses")
    assert row.last_fault_code == "timeout"
    assert row.last_fault_at == clock.now
    assert claim().count == 0
    assert FLOWS.troubled()["ses"] == (OPEN_US, 0)

    clock.forward(60)
    assert claim(owner="a").count == 1
    assert claim(owner="b").reason == "breaker_probing"
    assert FLOWS.troubled()["ses"] == (US, 0)
    assert report(owner="a", successes=1) == ("half_open", "closed")
    assert FLOWS.get(service="ses").last_success_at == clock.now
    assert FLOWS.troubled() == {}


def test_an_operator_may_close_a_breaker():
    report(faults=5)
    assert FLOWS.close("ses") is True
    assert claim().count == 3
    assert FLOWS.close("unknown") is False


def test_a_pause_is_reported_until_its_last_second(clock):
    report(successes=1, pause_us=10 * US)
    assert FLOWS.troubled() == {"ses": (0, 10 * US)}
    clock.forward(9.5)
    assert FLOWS.troubled() == {}


def test_chats_have_their_own_limits_and_are_deleted_when_idle(clock):
    rates = {"rate": Rate(30, 1), "chat_rate": Rate(1, 1)}
    first = claim("telegram", wanted=["x", "x", "y"], **rates)
    assert [wait is not None for wait in first.waits] == [True, False, True]
    assert claim("telegram", wanted=["x"], owner="b", **rates).count == 0
    clock.forward(2)
    assert claim("telegram", wanted=["x"], owner="b", **rates).count == 1
    assert ChatFlow.objects.count() == 2
    clock.forward(120)
    claim("telegram", wanted=["z"], **rates)
    assert list(ChatFlow.objects.values_list("chat", flat=True)) == ["z"]


def test_hosts_that_are_not_used_are_deleted(clock):
    report("webhook|old.example", successes=1)
    report("ses", successes=1)
    clock.forward(86_400)
    report("webhook|new.example", faults=1)
    report("webhook|open.example", faults=5)
    assert FLOWS.idle(FLOWS.all(), before=clock.now - timedelta(hours=1)).delete()[0] == 1
    assert set(FLOWS.values_list("service", flat=True)) == {
        "ses",
        "webhook|new.example",
        "webhook|open.example",
    }


def test_microseconds_are_a_time():
    assert moment(1_800_000_000_500_000).isoformat() == "2027-01-15T08:00:00.500000+00:00"


@pytest.mark.django_db(transaction=True)
@pytest.mark.skipif(connection.vendor == "sqlite", reason="SQLite has one writer")
@pytest.mark.parametrize("own", [None, Rate(100, 1)])
def test_four_workers_share_the_slots_of_a_domain(own):
    gmail, slots = Rate(20, 1), []

    def work(owner):
        for _ in range(10):
            grant = claim(
                "smtp",
                owner=owner,
                rate=own,
                wanted=["gmail.com", ""] * 5,
                chat_rate={"gmail.com": gmail},
            )
            slots.extend(wait for wait in grant.waits[::2] if wait is not None)
        connection.close()

    threads = [threading.Thread(target=work, args=(owner,)) for owner in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    slots.sort()
    gaps = [later - sooner for sooner, later in pairwise(slots)]
    assert min(gaps) >= gmail.spacing_us
    assert len(slots) <= US // gmail.spacing_us + 1
    assert len(slots) >= 15
