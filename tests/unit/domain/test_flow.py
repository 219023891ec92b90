"""Limits, pauses and breakers: the law of `domain/flow.py`."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from notifications.domain.flow import (
    CRITICAL_HORIZON_US,
    OPEN_US,
    PROBE_US,
    US,
    WINDOW_US,
    CallCounts,
    Flow,
    Rate,
    apply_report,
    claim,
    rate_of,
)

NOW = 1_800_000_000 * US


def most_in_any_window(times, window_us):
    times, most, first = sorted(times), 0, 0
    for last, at in enumerate(times):
        while times[first] <= at - window_us:
            first += 1
        most = max(most, last - first + 1)
    return most


def ask(flow, count, *, now=NOW, rate=None, owner="a", **more):
    return claim(flow, now=now, owner=owner, rate=rate, wanted=[""] * count, **more)


@pytest.mark.parametrize(
    ("text", "rate"),
    [("14/s", Rate(14, 1)), ("10000/min", Rate(10_000, 60)), ("500/h", Rate(500, 3600))],
)
def test_a_rate_is_read_and_written(text, rate):
    assert rate_of(text) == rate
    assert str(rate) == text


@pytest.mark.parametrize("text", ["", "off"])
def test_no_rate(text):
    assert rate_of(text) is None


@pytest.mark.parametrize("text", ["14", "0/s", "14/d", "-1/s", "1.5/s"])
def test_what_is_no_rate_says_how_to_write_one(text):
    with pytest.raises(ValueError, match="write 14/s"):
        rate_of(text)


@given(
    count=st.integers(1, 400),
    window_s=st.sampled_from([1, 60]),
    seed=st.integers(0, 2**31),
    workers=st.integers(1, 6),
)
def test_never_above_the_limit_in_any_window_however_late_and_however_many_ask(
    count, window_s, seed, workers
):
    rate, dice = Rate(count, window_s), random.Random(seed)
    flow, now, calls = Flow(next_at=NOW + rate.spacing_us), NOW, []
    for _ in range(150):
        flow, grant = ask(
            flow,
            dice.randint(1, 2 * count),
            now=now,
            rate=rate,
            owner=str(dice.randrange(workers)),
            horizon=dice.choice([US, CRITICAL_HORIZON_US]),
        )
        calls += [
            now + wait + dice.choice([0, rate.late_us, dice.randint(0, rate.late_us)])
            for wait in grant.waits
            if wait is not None
        ]
        now += dice.choice([1, rate.spacing_us, US // 2, window_s * US, 3 * window_s * US])

    assert most_in_any_window(calls, window_s * US) <= count


@pytest.mark.parametrize("text", ["1/s", "14/s", "30/s", "200/s", "10000/min"])
def test_a_limit_that_is_always_asked_for_is_used_to_95_percent(text):
    rate = rate_of(text)
    flow, now, calls = Flow(next_at=NOW), NOW, 0
    while now < NOW + 120 * US:
        flow, grant = ask(flow, 500, now=now, rate=rate)
        calls += grant.count
        now += max(1000, grant.retry_us)

    assert calls >= 0.95 * rate.count * 120 / rate.window_s


def test_a_cold_bucket_is_empty_and_an_idle_one_holds_a_single_call():
    rate = Rate(10, 1)
    flow, grant = ask(Flow(next_at=NOW - 3600 * US), 3, rate=rate)
    assert grant.waits == [0, rate.spacing_us, 2 * rate.spacing_us]
    assert flow.next_at == NOW + 3 * rate.spacing_us


def test_only_what_may_leave_within_a_second_gets_a_slot():
    rate = Rate(10, 1)
    _, grant = ask(Flow(next_at=NOW), 50, rate=rate)
    given = [wait for wait in grant.waits if wait is not None]
    assert len(given) == 10
    assert given[-1] <= US
    assert 0 < grant.retry_us <= US


def test_critical_reaches_past_what_the_others_have_taken():
    rate = Rate(10, 1)
    flow, _ = ask(Flow(next_at=NOW), 50, rate=rate)
    _, others = ask(flow, 1, rate=rate, owner="b")
    _, critical = ask(flow, 1, rate=rate, owner="b", horizon=CRITICAL_HORIZON_US)
    assert others.count == 0
    assert others.reason == "rate_limit"
    assert critical.count == 1
    assert critical.waits[0] <= CRITICAL_HORIZON_US


def test_a_chat_takes_one_call_a_second_and_holds_up_no_other_chat():
    flow, grant = claim(
        Flow(next_at=NOW),
        now=NOW,
        owner="a",
        rate=Rate(30, 1),
        wanted=["x", "x", "y", "x", "z"],
        chats={"z": NOW + US // 2},
        chat_rate=Rate(1, 1),
    )
    assert [wait is not None for wait in grant.waits] == [True, False, True, False, False]
    assert grant.chats == {
        "x": NOW + Rate(1, 1).spacing_us,
        "y": NOW + Rate(30, 1).spacing_us + Rate(1, 1).spacing_us,
    }
    assert flow.next_at == NOW + 2 * Rate(30, 1).spacing_us


def test_chats_that_must_wait_say_how_long():
    _, grant = claim(
        Flow(next_at=NOW),
        now=NOW,
        owner="a",
        rate=Rate(30, 1),
        wanted=["x"],
        chats={"x": NOW + 400_000},
        chat_rate=Rate(1, 1),
    )
    assert grant.retry_us == 400_000


def see(flow, *, now=NOW, owner="a", **tally):
    return apply_report(flow, CallCounts(**tally), now=now, owner=owner)


def opened():
    return see(Flow(), faults=5)


def test_five_faults_in_a_window_open_the_breaker_for_a_minute():
    flow = see(see(Flow(), faults=4), faults=1, owner="b")
    assert flow.state(NOW) == "open"
    assert flow.open_until == NOW + OPEN_US
    _, grant = ask(flow, 3, now=NOW + OPEN_US - 1)
    assert grant.waits == [None] * 3
    assert (grant.reason, grant.retry_us) == ("breaker_open", 1)


def test_faults_of_an_old_window_are_forgotten():
    flow = see(see(Flow(), faults=4), faults=1, now=NOW + WINDOW_US + 1)
    assert (flow.state(NOW), flow.faults) == ("closed", 1)


def test_a_service_that_fails_now_and_then_among_many_calls_stays_closed():
    flow = see(Flow(), successes=1000, faults=20)
    assert flow.state(NOW) == "closed"
    assert see(flow, faults=980).state(NOW) == "open"


def test_successes_alone_never_open_it():
    assert see(see(Flow(), faults=3, successes=2), successes=5).state(NOW) == "closed"


def test_one_call_probes_and_all_others_wait_for_it():
    now = NOW + OPEN_US
    flow, probe = ask(opened(), 5, now=now)
    assert probe.waits == [0, None, None, None, None]
    for owner in ("a", "b"):
        flow, other = ask(flow, 5, now=now + 1, owner=owner)
        assert other.count == 0
        assert (other.reason, other.retry_us) == ("breaker_probing", US)


def test_a_probe_that_succeeds_closes_and_one_that_fails_opens_again():
    now = NOW + OPEN_US
    flow, _ = ask(opened(), 1, now=now)
    assert see(flow, successes=1, now=now).state(now) == "closed"
    again = see(flow, faults=1, now=now)
    assert again.open_until == now + OPEN_US
    assert (again.probe_owner, again.probe_until) == ("", 0)


def test_a_prober_that_died_is_followed_by_another():
    now = NOW + OPEN_US
    flow, _ = ask(opened(), 1, now=now)
    flow, successor = ask(flow, 1, now=now + PROBE_US, owner="b")
    assert successor.count == 1
    assert flow.probe_owner == "b"


def test_a_probe_that_was_not_made_is_given_back():
    now = NOW + OPEN_US
    flow, _ = ask(opened(), 1, now=now)
    flow = see(flow, void=True, now=now)
    assert ask(flow, 1, now=now, owner="b")[1].count == 1


def test_what_was_in_the_air_when_it_opened_changes_nothing():
    flow = opened()
    assert see(flow, successes=3, owner="b") == flow
    assert see(flow, faults=3, owner="b") == flow


def test_a_wish_to_wait_pauses_everything_for_a_while_and_never_for_long():
    flow = see(Flow(), successes=1, pause_us=30 * US)
    _, grant = ask(flow, 2)
    assert grant.waits == [None, None]
    assert (grant.reason, grant.retry_us) == ("provider_pause", 29 * US)
    assert ask(flow, 1, now=NOW + 30 * US)[1].waits == [0]
    assert see(Flow(), pause_us=86_400 * US).next_at == NOW + 300 * US


def test_without_a_limit_everything_may_leave():
    assert ask(Flow(), 3)[1].waits == [0, 0, 0]


def test_domains_have_rates_of_their_own_and_others_pass_them():
    rate, gmail = Rate(100, 1), Rate(50, 1)
    flow, grant = claim(
        Flow(next_at=NOW),
        now=NOW,
        owner="a",
        rate=rate,
        wanted=["gmail.com", "gmail.com", "", "gmail.com", "", ""],
        chats={},
        chat_rate={"gmail.com": gmail},
    )
    # Slots 0 to 5: gmail.com's second and third call take the next slot that its own rate allows.
    spacing = rate.spacing_us
    assert grant.waits == [0, 2 * spacing, spacing, 4 * spacing, 3 * spacing, 5 * spacing]
    assert grant.chats == {"gmail.com": NOW + 4 * spacing + gmail.spacing_us}
    assert flow.next_at == NOW + 6 * spacing


def test_a_domain_that_must_wait_leaves_the_services_slots_to_others():
    flow, grant = claim(
        Flow(next_at=NOW),
        now=NOW,
        owner="a",
        rate=Rate(100, 1),
        wanted=["gmail.com"] * 3,
        chats={},
        chat_rate={"gmail.com": Rate(5, 1)},
    )
    assert grant.waits == [0, None, None]
    assert grant.retry_us == Rate(5, 1).spacing_us
    assert flow.next_at == NOW + Rate(100, 1).spacing_us


def test_without_a_limit_of_the_service_only_the_domains_wait():
    gmail = Rate(5, 1)
    flow, grant = claim(
        Flow(next_at=NOW),
        now=NOW,
        owner="a",
        rate=None,
        wanted=["gmail.com"] * 6 + ["", "slow.example"],
        chats={"slow.example": NOW + 3 * US},
        chat_rate={"gmail.com": gmail, "slow.example": Rate(1, 60)},
    )
    waits = [number * gmail.spacing_us for number in range(5)]
    assert grant.waits == [*waits, None, 0, None]
    assert grant.retry_us == 5 * gmail.spacing_us - US // 2
    assert flow == Flow(next_at=NOW)


@pytest.mark.parametrize("own", [Rate(14, 1), Rate(200, 1), None])
def test_no_window_holds_more_than_a_domain_may_get(own):
    limits = {"gmail.com": Rate(5, 1), "example.org": Rate(30, 60)}
    flow, chats, now = Flow(next_at=NOW), {}, NOW
    times = {name: [] for name in limits}
    for _ in range(300):
        wanted = ["gmail.com", "example.org", ""] * 3
        flow, grant = claim(
            flow, now=now, owner="a", rate=own, wanted=wanted, chats=chats, chat_rate=limits
        )
        chats |= grant.chats
        for name, wait in zip(wanted, grant.waits, strict=True):
            if name and wait is not None:
                times[name].append(now + wait)
        now += 100_000
    for name, rate in limits.items():
        window = rate.window_s * US
        for start in times[name]:
            # A call may be as late as its rate allows: the first on time, the last by all of that.
            inside = [at for at in times[name] if start <= at < start + window + rate.late_us]
            assert len(inside) <= rate.count
        assert len(times[name]) >= 0.75 * rate.count * 30 / rate.window_s


def test_an_open_breaker_says_how_long_it_stays_so():
    """Also in the first minute of a clock, where a moment is no multiple of another."""
    assert ask(Flow(open_until=50), 1, now=20)[1].retry_us == 30
