"""A retried broadcast repeats failed messages after 60, 120 and 240 s, and then no more."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from unittest.mock import patch

import pytest

from notifications.broadcast_batch import BroadcastBatchProcessor
from notifications.domain.lifecycle import MessageStatus
from notifications.domain.messages import SendResult, Verdict
from notifications.engine.settlement import settle
from notifications.features.broadcasts.delivery import fold as broadcast_fold
from notifications.features.broadcasts.queries import list_page
from notifications.infra import clock
from notifications.models import (
    Broadcast,
    BroadcastChange,
    BroadcastRecipient,
    NotificationMessage,
)
from notifications.services.broadcast import BroadcastService, send_broadcast_async
from tests.integration.broadcasts.factories import (
    launch,
    maintain,
    make_broadcast,
    settle_messages,
)
from tests.integration.factories import make_user
from tests.integration.preferences.conftest import work

pytestmark = pytest.mark.django_db


def fails(item: Any, result: SendResult, *, at: Any) -> Any:
    return settle(item, SendResult(Verdict.RETRY, error="away", error_code="away"), at=at)


def failed_broadcast() -> Broadcast:
    person = make_user(role="student").pk
    made = launch(make_broadcast(channels=["email"]))
    settle_messages(made, MessageStatus.FAILED, [person], error="away")
    return maintain(made)


def waits(frozen: Any, seconds: tuple[float, ...]) -> None:
    """Checks that each attempt fails, and that the next comes after so many seconds."""
    with patch("notifications.engine.settlement.settle", fails):
        for pause in seconds:
            assert work() == 1
            message = NotificationMessage.objects.get()
            assert message.status == "pending"
            assert message.scheduled_at == clock.now() + timedelta(seconds=pause)
            frozen.forward(pause - 1)
            assert work() == 0
            frozen.forward(1)
        assert work() == 1
    message = NotificationMessage.objects.get()
    assert (message.status, message.attempts) == ("failed", 1 + len(seconds))


def test_a_retry_waits_as_documented_and_ends_after_the_third_attempt(frozen: Any) -> None:
    made = failed_broadcast()
    assert BroadcastService.retry_failed(made.pk)["retried_count"] == 1
    send_broadcast_async(made.pk, only_failed=True)
    waits(frozen, (60, 120, 240))
    assert maintain(made).status == "failed"
    assert BroadcastRecipient.objects.get().retries == 1


def test_a_recipient_is_retried_three_times_at_most(frozen: Any) -> None:
    made = failed_broadcast()
    for count in (1, 1, 1, 0):
        assert BroadcastService.retry_failed(made.pk)["retried_count"] == count
        if count:
            send_broadcast_async(made.pk, only_failed=True)
            waits(frozen, (60, 120, 240))
            maintain(made)


def test_the_workers_repeat_the_messages_of_a_retry_three_times() -> None:
    assert send_broadcast_async.max_retries == 3
    assert BroadcastBatchProcessor.MAX_RETRIES == 3


@pytest.mark.parametrize("search", ["SNOW", "snow", "Snow", "СНЕГ", "снег"])
def test_a_search_ignores_case(search: str) -> None:
    wanted = make_broadcast(message="Snow everywhere; Снег везде")
    make_broadcast(message="Rain")
    assert [row.id for row in list_page(search=search).results] == [wanted.pk]


def test_a_broadcast_that_is_set_aside_delays_the_count_of_no_other(
    frozen: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    aside, other = make_broadcast(), make_broadcast()
    BroadcastChange.objects.append([(f"broadcast:{made.pk}", 1) for made in (aside, other)])
    monkeypatch.setattr(broadcast_fold.Items, "waiting", {aside.pk})
    monkeypatch.setattr(broadcast_fold, "_fold_all", lambda *_, **__: True)
    assert broadcast_fold.fold_changes(now=clock.now()) == {other.pk}
