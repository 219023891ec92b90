"""Notifications and messages have the documented fields, for values and queries."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from notifications.domain.callers import SYSTEM
from notifications.infra import clock
from notifications.models import Notification, NotificationMessage
from notifications.scheduler import NotificationScheduler
from notifications.services import NotificationService
from tests.integration.factories import delete_row, make_messages, make_template, make_user

pytestmark = pytest.mark.django_db
rows = Notification.objects


def test_a_notification_can_be_created_from_documented_fields() -> None:
    user = make_user()
    data = {"course": 7}
    made = rows.create(recipient=user, title="T", message="M", data=data, type="course")
    found = rows.get(pk=made.pk)
    assert (found.recipient, found.user, found.recipient_id) == (user, user, user.pk)
    assert (found.title, found.message, found.data) == ("T", "M", data)
    assert (found.scheduled_status, found.is_sent, found.sent_at) == ("pending", False, None)
    assert found.category.key == "system"


def test_users_are_found_by_both_field_names() -> None:
    user, other = make_user(last_name="Byron"), make_user()
    (mine, his) = (rows.create(recipient=each, title="T", message="M") for each in (user, other))
    assert list(rows.filter(recipient=user)) == [mine]
    assert list(rows.filter(recipient_id=user.pk)) == [mine]
    assert list(rows.filter(recipient=user.pk, scheduled_status="pending")) == [mine]
    assert list(rows.filter(recipient__last_name="Byron")) == [mine]
    assert list(rows.exclude(recipient=user)) == [his]
    assert rows.select_related("recipient").get(pk=his.pk).recipient == other
    assert list(rows.order_by("-recipient__pk")) == [his, mine]
    his.recipient = user
    his.save()
    assert rows.get(pk=his.pk).user == user
    his.recipient_id = other.pk
    assert his.user == other
    delete_row(user.pk)
    assert rows.count() == 2  # the sent message stays


def test_a_scheduled_notification_has_its_text_and_its_state(frozen: Any) -> None:
    scheduler = NotificationScheduler()
    at = clock.now() + timedelta(hours=1)
    words = ("Exam", "At nine", at, "course", "normal", {"seat": 4})
    (key,) = scheduler.schedule_notification([make_user()], *words)
    found = rows.get(pk=key)
    assert (found.title, found.message, found.data) == ("Exam", "At nine", {"seat": 4})
    assert (found.is_sent, found.sent_at) == (False, None)
    assert scheduler.send_scheduled_notification(key)
    found = rows.get(pk=key)
    assert (found.is_sent, found.sent_at) == (True, clock.now())
    status = scheduler.get_schedule_status(key)
    assert status is not None
    assert [status[name] for name in ("title", "is_sent", "sent_at")] == [
        found.title,
        found.is_sent,
        found.sent_at,
    ]


def test_a_cancelled_notification_is_not_sent() -> None:
    (message,) = make_messages(1, status="sent")
    assert message.notification.is_sent
    rows.update(scheduled_status="cancelled")
    assert not rows.get().is_sent


def test_a_message_knows_its_template_and_its_notification_the_name() -> None:
    template = make_template()
    body = {
        "template_path": template.path,
        "user_id": make_user().pk,
        "channel": "email",
        "context": {"amount": 5},
    }
    response = NotificationService().send(body=body, caller=SYSTEM)
    message = NotificationMessage.objects.get(pk=response.id)
    assert message.template == template
    assert message.notification.scheduled_status is None  # it was not scheduled
    found = message.notification
    assert (found.title, found.message, found.data) == (template.name, "", {})
    (plain,) = make_messages(1)
    assert plain.template is None
