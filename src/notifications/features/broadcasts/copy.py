"""A broadcast again: a new draft of the same words for the same people."""

from __future__ import annotations

from datetime import datetime

from django.db import transaction
from django.utils.translation import pgettext

from notifications.domain.callers import Caller
from notifications.features.access.service import people_behind
from notifications.features.broadcasts.body import TEXTS, check
from notifications.features.broadcasts.schemas import BroadcastDone
from notifications.features.broadcasts.service import (
    BroadcastDesk,
    check_priority,
    people_of,
    write_down,
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
)


def duplicate(identifier: object, *, caller: Caller, now: datetime) -> BroadcastDone:
    """Makes a draft of a broadcast's content, audience and channels; nothing of what became of it.

    Whoever wrote the first has a hand in the second: its words are still not approved by their
    author.

    Raises:
        InvalidRequest: what it names is gone, such as its group or category; no_recipients.
        Refused, NotFound.
    """
    desk = BroadcastDesk()
    first = desk.find(identifier, caller=caller)
    copy = Broadcast(**{name: getattr(first, name) for name in _COPIED})
    copy.title = _title(first.title)
    check(copy, Fields({}))
    check_priority(copy, caller)
    copy.recipient_count, missing = people_of(copy, now=now)
    copy.created_by_id = caller.user_id
    writers = {*first.hands, *([first.created_by_id] if first.created_by_id else [])}
    copy.hands = sorted({*writers, *people_behind(caller)})
    copy.is_test = caller.is_test
    with transaction.atomic():
        copy.save()
        commits.makes(broadcast_id=copy.pk)
        write_down(caller, "duplicate", copy, now=now, reason=f"of {first.pk}")
    text = pgettext("broadcast", "The broadcast was copied")
    return desk.done(copy.pk, caller, text, missing)


def _title(title: str) -> str:
    """The title, marked as a copy's; recipients of an untitled one go on to see none."""
    if not title:
        return ""
    mark = pgettext("broadcast", " (copy)")
    return title[: TEXTS["title"] - len(mark)] + mark
