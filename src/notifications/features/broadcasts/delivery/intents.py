"""What the messages of a broadcast have in common: its job, its channels, and its intent."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from notifications.domain.channels import Priority
from notifications.engine.shared_rows import category_by_key, category_keys
from notifications.intake.accept import Intent
from notifications.intake.request import Terms
from notifications.intake.validate import unknown_category
from notifications.models import Broadcast, Job
from notifications.policy.options import LIST

RETRY_POLICY = "broadcast"
CALLS = 4
"""The first call, and three retries after 10, 60 and 300 s (delivery/retry.py)."""


def make_job(broadcast: Broadcast, *, now: datetime, total: int = 0) -> Job:
    """Creates the job that stores once what all recipients of a broadcast get.

    That is its text, or the values of its template. With a text, the context gets `options` and
    `calls` later where the retries differ from the usual ones.
    """
    return Job.objects.create(
        kind="broadcast",
        source=broadcast.source,
        context=shared_context(broadcast),
        total=total,
        accepted=0,
        created_at=now,
    )


def shared_context(broadcast: Broadcast) -> dict[str, Any]:
    """Returns the text of a broadcast, or the values of the template that it shows."""
    if broadcast.template_version_id is None or broadcast.campaign is None:
        return {"title": broadcast.title, "message": broadcast.message}
    return dict(broadcast.campaign.context)


def list_option(broadcast: Broadcast) -> dict[str, int]:
    """Returns the option by which each message is decided for members of the list alone."""
    return {LIST: broadcast.list_id} if broadcast.list_id is not None else {}


def split_channels(broadcast: Broadcast) -> tuple[tuple[str, ...], dict[str, Any]]:
    """Returns the channels to create messages for now, and the options that name the fallbacks."""
    channels = tuple(broadcast.channels)
    options: dict[str, Any] = {**broadcast.options, "retry_policy": RETRY_POLICY}
    if broadcast.delivery == Broadcast.Delivery.FIRST and len(channels) > 1:
        return channels[:1], {**options, "fallback": list(channels[1:])}
    return channels, options


def build_intent(
    broadcast: Broadcast, channels: tuple[str, ...], options: dict[str, Any], *, calls: int
) -> Intent:
    """Returns what all messages of a broadcast have in common."""
    category = category_by_key(broadcast.category)
    if category is None:
        raise unknown_category(broadcast.category, category_keys())
    return Intent(
        terms=Terms(
            template_path="",
            channels=channels,
            options=options,
            priority=broadcast.priority,
            category=broadcast.category,
            context={},
            scheduled_at=None,
            expires_at=None,
            collapse_key=None,
            ordering_key=None,
        ),
        priority=Priority(broadcast.priority),
        category_id=category.id,
        category_key=category.key,
        template_version_id=broadcast.template_version_id,
        source=broadcast.source,
        max_attempts=calls,
        mass=True,
        is_test=broadcast.is_test,
    )
