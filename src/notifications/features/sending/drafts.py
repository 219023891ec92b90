"""Drafts: messages that are not written, in the form in which the pipeline reads messages."""

from __future__ import annotations

import msgspec

from notifications.domain.channels import Channel
from notifications.infra.crypto import seal_json
from notifications.intake.accept import MAX_ATTEMPTS, Intent, SendTarget
from notifications.models.delivery.hot_rows import PendingMessage


def draft_of(intent: Intent, target: SendTarget, channel: str) -> PendingMessage:
    """Returns the message that a send would write. No stored message has its id."""
    terms = intent.terms
    options = msgspec.json.encode(terms.options).decode() if terms.options else None
    return PendingMessage(
        id=-1 - list(Channel).index(Channel(channel)),
        notification_id=0,
        user_id=target.user_id,
        channel=channel,
        priority=int(intent.priority),
        attempts=0,
        max_attempts=MAX_ATTEMPTS,
        batch_id=None,
        uuid="",
        category_id=intent.category_id,
        template_version_id=intent.template_version_id,
        job_id=None,
        source=intent.source,
        locale=intent.locale,
        context=seal_json(terms.context) if terms.context else None,
        text=None,
        address=seal_json(target.address) if target.address else None,
        options=options,
        expires_at=terms.expires_at,
        collapse_key=terms.collapse_key,
        ordering_key=terms.ordering_key,
        is_test=intent.is_test,
        scheduled_status=None,
    )
