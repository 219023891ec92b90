"""Duplicates a broadcast: a new draft with the same text and audience."""

from __future__ import annotations

from datetime import datetime

from django.db import transaction
from django.utils.translation import pgettext

from notifications.domain.callers import Caller
from notifications.features.access.service import people_behind
from notifications.features.broadcasts.action_schemas import BroadcastDone
from notifications.features.broadcasts.body import TEXTS, check
from notifications.features.broadcasts.entries import write_audit_entry
from notifications.features.broadcasts.service import (
    BroadcastWorkflow,
    check_content,
    count_audience,
)
from notifications.infra.database import commits
from notifications.intake.fields import Fields
from notifications.models import Broadcast

_COPIED = (
    "target_group",
    "target_filter",
    "message",
    "category",
    "priority",
    "channels",
    "delivery",
    "options",
    "per_minute",
)


def duplicate(identifier: object, *, caller: Caller, now: datetime) -> BroadcastDone:
    """Creates a draft with a broadcast's content, audience and channels, but not its results.

    All who were involved in the first are involved in the copy, because no author may approve
    their own text.

    Raises:
        InvalidRequest: its group or category does not exist any more; no_recipients.
        Refused, NotFound.
    """
    workflow = BroadcastWorkflow()
    first = workflow.find(identifier, caller=caller)
    copy = Broadcast(**{name: getattr(first, name) for name in _COPIED})
    copy.title = _title(first.title)
    check(copy, Fields({}))
    check_content(copy, caller)
    copy.recipient_count, missing = count_audience(copy, now=now)
    copy.created_by_id = caller.user_id
    writers = {*first.involved_user_ids, *([first.created_by_id] if first.created_by_id else [])}
    copy.involved_user_ids = sorted({*writers, *people_behind(caller)})
    copy.is_test = caller.is_test
    with transaction.atomic():
        copy.save()
        commits.name_created(broadcast_id=copy.pk)
        write_audit_entry(caller, "duplicate", copy, now=now, reason=f"of {first.pk}")
    text = pgettext("broadcast", "The broadcast was copied")
    return workflow.build_response(copy.pk, caller, text, missing)


def _title(title: str) -> str:
    """Returns the title with the mark of a copy; an empty title stays empty."""
    if not title:
        return ""
    mark = pgettext("broadcast", " (copy)")
    return title[: TEXTS["title"] - len(mark)] + mark
