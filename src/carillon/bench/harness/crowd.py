"""Roles of `bench audience` and `bench broadcast`.

They create many users with groups and subjects, count audiences, and launch a broadcast to all.
"""

from __future__ import annotations

import resource
import time
from collections.abc import Iterator
from typing import Any

from django.db import connection, models, transaction

from directory.audiences import Audience
from directory.models import (
    ContactPoint,
    Enrollment,
    Group,
    GroupMembership,
    Subject,
    TutorAssignment,
    User,
)
from notifications.features.broadcasts.delivery.launch import begin, create_messages, write_snapshot
from notifications.infra import clock
from notifications.models import Broadcast

_AT_ONCE = 5_000
_TIERS = ("free", "silver", "gold")
_ROLES = ("student",) * 8 + ("teacher", "parent")


def crowd(count: str) -> dict[str, Any]:
    """Creates users, 5,000 at a time: half of them in a group, a third enrolled."""
    group = Group.objects.create(name="Half")
    subject = Subject.objects.create(name="Third")
    tutor = User.objects.create(username="the-tutor", role="tutor", password="!")
    for start in range(0, int(count), _AT_ONCE):
        with transaction.atomic():
            people = User.objects.bulk_create(
                _person(number) for number in range(start, min(start + _AT_ONCE, int(count)))
            )
            _insert(ContactPoint(user=user, kind="email", address=user.email) for user in people)
            _insert(GroupMembership(group=group, user=user) for user in people[::2])
            _insert(Enrollment(student=user, subject=subject) for user in people[::3])
            _insert(TutorAssignment(student=user, tutor=tutor) for user in people[1:2])
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("ANALYZE")
    return {"users": int(count)}


def _person(number: int) -> User:
    return User(
        username=f"crowd{number}",
        email=f"crowd{number}@example.com",
        role=_ROLES[number % 10],
        is_active=number % 20 != 0,
        subscription_tier=_TIERS[number % 3],
        attributes={"city": f"City {number % 50}", "plan": {"seats": number % 100}},
        password="!",
    )


def _insert(rows: Iterator[Any]) -> None:
    made = list(rows)
    if made:
        manager: models.Manager[Any] = type(made[0])._default_manager
        manager.bulk_create(made)


def audiences() -> dict[str, Any]:
    """Counts and streams each audience; each page of people is discarded at once."""
    before = _rss_mb()
    total = User.objects.count()
    figures: dict[str, Any] = {}
    for name, rule in _rules().items():
        audience = Audience.of(rule, now=clock.now())
        began = time.monotonic()
        count = audience.count()
        count_s = time.monotonic() - began
        began = time.monotonic()
        streamed = sum(len(page) for page in audience.stream())
        stream_s = time.monotonic() - began
        if streamed != count:
            raise RuntimeError(f"{name}: {count} counted, {streamed} streamed")
        figures[name] = {
            "people": count,
            "count_s": round(count_s, 3),
            "people_per_s": round(streamed / stream_s),
            "looked_at_per_s": round(total / stream_s),
        }
    return {"audiences": figures, "rss_mb_before": before, "rss_mb_max": _rss_mb()}


def _rules() -> dict[str, dict[str, Any]]:
    group = {"rule": "group", "group_id": Group.objects.get().pk}
    subject = {"rule": "by_subject", "subject_id": Subject.objects.get().pk}
    tutor = {"rule": "by_tutor", "tutor_id": User.objects.get(role="tutor").pk}
    ids = list(User.objects.order_by("pk").values_list("pk", flat=True)[:100_000])
    listed = {"rule": "custom", "user_ids": ids}
    some = {"rule": "custom", "user_ids": ids[::100]}
    tests = [
        {"field": "subscription_tier", "op": "in", "value": ["gold", "silver"]},
        {"field": "attributes.plan.seats", "op": "gte", "value": 50},
        {"field": "contact_points", "op": "eq", "value": "email"},
    ]
    return {
        "all": {"rule": "all"},
        "all_students": {"rule": "all_students"},
        "by_subject": subject,
        "by_tutor": tutor,
        "group": group,
        "custom": listed,
        "segment": {"rule": "segment", "criteria": {"all": tests}},
        "composed": {"from": {"any": [group, subject]}, "except": {"any": [tutor, some]}},
    }


def launch() -> dict[str, Any]:
    """Launches a broadcast to all users, without any worker."""
    broadcast = Broadcast.objects.create(
        target_group="all",
        title="School is closed",
        message="Snow everywhere, see you on Monday. " * 5,
        channels=["in_app"],
    )
    before = _rss_mb()
    begin(broadcast.pk, now=clock.now())
    began = time.monotonic()
    write_snapshot(broadcast.pk)
    created = time.monotonic()
    create_messages(broadcast.pk)
    ended = time.monotonic()
    broadcast.refresh_from_db()
    return {
        "recipients": broadcast.recipient_count,
        "create_s": created - began,
        "message_s": ended - created,
        "rss_mb_before": before,
        "rss_mb": _rss_mb(),
    }


def _rss_mb() -> float:
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1)
