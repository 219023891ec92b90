"""Removes what broadcasts stored about one recipient: vendors' errors, and learned choices."""

from __future__ import annotations

import re
from collections import Counter
from typing import Any

from django.db import transaction
from django.db.models import Q

from notifications.models.sources.broadcast import Broadcast, BroadcastRecipient

OTHER_REASONS = "other reasons"
"""Counts the reasons of `error_reasons` that are not counted separately."""
_CODE = re.compile(r"[a-z_]+")
"""A reason of our own. Every other one is a vendor's text."""
_EMPTY = {"error": "", "telegram_error": None, "telegram_message_id": None, "choice": None}


def forget_recipient(user_id: int, count: int) -> int:
    """Empties at most `count` of a person's rows, and their entries in logs; returns how many."""
    rows = BroadcastRecipient.objects.filter(recipient_id=user_id).filter(
        (Q(error__isnull=False) & ~Q(error=""))
        | Q(telegram_error__isnull=False)
        | Q(telegram_message_id__isnull=False)
        | Q(choice__isnull=False)
    )
    with transaction.atomic():
        found = list(rows.order_by("broadcast_id")[:count])
        for row in found:
            _forget_in_log(row.broadcast_id, user_id, row.error or "")
        BroadcastRecipient.objects.filter(pk__in=[row.pk for row in found]).update(**_EMPTY)
    return len(found)


def _forget_in_log(broadcast_id: int, user_id: int, reason: str) -> None:
    held = (
        Broadcast.objects.select_for_update()
        .only("error_log", "error_reasons")
        .filter(pk=broadcast_id)
        .first()
    )
    if held is None:
        return
    log: list[dict[str, Any]] = [
        {**entry, "error": ""} if entry.get("recipient_id") == user_id else entry
        for entry in held.error_log
    ]
    reasons = Counter(held.error_reasons)
    if reasons.get(reason) and not _CODE.fullmatch(reason):
        reasons[reason] -= 1
        reasons[OTHER_REASONS] += 1
    Broadcast.objects.filter(pk=broadcast_id).update(
        error_log=log, error_reasons={name: many for name, many in reasons.items() if many > 0}
    )
