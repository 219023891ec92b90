"""A database error at every single call of a slice's way: the worker goes on, all is sent once."""

from __future__ import annotations

import asyncio
import os
from collections import Counter
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.db import OperationalError, connection

from notifications.domain.messages import SendResult, Verdict
from notifications.engine import lease_driver, recorder, runs, worker
from notifications.engine.worker import Worker
from notifications.models import DeadLetter, DeliveryBatch, MessageEvent, NotificationMessage
from notifications.models.operations.installation import InstallationStateManager
from notifications.queue import heartbeat
from tests.integration.factories import make_messages, make_user
from tests.integration.faults.injection import Faults, install

PROOF = bool(os.environ.get("CARILLON_PROOF"))
pytestmark = [
    pytest.mark.django_db(transaction=True),
    *([pytest.mark.proof] if PROOF else []),
]
SHARE = 1 if PROOF else 6
"""Of all calls, one in so many fails in the short form; which ones, the case's number says."""
MOST_CALLS = 400
LONGEST_S = 60


class CountingCalls:
    """Hands over to anonymous, and counts."""

    def __init__(self) -> None:
        self.sent: Counter[int] = Counter()

    async def send(self, _provider: str, messages: Any, *, on_results: Any, **_: Any) -> None:
        self.sent.update(message.message_id for message in messages)
        await asyncio.sleep(0)
        on_results(messages, [SendResult(Verdict.SENT) for _ in messages])

    async def close(self) -> None: ...


@pytest.fixture
def faults(monkeypatch: Any, override_environment: Any) -> Faults:
    for module, name in (
        (worker, "_DB_PAUSE_S"),
        (worker, "_CHECK_S"),
        (lease_driver, "RETRY_S"),
        (heartbeat, "_RETRY_S"),
        (recorder, "RETRY_S"),
        (recorder, "GATHER_S"),
        (runs, "_LOCKED_S"),
    ):
        monkeypatch.setattr(module, name, 0.001)
    override_environment(
        email_provider="smtp",
        rate_limits=("smtp=50000/s",),
        poll_seconds=0.01,
        email_domain_limits=(),
    )
    injected = Faults()
    install(monkeypatch, injected)
    connection.close()  # it is opened again, with the faulty driver
    return injected


def work_through(faults: Faults, monkeypatch: Any) -> list[int]:
    """Delivers mails, an inbox message and one that is carried alone; returns the mails' keys."""
    user = make_user()
    mails = make_messages(3, user=user)
    make_messages(2, user=user, channel="in_app")
    (alone,) = make_messages(1, user=user, source="key:2")
    DeliveryBatch.objects.filter(pk=alone.batch_id).update(isolated=True, takeovers=2)
    handover = CountingCalls()
    monkeypatch.setattr(worker, "ProviderCalls", lambda: handover)
    member = Worker()
    faults.calls.clear()

    async def work() -> None:
        async with asyncio.timeout(LONGEST_S):
            await member.main(once=True)

    async_to_sync(work)()
    assert member.dispatcher.permits.used == 0
    keys = [message.pk for message in (*mails, alone)]
    assert handover.sent == dict.fromkeys(keys, 1)
    return keys


def check_all_is_sent_once() -> None:
    messages = NotificationMessage.objects.values_list("channel", "status", "attempts")
    assert Counter(messages) == {("email", "sent", 1): 4, ("in_app", "delivered", 1): 2}
    assert not DeliveryBatch.objects.exists()
    assert not DeadLetter.objects.exists()
    assert not MessageEvent.objects.filter(kind="uncertain").exists()


@pytest.mark.parametrize("after", [False, True], ids=["fails", "answer-lost"])
def test_an_error_at_every_call_of_a_slices_way(
    faults: Faults, monkeypatch: Any, after: bool
) -> None:
    faults.after = after
    work_through(faults, monkeypatch)
    check_all_is_sent_once()
    calls = len(faults.calls)
    assert 30 < calls < MOST_CALLS
    for fail_at in range(1 + (SHARE // 2) * after, calls + 1, SHARE):
        NotificationMessage.objects.all().delete()
        DeliveryBatch.objects.all().delete()
        faults.fail_at = fail_at
        try:
            work_through(faults, monkeypatch)
            check_all_is_sent_once()
        except Exception as error:
            named = faults.calls[fail_at - 1] if len(faults.calls) >= fail_at else "none"
            error.add_note(f"call {fail_at} failed: {named[:300]}")
            raise


def test_an_error_while_the_state_is_read_does_not_end_the_worker(
    faults: Faults, monkeypatch: Any
) -> None:
    real, failures = InstallationStateManager.check_settled, [OperationalError("gone")] * 2

    def check(manager: InstallationStateManager) -> None:
        if failures:
            raise failures.pop()
        real(manager)

    monkeypatch.setattr(InstallationStateManager, "check_settled", check)
    work_through(faults, monkeypatch)
    check_all_is_sent_once()
    assert failures == []
