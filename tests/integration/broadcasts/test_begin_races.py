"""A change that commits while a broadcast begins: it goes out as it is now, or not at all."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection, transaction

from notifications.domain.callers import Caller
from notifications.domain.errors import Conflict
from notifications.features.broadcasts import actions, service
from notifications.features.broadcasts.delivery import approval, launch, upkeep
from notifications.infra import clock
from notifications.models import Broadcast, BroadcastRecipient
from tests.integration.broadcasts.factories import make_broadcast, make_people
from tests.integration.lists.factories import make_list, make_subscriber
from tests.integration.races import PATIENCE_S, Other, other, wait_until_blocked_or_done

__all__ = ["other"]
LATER = timedelta(hours=1)
KEY = Caller(name="key:1", is_service=True, scopes=frozenset({"broadcasts"}))


def scheduled(**values: Any) -> Broadcast:
    return make_broadcast(status="scheduled", scheduled_at=clock.now(), **values)


def after(monkeypatch: pytest.MonkeyPatch, module: Any, name: str, change: Callable[[], Any]):
    """Commits a change once, right after the first call of a function."""
    real, changes = getattr(module, name), [change]

    def call(*given: Any, **named: Any) -> Any:
        found = real(*given, **named)
        if changes:
            changes.pop()()
        return found

    monkeypatch.setattr(module, name, call)


def write(made: Broadcast, **values: Any) -> None:
    Broadcast.objects.filter(pk=made.pk).update(**values)


CHANGES: dict[str, dict[str, Any]] = {
    "approval": {"status": "awaiting_approval"},
    "no time": {"status": "draft", "scheduled_at": None},
    "another time": {"scheduled_at": LATER},
    "another audience": {"target_group": "all_tutors"},
    "another filter": {"target_filter": {"role": "tutor"}},
}


def changed_by(name: str) -> dict[str, Any]:
    values = dict(CHANGES[name])
    if values.get("scheduled_at") is LATER:
        values["scheduled_at"] = clock.now() + LATER
    return values


@pytest.mark.django_db
class TestInOrder:
    @pytest.mark.parametrize("name", CHANGES)
    def test_a_round_begins_no_row_that_was_changed(self, monkeypatch, frozen, name):
        make_people(2)
        made, values = scheduled(), changed_by(name)
        after(monkeypatch, launch, "resolve_audience", lambda: write(made, **values))
        assert upkeep.begin_due(now=frozen.now) == 0
        assert Broadcast.objects.filter(pk=made.pk, job=None, sent_at=None, **values).exists()

    def test_it_begins_with_the_new_audience_in_the_next_round(self, monkeypatch, frozen):
        make_people(2)
        tutors = make_people(3, role="tutor", prefix="t")
        made = scheduled()
        after(
            monkeypatch, launch, "resolve_audience", lambda: write(made, target_group="all_tutors")
        )
        assert upkeep.begin_due(now=frozen.now) == 0
        assert upkeep.begin_due(now=frozen.now) == 1
        launch.continue_launch(made.pk)
        found = BroadcastRecipient.objects.values_list("recipient_id", flat=True)
        assert sorted(found) == tutors

    def test_one_that_needs_no_approval_now_is_not_sent_to_approval(
        self, monkeypatch, frozen, override_environment
    ):
        override_environment(broadcast_approval_threshold=1)
        make_people(2)
        made, later = scheduled(), frozen.now + LATER
        after(monkeypatch, approval, "resolve_audience", lambda: write(made, scheduled_at=later))
        assert upkeep.begin_due(now=frozen.now) == 0
        made.refresh_from_db()
        assert (made.status, made.scheduled_at) == ("scheduled", later)

    def test_a_launch_never_releases_what_awaits_approval(self, monkeypatch, frozen):
        make_people(2)
        made = make_broadcast()
        after(
            monkeypatch, launch, "resolve_audience", lambda: write(made, status="awaiting_approval")
        )
        with pytest.raises(Conflict, match="awaiting_approval"):
            actions.launch(made.pk, now=frozen.now)

    def test_a_launch_does_not_send_to_the_list_of_before(self, monkeypatch, frozen):
        found = make_list()
        make_subscriber(found)
        make_people(2)
        made = make_broadcast()
        to_list = {"target_group": "list", "target_filter": {"list_id": found.pk}}
        after(
            monkeypatch,
            launch,
            "resolve_audience",
            lambda: write(made, **to_list, list_id=found.pk),
        )
        with pytest.raises(Conflict) as caught:
            actions.launch(made.pk, now=frozen.now)
        assert caught.value.code == "broadcast_status"
        assert actions.launch(made.pk, now=frozen.now).list_id == found.pk

    def test_a_send_asks_for_the_approval_that_the_new_audience_needs(
        self, monkeypatch, frozen, override_environment
    ):
        override_environment(broadcast_approval_threshold=2)
        make_people(1)
        make_people(3, role="tutor", prefix="t")
        made = make_broadcast()
        after(
            monkeypatch,
            service,
            "resolve_audience",
            lambda: write(made, target_group="all_tutors"),
        )
        service.BroadcastWorkflow().send(made.pk, caller=KEY, now=frozen.now)
        made.refresh_from_db()
        assert made.status == "awaiting_approval"


@pytest.mark.django_db(transaction=True)
@pytest.mark.skipif(connection.vendor == "sqlite", reason="SQLite has one writer")
@pytest.mark.parametrize("name", CHANGES)
def test_a_round_waits_for_a_change_and_sees_it(other: Other, name: str) -> None:
    make_people(2)
    made, values = scheduled(), changed_by(name)
    now = clock.now()
    with transaction.atomic():
        write(made, **values)
        work = other.start(lambda: upkeep.begin_due(now=now))
        wait_until_blocked_or_done(work)
        assert not work.done()
    assert work.result(PATIENCE_S) == 0
    assert Broadcast.objects.filter(pk=made.pk, job=None, sent_at=None, **values).exists()
