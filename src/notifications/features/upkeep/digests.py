"""Digests: sends the notifications collected in a period as one message.

The recording fills the buckets, and this closes each once. In one transaction a process locks a
bucket, accepts its digest and marks the bucket as closed.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime
from functools import partial
from typing import Any

from django.db import transaction
from django.db.models import Count, F, QuerySet, Window
from django.db.models.functions import RowNumber

from notifications.domain.channels import Priority
from notifications.engine.shared_rows import DIGEST_CATEGORY, category_by_key, category_facts
from notifications.features.background.items import Items
from notifications.features.templates.system import ensure_system_template
from notifications.intake.accept import Intent, SendTarget, accept
from notifications.intake.request import Terms
from notifications.models import (
    Category,
    DigestBucket,
    DigestItem,
    NotificationTemplate,
    Work,
)
from notifications.policy.facts import DIGEST_SOURCE, TEST_PERIOD
from notifications.rendering.texts import digest_texts

CATEGORY = DIGEST_CATEGORY
LISTED = 20  # items listed for each category; the others are counted
_AT_ONCE = 100
_ROUNDS = 200


def close_due(*, now: datetime, rounds: int = _ROUNDS) -> int:
    """Sends the digests whose period has ended; returns how many.

    Runs at most `rounds` rounds of a hundred buckets, each in its own transaction. Any number of
    processes may do this at once. The failure of one bucket does not stop the others.
    """
    due = due_buckets(now)
    if not due.exists():
        return 0
    ensure_digest_template()  # its failure concerns all buckets, so it is no bucket's failure
    rows, close = due.order_by("closes_at", "id"), partial(_close, now=now)
    return Items(Work.DIGEST, now=now).drain(rows, close, at_once=_AT_ONCE, rounds=rounds)


def due_buckets(now: datetime) -> QuerySet[DigestBucket]:
    """Returns the open digests whose period has ended."""
    return DigestBucket.objects.filter(closed_at__isnull=True, closes_at__lte=now)


def _close(keys: Sequence[int], *, now: datetime) -> int:
    """Sends the digests of these buckets, without those that are closed or locked."""
    with transaction.atomic():
        due = DigestBucket.objects.filter(pk__in=keys, closed_at__isnull=True)
        rows = due.select_for_update(skip_locked=True).order_by("closes_at", "id")
        buckets = list(rows)
        groups = _groups([bucket.pk for bucket in buckets]) if buckets else {}
        for test in (False, True):
            chosen = [b for b in buckets if b.period.startswith(TEST_PERIOD) is test]
            _send([b for b in chosen if b.pk in groups], groups, now=now, test=test)
        empty = [bucket.pk for bucket in buckets if bucket.pk not in groups]
        DigestBucket.objects.filter(pk__in=empty).delete()
    return len(buckets)


def _send(
    buckets: Sequence[DigestBucket],
    groups: dict[int, list[dict[str, Any]]],
    *,
    now: datetime,
    test: bool,
) -> None:
    """Accepts one digest for each bucket and marks the buckets as closed."""
    if not buckets:
        return
    targets = [
        SendTarget(
            user_id=bucket.user_id,
            channels=(bucket.channel,),
            context={
                "count": sum(group["count"] for group in groups[bucket.pk]),
                "frequency": bucket.frequency,
                "groups": groups[bucket.pk],
            },
        )
        for bucket in buckets
    ]
    accepted = accept(_intent(test), targets, now=now)
    for bucket, key in zip(buckets, accepted.notification_keys, strict=True):
        bucket.closed_at, bucket.notification_id = now, key
    DigestBucket.objects.bulk_update(buckets, ["closed_at", "notification_id"])


def _intent(test: bool) -> Intent:
    template = ensure_digest_template()
    category = category_by_key(CATEGORY)
    assert category is not None, "the category digest is seeded and cannot be deleted"
    return Intent(
        terms=Terms(
            template_path=template.path,
            channels=(),
            priority=int(Priority.MEDIUM),
            category=CATEGORY,
            context={},
            scheduled_at=None,
            expires_at=None,
            collapse_key=None,
            ordering_key=None,
        ),
        priority=Priority.MEDIUM,
        category_id=category.id,
        category_key=CATEGORY,
        template_version_id=template.current_version_id,
        source=DIGEST_SOURCE,
        mass=True,
        is_test=test,
    )


def _groups(bucket_ids: Sequence[int]) -> dict[int, list[dict[str, Any]]]:
    """Returns the content of each bucket by category: the count, and the first items."""
    place = [F("bucket_id"), F("category_id")]
    items = (
        DigestItem.objects.filter(bucket_id__in=bucket_ids)
        .annotate(
            rank=Window(RowNumber(), partition_by=place, order_by=F("id").asc()),
            total=Window(Count("id"), partition_by=place),
        )
        .filter(rank__lte=LISTED)
        .order_by("bucket_id", "category_id", "id")
    )
    by_bucket: dict[int, dict[int, list[Any]]] = defaultdict(lambda: defaultdict(list))
    for item in items:
        by_bucket[item.bucket_id][item.category_id].append(item)
    names = dict(Category.objects.values_list("pk", "name"))
    return {
        bucket_id: [_group(category_id, rows, names) for category_id, rows in found.items()]
        for bucket_id, found in by_bucket.items()
    }


def _group(category_id: int, rows: Sequence[Any], names: dict[int, str]) -> dict[str, Any]:
    total = rows[0].total
    key = category_facts(category_id).key
    return {
        "key": key,
        "name": names.get(category_id) or key,
        "count": total,
        "more": total - len(rows),
        "items": _listed(rows),
    }


def _listed(rows: Iterable[DigestItem]) -> list[dict[str, str]]:
    return [{"title": row.summary["title"], "text": row.summary["body"]} for row in rows]


def ensure_digest_template() -> NotificationTemplate:
    """Returns the published digest template; creates it where it is missing."""
    return ensure_system_template(CATEGORY, digest_texts.template_fields())
