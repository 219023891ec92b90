"""A burst of unread: what follows several unread notifications is one mail."""

from __future__ import annotations

from datetime import timedelta

import pytest

from notifications.features.inbox import actions
from notifications.features.upkeep.digests import close_due
from notifications.models import (
    ChangeKind,
    DigestBucket,
    Notification,
    NotificationCategoryPreference,
    NotificationMessage,
    SandboxMessage,
)
from notifications.queue import batches
from notifications.queue.leases import NewBatch
from tests.integration.factories import make_template, make_user
from tests.integration.preferences.conftest import events, message, send, work

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("stopped", "template")]
HOUR, MINUTE = 3600, 60


@pytest.fixture
def template():
    return make_template()


@pytest.fixture
def user():
    return make_user()


def unread(user, *, after_s=HOUR, channel="email", **more):
    """A notification that arrived, and that goes on by mail when no one reads it."""
    options = {"fallback": [channel], "fallback_after_s": after_s, **more.pop("options", {})}
    response = send(user, channel="in_app", options=options, **more)
    work()
    return response


def forward(clock, seconds):
    """Lets time pass, and does what is due."""
    clock.forward(seconds)
    work()
    close_due(now=clock.now)
    work()


def mails():
    """The subjects of the mails that went out."""
    rows = SandboxMessage.objects.filter(channel="email").order_by("id")
    return [stored.content["body"] for stored in rows]


def test_what_falls_due_together_is_one_mail(user, frozen):
    first, second, third = (unread(user) for _ in range(3))

    forward(frozen, HOUR)
    assert [message(each).status for each in (first, second, third)] == ["digested"] * 3
    assert mails() == []
    forward(frozen, MINUTE)

    (mail,) = mails()
    assert "3" in mail
    digest = Notification.objects.get(source="digest")
    assert DigestBucket.objects.get().notification_id == digest.pk
    assert events(second) == [("fallback", "in_app:unread"), ("digested", "burst")]
    forward(frozen, HOUR)
    assert len(mails()) == 1


def test_one_that_is_alone_does_not_wait(user, frozen):
    alone = unread(user)
    unread(make_user())

    forward(frozen, HOUR)

    assert message(alone).status == "sent"
    assert not DigestBucket.objects.exists()


def test_it_waits_for_the_last_of_its_window_and_no_longer(user, frozen):
    first = unread(user)
    frozen.forward(3 * MINUTE)
    second = unread(user)
    frozen.forward(4 * MINUTE)
    late = unread(user)

    forward(frozen, HOUR - 7 * MINUTE)
    assert events(first)[-1] == ("deferred", "burst_window")
    assert message(first).scheduled_at == message(second).scheduled_at
    forward(frozen, 3 * MINUTE)
    assert [message(each).status for each in (first, second)] == ["digested"] * 2
    forward(frozen, MINUTE)
    assert len(mails()) == 1
    forward(frozen, 3 * MINUTE)
    assert message(late).status == "sent"
    assert len(mails()) == 2


def test_a_short_wait_leaves_time_for_others(user, frozen):
    first = unread(user, after_s=10)
    forward(frozen, 10)
    assert events(first)[-1] == ("deferred", "burst_window")
    frozen.forward(2 * MINUTE)
    second = unread(user, after_s=10)
    forward(frozen, 10)
    assert message(second).scheduled_at == message(first).scheduled_at

    forward(frozen, 170)
    forward(frozen, MINUTE)

    assert [message(each).status for each in (first, second)] == ["digested"] * 2
    assert len(mails()) == 1


def test_one_that_stays_alone_goes_after_the_window(user, frozen):
    alone = unread(user, after_s=10)
    forward(frozen, 10)
    forward(frozen, 5 * MINUTE)

    assert message(alone).status == "sent"
    assert len(mails()) == 1


def test_what_is_read_meanwhile_is_not_sent(user, frozen):
    first, second = unread(user, after_s=10), unread(user, after_s=10)
    forward(frozen, 10)
    actions.act(user.pk, [Notification.objects.get(uuid=first.id).pk], ChangeKind.READ)

    forward(frozen, 5 * MINUTE)

    assert message(first).status == "suppressed"
    assert message(second).status == "sent"


@pytest.mark.parametrize("priority", ["critical", "high"])
def test_urgent_ones_are_never_held(user, frozen, priority):
    urgent = [unread(user, priority=priority, after_s=10) for _ in range(2)]
    others = [unread(user, after_s=10) for _ in range(2)]

    forward(frozen, 10)

    assert [message(each).status for each in urgent] == ["sent", "sent"]
    assert [message(each).status for each in others] == ["pending", "pending"]


def test_one_that_would_expire_goes_alone(user, frozen):
    ends_at = frozen.now + timedelta(seconds=HOUR + 2)
    brief = unread(user, expires_at=ends_at.isoformat())
    unread(user)

    forward(frozen, HOUR)

    assert message(brief).status == "sent"


def test_who_wants_no_digests_gets_each_by_itself(user, frozen):
    NotificationCategoryPreference.objects.create(user=user, category="digest", email_enabled=False)
    both = [unread(user), unread(user)]

    forward(frozen, HOUR)

    assert [message(each).status for each in both] == ["sent", "sent"]


def test_a_fallback_after_a_failure_joins_none(user, frozen):
    """Only what no one read is part of a burst."""
    waiting = unread(user, after_s=10)
    other = send(user, channel="sms", options={"fallback": ["email"], "fallback_after_s": 10})
    work()
    forward(frozen, 10)

    assert events(other) == [("fallback", "sms:no_contact_point"), ("sent", "sandbox")]
    assert message(waiting).status == "pending"


def test_the_window_can_be_turned_off(user, frozen, override_environment):
    override_environment(fallback_burst_seconds=0)
    both = [unread(user), unread(user)]

    forward(frozen, HOUR)

    assert [message(each).status for each in both] == ["sent", "sent"]


def test_each_channel_has_its_own_burst(user, frozen):
    mail, push = unread(user), unread(user, channel="push")

    forward(frozen, HOUR)

    assert message(mail).status == "sent"
    assert events(push, "push")[-1] == ("suppressed", "no_contact_point")


def test_two_workers_make_one_digest(user, frozen):
    """The second sees what the first folded, in its open digest."""
    first, second = unread(user), unread(user)
    later = NotificationMessage.objects.filter(pk=message(second).pk)
    later.update(batch_id=None)  # another worker has it
    frozen.forward(HOUR)
    work()
    assert message(first).status == "digested"
    (batch_id,) = batches.insert(
        [NewBatch("default", "email", "users", frozen.now, [later.get().pk])]
    )
    later.update(batch_id=batch_id)
    work()

    assert message(second).status == "digested"
    assert DigestBucket.objects.count() == 1
