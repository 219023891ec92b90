"""A broadcast with a limit of its own for each minute."""

from __future__ import annotations

from typing import Any

import pytest

from notifications.domain.callers import Caller
from notifications.domain.errors import InvalidRequest
from notifications.features.broadcasts.copy import duplicate
from notifications.features.broadcasts.service import BroadcastWorkflow
from notifications.infra import clock
from notifications.models import Broadcast, NotificationMessage
from tests.integration.broadcasts.factories import maintain, make_people

pytestmark = pytest.mark.django_db
CALLER = Caller(name="key:1", is_service=True, scopes=frozenset({"broadcasts"}))


def body(**values: Any) -> dict[str, Any]:
    return {
        "target_group": "custom",
        "target_filter": {"user_ids": make_people(3)},
        "message": "Snow",
        "channels": ["in_app"],
        **values,
    }


def test_no_more_recipients_a_minute_than_it_allows(frozen: Any) -> None:
    done = BroadcastWorkflow().create(
        body=body(per_minute=12, send_immediately=True), caller=CALLER, now=clock.now()
    )
    row = Broadcast.objects.get(pk=done.data.id)
    assert done.data.per_minute == 12
    assert NotificationMessage.objects.count() == 1
    maintain(row)
    assert NotificationMessage.objects.count() == 1
    for expected in (2, 3):
        frozen.forward(5)
        maintain(row)
        assert NotificationMessage.objects.count() == expected


def test_a_change_a_copy_and_a_dry_run_know_it() -> None:
    flow = BroadcastWorkflow()
    key = flow.create(body=body(per_minute=1), caller=CALLER, now=clock.now()).data.id
    assert duplicate(key, caller=CALLER, now=clock.now()).data.per_minute == 1
    dry = flow.dry_run(key, caller=CALLER, now=clock.now()).data
    assert dry.estimated_duration_seconds == 180
    changed = flow.change(key, body={"per_minute": None}, caller=CALLER, now=clock.now())
    assert changed.data.per_minute is None


@pytest.mark.parametrize("wrong", [0, -1, 1_000_001, 2.5, "6", True])
def test_a_wrong_limit_is_an_error(wrong: object) -> None:
    with pytest.raises(InvalidRequest) as caught:
        BroadcastWorkflow().create(body=body(per_minute=wrong), caller=CALLER, now=clock.now())
    assert [each.path for each in caught.value.errors] == ["per_minute"]
