"""The hot statements change a status only as the table of transitions allows."""

from __future__ import annotations

import itertools

import pytest

from notifications.domain.lifecycle import MessageStatus, may_follow
from notifications.models import NotificationMessage
from notifications.models.delivery.hot import hot
from notifications.models.delivery.hot_rows import Change
from tests.integration.factories import make_messages

pytestmark = pytest.mark.django_db

OPEN = {MessageStatus.PENDING, MessageStatus.UNCERTAIN}


def test_a_result_changes_a_status_by_the_transition_table() -> None:
    pairs = list(itertools.product(MessageStatus, MessageStatus))
    messages = {
        pair: make_messages(1, in_batch=False, status=pair[0], batch_id=7)[0] for pair in pairs
    }
    expected = {
        messages[pair].pk for pair in pairs if pair[0] in OPEN and may_follow(pair[0], pair[1])
    }

    took = hot().apply_changes(_change(messages[pair].pk, pair[1]) for pair in pairs)

    assert took == expected
    for (current, target), message in messages.items():
        status = NotificationMessage.objects.get(pk=message.pk).status
        assert status == (target if message.pk in expected else current)


def _change(key: int, status: str) -> Change:
    empty = dict.fromkeys(Change._fields)
    given = {"id": key, "status": status, "attempts": 1, "trail": f'[{key},"x",""]'}
    return Change(**{**empty, **given, "from_batch": 7})
