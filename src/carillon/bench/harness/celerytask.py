"""The baseline, as many services are built: one Celery task for each message, with the ORM."""

from __future__ import annotations

import functools
from collections.abc import Sequence

from celery import Celery
from django.conf import settings
from django.db import transaction
from django.utils import timezone
from jinja2.sandbox import SandboxedEnvironment

from directory.models import User
from notifications.domain.identifiers import public_id
from notifications.models import (
    Notification,
    NotificationMessage,
    NotificationTemplate,
    reserve_keys,
)

app = Celery("baseline", broker=settings.CELERY_BROKER_URL)
# Connections are reused between tasks: a new one each time would cost more than the work.
app.conf.update(
    task_ignore_result=True, worker_prefetch_multiplier=16, CELERY_DB_REUSE_MAX=1_000_000
)
_environment = SandboxedEnvironment(autoescape=True)
_compile = functools.cache(_environment.from_string)


@app.task(name="baseline.deliver")
def deliver(message_id: int) -> None:
    """Loads a message, renders it, and marks it sent."""
    message = NotificationMessage.objects.select_related("notification__user").get(pk=message_id)
    notification = message.notification
    template = NotificationTemplate.objects.get(path="bench.payment")
    user = notification.user
    context = {**(notification.context or {}), "user": {"first_name": user and user.first_name}}
    text = template.in_app_template.replace("|currency", "")  # this filter is Carillon's own
    message.content = {"body": _compile(text).render(context)}
    message.status = "sent"  # the baseline knows no lifecycle
    message.sent_at = timezone.now()
    message.save()


def accept(users: Sequence[User], count: int, category_id: int) -> None:
    """Inserts many messages by `bulk_create`, then publishes a task for each."""
    now = timezone.now()
    keys = reserve_keys(count)
    notifications = [
        Notification(
            id=key,
            uuid=public_id(key, 0),
            user=users[key % len(users)],
            category_id=category_id,
            context={"amount": 29.99},
            scheduled_status=None,
            scheduled_at=now,
            created_at=now,
        )
        for key in keys
    ]
    messages = [
        NotificationMessage(
            id=each.pk, notification=each, user=each.user, channel="in_app", scheduled_at=now
        )
        for each in notifications
    ]
    with transaction.atomic():
        Notification.objects.bulk_create(notifications, batch_size=500)
        NotificationMessage.objects.bulk_create(messages, batch_size=500)
    for key in keys:
        deliver.delay(key)
