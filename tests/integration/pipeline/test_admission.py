"""Admission: what may leave, and what providers' answers do to them. Over the real rows."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
from asgiref.sync import async_to_sync, sync_to_async

from notifications.delivery import services
from notifications.delivery.services import block, service_of
from notifications.domain.channels import Lane
from notifications.domain.messages import SendResult, Verdict
from notifications.engine.admission import Admission
from notifications.engine.prepare import prepare
from notifications.engine.runs import keys_of
from notifications.engine.settlement import settle
from notifications.models import ProviderFlow
from notifications.models.providers.provider_flow import ChatFlow
from notifications.queue import batches
from tests.integration.factories import make_messages, make_user

pytestmark = pytest.mark.django_db
SENT = SendResult(Verdict.SENT)
FAULT = SendResult(Verdict.RETRY, error_code="connection")
DEAD_ADDRESS = SendResult(Verdict.FAILED, error_code="smtp_550", recipient_dead=True)
GREYLISTED = SendResult(Verdict.RETRY, error_code="smtp_451")
BUSY = SendResult(Verdict.RETRY, error_code="http_429", retry_after_s=30.0)


@pytest.fixture(autouse=True)
def _stopped_clock(frozen):
    """Time stands still."""


@pytest.fixture(autouse=True)
def _no_trouble():
    yield
    services.use_troubled({})


async def in_place(call, *args, **kwargs):
    return await sync_to_async(call)(*args, **kwargs)


def admission(owner="w"):
    return Admission(owner=owner, database=in_place)


def ready(count, channel="email"):
    make_messages(count, channel=channel, user=make_user())
    (lease,) = batches.lease(owner="w", lane="default", seconds=60)
    return prepare(channel, keys_of([lease])).ready


def admit(gate, items, lane=Lane.DEFAULT):
    return async_to_sync(gate.admit)(items, lane)


def see(gate, *results, provider="smtp", recipient="a@example.org"):
    async def reported():
        for result in results:
            gate.observe(provider, recipient, result)
        await gate.close()

    async_to_sync(reported)()


@pytest.fixture
def smtp(override_environment):
    override_environment(email_provider="smtp", rate_limits=("smtp=10/s",))


@pytest.fixture
def unlimited(override_environment):
    override_environment(email_provider="smtp", rate_limits=("smtp=off",))


def test_without_limit_and_trouble_no_row_is_asked(unlimited, django_assert_num_queries):
    items = ready(5)
    with django_assert_num_queries(0):
        assert admit(admission(), items) == (items, 0.0)


def test_a_limit_lets_through_what_may_leave_within_a_second(smtp):
    items = ready(30)
    going, wait_s = admit(admission(), items)
    assert len(going) == 9  # the bucket is cold: its first slot comes a spacing later
    assert 0 < wait_s <= 1
    times = [item.leaves_at for item in going]
    assert times == sorted(times)
    assert times[-1] - times[0] == pytest.approx(8 * 0.104, abs=0.001)
    assert ProviderFlow.objects.get().service == "smtp"


@pytest.mark.parametrize("own", ["smtp=off", "smtp=10/s"])
def test_a_domain_takes_its_share_and_holds_up_no_other(override_environment, own):
    override_environment(
        email_provider="smtp", rate_limits=(own,), email_domain_limits=("example.com=2/s",)
    )
    items = ready(6)
    others = [replace(item.outbound, recipient="a@example.net") for item in items[3:]]
    for item, other in zip(items[3:], others, strict=True):
        item.outbound = other
    going, wait_s = admit(admission(), items)
    assert [item.outbound.recipient for item in going].count("a@example.net") == 3
    assert 1 <= len(going) - 3 <= 2
    assert 0 < wait_s <= 1
    free = [item.leaves_at for item in going if item.outbound.recipient == "a@example.net"]
    assert all(free) == (own != "smtp=off")  # what no limit holds needs no slot
    (chat,) = ChatFlow.objects.all()
    assert chat.chat == "example.com"


def test_critical_may_reach_further(smtp):
    items = ready(30)
    admit(admission("a"), items)
    assert admit(admission("b"), items)[0] == []
    assert admit(admission("b"), items, Lane.CRITICAL)[0] != []


def test_faults_open_the_breaker_for_every_worker(unlimited):
    items = ready(3)
    see(admission("a"), *[FAULT] * 5)
    assert ProviderFlow.objects.get().last_fault_code == "connection"
    going, wait_s = admit(admission("b"), items)
    assert going == []
    assert wait_s == pytest.approx(60, abs=1)


@pytest.mark.parametrize("answer", [DEAD_ADDRESS, GREYLISTED, SENT])
def test_answers_about_recipients_never_count_against_the_service(unlimited, answer):
    items = ready(3)
    see(admission(), *[answer] * 20)
    assert ProviderFlow.objects.filter(open_until__gt=0).count() == 0
    assert admit(admission(), items)[0] == items


def test_a_wish_to_wait_pauses_the_service_and_is_no_fault(unlimited):
    items = ready(3)
    see(admission(), *[BUSY] * 20)
    row = ProviderFlow.objects.get()
    assert (row.faults, row.open_until) == (0, 0)
    going, wait_s = admit(admission(), items)
    assert going == []
    assert wait_s == pytest.approx(29, abs=1)


def test_one_message_probes_and_its_success_lets_the_others_go(unlimited, frozen):
    items = ready(5)
    see(admission("a"), *[FAULT] * 5)
    frozen.forward(60)
    block("smtp", 0)  # a minute passed on the worker's own clock, too
    assert admit(admission("a"), items)[0] == items[:1]
    assert [item.is_probe for item in items] == [True, False, False, False, False]
    assert admit(admission("b"), items)[0] == []
    see(admission("a"), SENT)
    assert admit(admission("b"), items)[0] == items


def test_a_probe_that_fails_burns_no_attempt_of_its_message(unlimited, frozen):
    items = ready(2)
    see(admission("a"), *[FAULT] * 5)
    frozen.forward(60)
    block("smtp", 0)
    admit(admission("a"), items)
    outcome = settle(items[0], FAULT, at=frozen.now)
    assert (outcome.status, outcome.attempts, outcome.attempt) == ("pending", 0, False)
    assert '"breaker_probe"' in outcome.trail
    assert settle(items[1], FAULT, at=frozen.now).attempts == 1


def test_a_dead_host_holds_up_no_other(override_environment):
    dead, well = "https://dead.example/hook", "https://well.example/hook"
    see(admission(), *[FAULT] * 5, provider="webhook", recipient=dead)
    assert services.blocked_s(service_of("webhook", dead)) > 0
    assert services.blocked_s(service_of("webhook", well)) == 0
    assert services.blocked_channels() == []


def test_a_channel_whose_provider_is_held_is_not_leased(unlimited):
    see(admission(), *[FAULT] * 5)
    assert services.blocked_channels() == ["email"]


def test_workers_read_trouble_that_others_made(unlimited):
    see(admission("a"), *[FAULT] * 5)
    services.use_troubled({})
    assert services.blocked_channels() == []
    async_to_sync(admission("b").refresh)()
    assert services.blocked_channels() == ["email"]


def test_closing_tells_what_was_seen(unlimited):
    gate = admission()

    async def dispatch():
        gate.observe("smtp", "a@example.org", FAULT)
        await asyncio.sleep(0)
        await gate.close()

    async_to_sync(dispatch)()
    assert ProviderFlow.objects.get().faults == 1
