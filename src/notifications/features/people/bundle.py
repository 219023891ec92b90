"""Collects all stored data about one person, as values that JSON can hold."""

from __future__ import annotations

from typing import Any

import msgspec

from directory.models import Device, Enrollment, ParentLink, TutorAssignment, User
from notifications.domain.callers import Caller
from notifications.features.access.persons import person_for
from notifications.features.people.service import READ, user_responses
from notifications.features.preferences.service import preferences_of
from notifications.infra import clock
from notifications.models import ConsentRecord, Notification, NotificationMessage
from notifications.models.audit.actions import record_change

_NOTIFICATIONS = 100_000


def collect_person_data(identifier: object, *, caller: Caller) -> dict[str, Any]:
    """Returns a person's data, devices, relations, preferences, consents and notifications.

    The notifications include their messages. They are the latest 100,000; `notifications_cut` is
    true where there are more.

    Raises:
        NotFound (unknown_user), Refused (missing_scope).
    """
    user = person_for(caller, identifier, scope=READ)
    record_change(
        actor=caller.name,
        action="user.exported",
        target=f"user:{user.pk}",
        at=clock.now(),
        subject_id=user.pk,
    )
    notifications = list(
        Notification.objects.filter(user_id=user.pk).order_by("-pk")[: _NOTIFICATIONS + 1]
    )
    found = {
        "user": user_responses([user])[0],
        "devices": [
            {
                "kind": device.kind,
                "platform": device.platform,
                "token": device.token,
                "last_seen": device.last_seen,
                "expired_at": device.expired_at,
            }
            for device in Device.objects.filter(user=user)
        ],
        "relations": _relations(user),
        "preferences": preferences_of(user.pk),
        "consents": list(
            ConsentRecord.objects.filter(user_id=user.pk)
            .order_by("pk")
            .values("purpose", "granted", "wording", "source", "at")
        ),
        "notifications": [_notification(row) for row in notifications[:_NOTIFICATIONS]],
        "notifications_cut": len(notifications) > _NOTIFICATIONS,
    }
    bundle: dict[str, Any] = msgspec.to_builtins(found)
    return bundle


def _relations(user: User) -> dict[str, Any]:
    return {
        "enrollments": list(
            Enrollment.objects.filter(student=user).values("subject__name", "teacher_id")
        ),
        "tutors": list(TutorAssignment.objects.filter(student=user).values("tutor_id")),
        "tutored": list(TutorAssignment.objects.filter(tutor=user).values("student_id")),
        "parents": list(ParentLink.objects.filter(student=user).values("parent_id")),
        "children": list(ParentLink.objects.filter(parent=user).values("student_id")),
    }


def _notification(row: Notification) -> dict[str, Any]:
    messages = NotificationMessage.objects.filter(notification_id=row.pk).order_by("pk")
    return {
        "id": row.uuid,
        "created_at": row.created_at,
        "context": row.context,
        "is_read": row.is_read,
        "messages": list(
            messages.values("channel", "status", "sent_at", "delivered_at", "attempts")
        ),
    }
