"""Facts and contents of notifications: what is due goes, and everything else stays."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from notifications.features.retention import walks
from notifications.features.retention.service import RetentionService
from notifications.models import (
    Broadcast,
    Category,
    DeadLetter,
    DeliveryAttempt,
    LegalHold,
    Notification,
    NotificationMessage,
    RetentionLeftover,
    RetentionProgress,
    SandboxMessage,
)
from notifications.models.fields import EMPTIED
from tests.integration.retention.rows import add_message, counts, dead_letter, old_notification

pytestmark = pytest.mark.django_db
DAY = timedelta(days=1)
FACTS, CONTENTS = 396 * DAY, 30 * DAY


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: Any) -> None:
    monkeypatch.setattr("notifications.infra.ports.sleep", lambda _seconds: None)


def run(frozen: Any) -> dict[tuple[str, str], int]:
    """Runs a round and returns its rows by rule and table."""
    lines = RetentionService().run(seconds=1_000, now=frozen.now)
    return {(line.rule, line.table.removeprefix("notifications_")): line.rows for line in lines}


def keys() -> set[int]:
    return set(Notification.objects.values_list("pk", flat=True))


def is_emptied(notification: Notification) -> bool:
    row = Notification.objects.get(pk=notification.pk)
    message = NotificationMessage.objects.filter(notification=row).first()
    raw = Notification.objects.filter(pk=row.pk, text=None, context=EMPTIED)
    return raw.exists() and message is not None and message.content is None


def test_an_old_notification_goes_with_all_rows_of_its_messages(frozen: Any) -> None:
    old = old_notification(frozen.now - FACTS - DAY, statuses=("delivered", "failed"))
    dead_letter(old, frozen.now - FACTS, resolved=True)
    young = old_notification(frozen.now - FACTS + DAY)

    done = run(frozen)

    assert keys() == {young.pk}
    assert done["facts", "notification"] == 1
    assert done["facts", "notificationmessage"] == 2
    assert done["facts", "deliveryattempt"] == 2
    assert done["facts", "messageevent"] == 2
    assert counts() == {
        "Notification": 1,
        "NotificationMessage": 1,
        "DeliveryAttempt": 1,
        "MessageEvent": 1,
        "LateOutcome": 1,
        "SandboxMessage": 0,  # it is only content
        "DeadLetter": 0,
    }


def test_contents_are_emptied_and_facts_stay(frozen: Any) -> None:
    old = old_notification(frozen.now - CONTENTS - DAY)
    dead_letter(old, frozen.now - CONTENTS, resolved=True)
    young = old_notification(frozen.now - CONTENTS + DAY)

    run(frozen)

    assert is_emptied(old)
    assert not is_emptied(young)
    assert DeliveryAttempt.objects.get(message_id=old.pk).response is None
    assert DeliveryAttempt.objects.get(message_id=young.pk).response == {"raw": "250 ok"}
    assert DeadLetter.objects.get().last_result is None
    assert [row.message_id for row in SandboxMessage.objects.all()] == [young.pk]
    emptied = Notification.objects.get(pk=old.pk)
    assert (emptied.title, emptied.message, emptied.data) == ("", "", {})
    assert run(frozen) == {}


@pytest.mark.parametrize("age", [FACTS, CONTENTS])
@pytest.mark.parametrize("status", ["pending", "uncertain"])
def test_what_has_not_ended_stays(frozen: Any, age: timedelta, status: str) -> None:
    old = old_notification(frozen.now - age - DAY, statuses=("delivered", status))
    before = counts()
    run(frozen)
    assert counts() == before
    assert not is_emptied(old)

    NotificationMessage.objects.filter(status=status).update(status="delivered")
    frozen.forward(2 * 86_400)
    run(frozen)
    assert is_emptied(old) if age == CONTENTS else keys() == set()


@pytest.mark.parametrize("age", [FACTS, CONTENTS])
def test_an_open_dead_letter_stays_with_its_message(frozen: Any, age: timedelta) -> None:
    old = old_notification(frozen.now - age - DAY, statuses=("failed",))
    letter = dead_letter(old, frozen.now - age, resolved=False)
    before = counts()
    run(frozen)
    assert counts() == before
    assert DeadLetter.objects.get().last_result == {"raw": "550"}

    DeadLetter.objects.filter(pk=letter.pk).update(resolved_at=frozen.now)
    frozen.forward(2 * 86_400)
    run(frozen)
    assert is_emptied(old) if age == CONTENTS else counts()["DeadLetter"] == 0


def test_the_age_counts_from_the_time_it_was_due(frozen: Any) -> None:
    old = frozen.now - FACTS - DAY
    ahead = old_notification(old, scheduled_at=frozen.now + 300 * DAY)
    behind = old_notification(old)
    run(frozen)
    assert keys() == {ahead.pk}
    assert behind.pk > ahead.pk

    frozen.forward((CONTENTS + 301 * DAY).total_seconds())
    run(frozen)
    assert is_emptied(ahead)
    frozen.forward(FACTS.total_seconds())
    run(frozen)
    assert keys() == set()


def test_a_scheduled_notification_that_waits_stays(frozen: Any) -> None:
    old_notification(frozen.now - FACTS - DAY, scheduled_status="pending", statuses=())
    run(frozen)
    assert len(keys()) == 1


def test_a_running_broadcast_keeps_its_notifications(frozen: Any) -> None:
    broadcast = Broadcast.objects.create(
        target_group="all", message="m", status="paused", messaged_done=True
    )
    old_notification(frozen.now - FACTS - DAY, source=f"broadcast:{broadcast.pk}")
    run(frozen)
    assert len(keys()) == 1

    Broadcast.objects.update(status="completed")
    frozen.forward(2 * 86_400)
    run(frozen)
    assert keys() == set()


def test_the_rows_of_a_user_under_a_legal_hold_stay(frozen: Any) -> None:
    held = old_notification(frozen.now - FACTS - DAY)
    old_notification(frozen.now - FACTS - DAY)

    LegalHold.objects.create(user_id=held.user_id, reason="case", actor="a", created_at=frozen.now)
    try:
        run(frozen)
        assert keys() == {held.pk}
        assert not is_emptied(held)
    finally:
        LegalHold.objects.all().delete()
    frozen.forward(2 * 86_400)
    run(frozen)
    assert keys() == set()


def test_a_category_may_have_a_retention_of_its_own(frozen: Any) -> None:
    Category.objects.filter(key="marketing").update(retention_days=3)
    Category.objects.filter(key="security").update(retention_days=3_650)
    made = {
        (key, days): old_notification(frozen.now - days * DAY, category=key).pk
        for days in (4_000, 1_000, 40, 4, 1)
        for key in ("marketing", "security", "payment")
    }
    run(frozen)
    gone = {name for name, key in made.items() if key not in keys()}
    assert gone == {
        *(("marketing", days) for days in (4_000, 1_000, 40, 4)),
        ("security", 4_000),
        ("payment", 4_000),
        ("payment", 1_000),
    }
    rows = Notification.objects.filter(context=EMPTIED)
    assert set(rows.values_list("pk", flat=True)) == {made["payment", 40]}


@pytest.mark.parametrize(("first", "then"), [(3_650, None), (None, 3_650), (None, 3), (3, None)])
def test_a_changed_retention_applies_to_old_rows_too(
    frozen: Any, first: int | None, then: int | None
) -> None:
    """No order of changes leaves rows behind that no position will reach."""
    days = Category.objects.filter(key="marketing")
    days.update(retention_days=first)
    made = {
        age: old_notification(frozen.now - age * DAY, category="marketing")
        for age in (1_000, 300, 10, 1)
    }
    stuck = old_notification(frozen.now - 1_001 * DAY, category="marketing", statuses=("pending",))
    run(frozen)
    days.update(retention_days=then)
    NotificationMessage.objects.filter(pk=stuck.pk).update(status="sent")
    frozen.forward(86_400 + 600)
    run(frozen)
    frozen.forward(600)
    run(frozen)

    limit = min(first or 396, then or 396)
    stays = {row.pk for age, row in made.items() if age + 1 < limit}
    assert keys() == (stays | {stuck.pk} if then == 3_650 else stays)


def test_keys_out_of_order_are_found(frozen: Any) -> None:
    """A young row below old ones is passed, and goes when it is due."""
    young = old_notification(frozen.now - DAY)
    old = old_notification(frozen.now - FACTS - DAY)
    run(frozen)
    assert old.pk not in keys()
    assert young.pk in keys()
    frozen.forward((CONTENTS + DAY).total_seconds())
    run(frozen)
    assert is_emptied(young)
    frozen.forward(FACTS.total_seconds())
    run(frozen)
    assert keys() == set()


def test_keys_that_a_broadcast_has_reserved_are_not_passed(frozen: Any) -> None:
    reserved = old_notification(frozen.now - FACTS - 2 * DAY)
    behind = old_notification(frozen.now - FACTS - DAY)
    broadcast = Broadcast.objects.create(target_group="all", message="m", status="paused")
    broadcast.recipients.create(recipient=reserved.user, notification_id=reserved.pk)
    run(frozen)
    assert keys() == {reserved.pk, behind.pk}
    Broadcast.objects.update(messaged_done=True, status="completed")
    frozen.forward(600)
    run(frozen)
    assert keys() == set()


def test_a_page_that_is_full_of_scheduled_rows_hides_nothing(frozen: Any, monkeypatch: Any) -> None:
    old = frozen.now - FACTS - DAY
    for _ in range(5):
        old_notification(old, scheduled_at=frozen.now + 90 * DAY)
    last = old_notification(old)
    walk = _facts(frozen)
    for _ in range(4):
        walk.step(2)
    assert last.pk not in keys()
    assert RetentionLeftover.objects.filter(rule="facts").count() == 3


def _facts(frozen: Any) -> walks.GroupWalk:
    from notifications.features.retention.walked_rules import WALKED

    plan = walks.RoundPlan(frozen.now, {})
    rule = WALKED[0]
    walks.category_positions(rule.name, rule.walk, plan)
    return walks.GroupWalk(rule.name, rule.walk, 0, plan)


def test_a_step_that_dies_changes_nothing_and_is_done_again(frozen: Any, monkeypatch: Any) -> None:
    for _ in range(3):
        old_notification(frozen.now - FACTS - DAY)
    before = counts()

    def die(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(walks.GroupWalk, "_save", die)
        with pytest.raises(KeyboardInterrupt):
            _facts(frozen).step(2)
    assert counts() == before
    assert RetentionProgress.objects.get(rule="facts").position == 0
    run(frozen)
    assert keys() == set()


def test_a_message_that_changes_during_the_step_stays(frozen: Any, monkeypatch: Any) -> None:
    """Its step is rolled back, and the next one sees the new state."""
    from notifications.features.retention import messages

    old = old_notification(frozen.now - FACTS - DAY)
    real = messages._delete

    def change_first(ended: Any, **more: Any) -> Any:
        NotificationMessage.objects.filter(pk=old.pk).update(status="pending")
        return real(ended, **more)

    with monkeypatch.context() as patch:
        patch.setattr(messages, "_delete", change_first)
        assert _facts(frozen).step(10).deleted == 0
    assert counts()["DeliveryAttempt"] == 1


def test_a_dry_run_says_what_a_run_does(frozen: Any) -> None:
    Category.objects.filter(key="marketing").update(retention_days=3)
    for age in (FACTS + DAY, CONTENTS + DAY, 4 * DAY, DAY):
        for category in ("payment", "marketing"):
            at = frozen.now - age
            made = old_notification(at, category=category, statuses=("failed", "sent"))
            dead_letter(made, at, resolved=True)
    old_notification(frozen.now - FACTS - DAY, statuses=("uncertain",))
    old_notification(frozen.now - FACTS - DAY, scheduled_at=frozen.now)
    before = counts()
    planned = RetentionService().dry_run(now=frozen.now)
    assert counts() == before
    assert not RetentionProgress.objects.exists()

    done = RetentionService().run(seconds=1_000, now=frozen.now)
    assert planned == done
    assert RetentionService().dry_run(now=frozen.now) == []


def test_a_dry_run_counts_leftovers_that_are_due(frozen: Any) -> None:
    old = old_notification(frozen.now - FACTS - DAY, statuses=("uncertain",))
    run(frozen)
    NotificationMessage.objects.update(status="sent")
    add_message(old, "sent", frozen.now, 1)
    frozen.forward(2 * 86_400)
    planned = RetentionService().dry_run(now=frozen.now)
    assert planned == RetentionService().run(seconds=1_000, now=frozen.now)
    assert {line.table: line.rows for line in planned}["notifications_notificationmessage"] == 2


def test_a_cancelled_notification_goes_earlier_unless_something_is_open(frozen: Any) -> None:
    from notifications.features.scheduling.rescheduling import clean_up_cancelled

    at = frozen.now - 31 * DAY
    values: dict[str, Any] = {"scheduled_status": "cancelled", "cancelled_at": at}
    old_notification(at, statuses=("cancelled", "failed"), **values)
    uncertain = old_notification(at, statuses=("cancelled", "uncertain"), **values)
    letter = old_notification(at, statuses=("failed", "cancelled"), **values)
    dead_letter(letter, at, resolved=False)
    assert clean_up_cancelled(now=frozen.now) == {"deleted": 1}
    assert keys() == {uncertain.pk, letter.pk}
    assert counts()["DeliveryAttempt"] == 4
