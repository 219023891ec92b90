"""Rows for tests, made in one line each."""

from __future__ import annotations

import itertools
from typing import Any

from django.db.models import QuerySet

from directory.models import User
from notifications.models import (
    Category,
    Notification,
    NotificationMessage,
    NotificationTemplate,
    UserNotificationPreference,
)
from notifications.queue import batches
from notifications.queue.leases import NewBatch

_numbers = itertools.count(1)


def make_user(**values: Any) -> User:
    number = next(_numbers)
    values.setdefault("username", f"person{number}")
    values.setdefault("email", f"person{number}@example.com")
    values.setdefault("first_name", "Ada")
    if values.get("is_staff") or values.get("is_superuser"):
        values.setdefault("staff_role", "admin")
    return User.objects.create(**values)


def delete_row(user_id: int) -> None:
    """Deletes the row of a person, as the last step of an erasure does."""
    QuerySet.delete(User.objects.filter(pk=user_id))


def make_willing_user(**values: Any) -> User:
    """Somebody who has agreed to everything and wants every channel at once."""
    user = make_user(**values)
    UserNotificationPreference.objects.create(
        user=user, marketing_enabled=True, sms_enabled=True, data_processing_consent=True
    )
    return user


def make_template(path: str = "test.hello", **values: Any) -> NotificationTemplate:
    values.setdefault("name", path)
    values.setdefault("category", Category.objects.get(key="payment"))
    values.setdefault("supported_channels", ["in_app", "email", "push", "sms"])
    values.setdefault("required_variables", ["amount"])
    values.setdefault("in_app_template", "Hello\n\nHello {{ user.first_name }}: {{ amount }}")
    values.setdefault("email_subject_template", "About {{ amount }}")
    values.setdefault("email_body_template", "Hello {{ user.first_name }}: {{ amount }}")
    values.setdefault("push_template", "Hello {{ user.first_name }}: {{ amount }}")
    values.setdefault("sms_template", "{{ amount }} for {{ user.first_name }}")
    return NotificationTemplate.objects.create(path=path, **values)


def make_messages(
    count: int,
    *,
    channel: str = "email",
    category: str = "payment",
    lane: str = "default",
    source: str = "key:1",
    in_batch: bool = True,
    takeovers: int = 0,
    user: User | None = None,
    **values: Any,
) -> list[NotificationMessage]:
    """Pending messages with a plain text, together in one batch that is due now."""
    user = user or (make_willing_user() if category == "marketing" else make_user())
    category_id = Category.objects.get(key=category).pk
    made = []
    for _ in range(count):
        notification = Notification(
            user=user,
            category_id=category_id,
            source=source,
            text={"title": "Title", "message": "Body"},
            scheduled_status=None,
        )
        notification.save()
        made.append(
            NotificationMessage.objects.create(
                id=notification.pk,
                notification=notification,
                user=user,
                channel=channel,
                scheduled_at=notification.created_at,
                **values,
            )
        )
    if in_batch:
        keys = sorted(message.pk for message in made)
        (batch_id,) = batches.insert([NewBatch(lane, channel, source, None, keys, takeovers)])
        NotificationMessage.objects.filter(pk__in=keys).update(batch_id=batch_id)
        for message in made:
            message.batch_id = batch_id
    return made
