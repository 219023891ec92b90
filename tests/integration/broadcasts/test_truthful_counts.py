"""A broadcast's counts and recipients show the true results."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from directory.models import User
from notifications.domain.broadcast_pace import eta_seconds
from notifications.domain.callers import SYSTEM
from notifications.domain.lifecycle import MessageStatus
from notifications.features.broadcasts.actions import cancel
from notifications.features.broadcasts.delivery import launch as broadcast_launch
from notifications.features.broadcasts.delivery.fold import reconcile
from notifications.features.broadcasts.delivery.progress import Progress, progress
from notifications.features.broadcasts.queries import recipient_page
from notifications.features.privacy.service import PrivacyService
from notifications.features.privacy.steps import erase_due
from notifications.infra import clock
from notifications.models import (
    Broadcast,
    BroadcastChange,
    BroadcastRecipient,
    DeliveryBatch,
    ItemFault,
    Notification,
    UserNotificationPreference,
    Work,
)
from tests.integration.broadcasts.factories import (
    deliver,
    launch,
    maintain,
    make_broadcast,
    make_people,
    settle_messages,
)
from tests.integration.factories import delete_row

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _stopped_clock(frozen: Any) -> None:
    """Time stands still."""


def shown(broadcast: Broadcast) -> Progress:
    found = progress(broadcast.pk, now=clock.now())
    parts = (
        found.sent_count,
        found.failed_count,
        found.pending_count,
        found.suppressed_count,
        found.uncertain_count,
        found.cancelled_count,
    )
    assert found.total_recipients == sum(parts)
    assert min(parts) >= 0
    return found


def by_api(key: int) -> None:
    PrivacyService().erase_user(identifier=key, reason="asked", caller=SYSTEM)
    erase_due(now=clock.now())  # waits where messages are not counted yet
    for row in Broadcast.objects.all():
        maintain(row)
    erase_due(now=clock.now() + timedelta(seconds=2))
    assert not User.objects.filter(pk=key).exists()


def by_row(key: int) -> None:
    delete_row(key)


def by_query(key: int) -> None:
    delete_row(key)


@pytest.mark.parametrize("delete", [by_api, by_row, by_query], ids=lambda each: each.__name__)
def test_deleted_users_stay_counted(delete: Callable[[int], None]) -> None:
    people = make_people(6)
    made = launch(make_broadcast())
    settle_messages(made, MessageStatus.SENT, people[:2])
    settle_messages(made, MessageStatus.FAILED, people[2:3])
    maintain(made)
    before = shown(made)

    for key in (people[0], people[2], people[5]):  # sent, failed, waiting
        delete(key)

    counted = shown(made)
    assert counted.sent_count == before.sent_count
    assert counted.failed_count == before.failed_count
    assert counted == before or delete is by_api
    assert reconcile(made.pk, now=clock.now()) == 0
    deliver()
    maintain(made)
    after = shown(made)
    assert (after.sent_count, after.failed_count) == (4, 1), after
    rows = recipient_page(made).results
    assert [row.user_id for row in rows] == people
    gone = rows[5]
    assert (gone.user_name, gone.email) == ("", "")
    if delete is by_api:  # the erasure cancels what waits, and deletes it
        assert gone.status == "cancelled", gone
        return
    assert (gone.status, gone.error_message) == ("suppressed", "user_inactive")


@pytest.mark.parametrize("aside", [False, True])
def test_an_erasure_waits_only_for_counts_of_the_person(aside: bool) -> None:
    people = make_people(3)
    made = launch(make_broadcast())
    settle_messages(made, MessageStatus.SENT, people[:2])
    maintain(made)
    keys = dict(Notification.objects.values_list("user_id", "pk"))
    changed = keys[people[0]] if aside else keys[people[1]]
    BroadcastChange.objects.append([(made.source, changed)])
    if aside:
        ItemFault.objects.create(
            work=Work.COUNT, item=made.pk, tries=3, set_aside=True,
            failed_at=clock.now(), next_at=clock.now(),
        )  # fmt: skip

    PrivacyService().erase_user(identifier=people[0], reason="asked", caller=SYSTEM)
    assert erase_due(now=clock.now()) == 1
    assert BroadcastChange.objects.filter(broadcast_id=made.pk).exists()


def test_an_erasure_waits_for_the_count_of_the_person() -> None:
    people = make_people(2)
    made = launch(make_broadcast())
    key = Notification.objects.get(user_id=people[0]).pk
    BroadcastChange.objects.append([(made.source, key)])
    PrivacyService().erase_user(identifier=people[0], reason="asked", caller=SYSTEM)
    assert erase_due(now=clock.now()) == 0
    assert User.objects.filter(pk=people[0]).exists()


def test_users_deleted_before_they_have_messages_stay_counted() -> None:
    people = make_people(3)
    made = make_broadcast()
    broadcast_launch.begin(made.pk, now=clock.now())
    assert broadcast_launch.write_snapshot(made.pk)
    by_row(people[1])

    assert broadcast_launch.continue_launch(made.pk)
    deliver()
    maintain(made)

    found = shown(made)
    assert (found.total_recipients, found.sent_count, found.suppressed_count) == (3, 2, 1)


def test_the_total_is_complete_from_the_launch_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(broadcast_launch, "SNAPSHOT_BATCH", 2)
    make_people(5)
    made = make_broadcast()
    broadcast_launch.begin(made.pk, now=clock.now())
    totals = [shown(made).total_recipients]
    while not broadcast_launch.write_snapshot(made.pk, until=0.0):
        totals.append(shown(made).total_recipients)
    totals.append(shown(made).total_recipients)

    assert set(totals) == {5}
    assert len(totals) > 3


def test_recipients_without_rows_yet_count_as_cancelled(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(broadcast_launch, "SNAPSHOT_BATCH", 2)
    make_people(5)
    made = make_broadcast()
    broadcast_launch.begin(made.pk, now=clock.now())
    assert not broadcast_launch.write_snapshot(made.pk, until=0.0)

    cancel(made.pk, now=clock.now())
    maintain(made)

    found = shown(made)
    assert (found.total_recipients, found.cancelled_count) == (5, 5)


def test_suppressed_recipients_have_a_reason() -> None:
    people = make_people(3)
    UserNotificationPreference.objects.create(user_id=people[0], in_app_enabled=False)
    UserNotificationPreference.objects.create(user_id=people[1], notifications_enabled=False)
    User.objects.filter(pk=people[2]).update(is_active=False)
    made = launch(make_broadcast(target_group="custom", target_filter={"user_ids": people}))
    deliver()
    maintain(made)

    rows = BroadcastRecipient.objects.filter(broadcast=made).order_by("recipient_id")
    reasons = {row.recipient_id: (row.state, row.error) for row in rows}
    assert reasons[people[0]] == ("suppressed", "channel_off")
    assert reasons[people[1]] == ("suppressed", "notifications_off")
    assert shown(made).error_summary == ""


def test_the_remaining_time_reaches_the_last_retry(frozen: Any) -> None:
    make_people(4)
    made = launch(make_broadcast())
    later = frozen.now + timedelta(seconds=300)
    DeliveryBatch.objects.filter(source=made.source).update(due_at=later)

    assert shown(made).eta_seconds == 300
    assert eta_seconds(100, 10.0, last_due_s=300) == 300
    assert eta_seconds(100, 0.1, last_due_s=300) == 1000
    assert eta_seconds(0, 0.0, last_due_s=300) == 0
    assert eta_seconds(5, 0.0) is None
