"""Which text and audience a visitor saw: what was changed meanwhile is not begun or overwritten."""

from __future__ import annotations

import json
from collections.abc import Sequence
from hashlib import sha256
from typing import Any

from django.utils.translation import gettext as _

from console.faults import CHANGED
from console.guard import Visit
from notifications.domain.errors import Conflict, FieldError, InvalidRequest
from notifications.features.campaigns.contents import template_versions
from notifications.models import Broadcast, Campaign

_SHARED = ("channels", "category", "delivery", "priority", "scheduled_at", "per_minute")
_OF_BROADCAST = (*_SHARED, "title", "message", "target_group", "target_filter", "options")
_OF_CAMPAIGN = (
    *_SHARED,
    "name",
    "description",
    "audience",
    "exclude",
    "template_path",
    "context",
    "local_time",
    "late_zones",
    "holdout_percent",
    "ab_test",
    "track_opens",
    "track_clicks",
    "utm",
    "needs_approval",
)


def seen_of_broadcast(row: Broadcast) -> str:
    """Returns a digest of what a broadcast says to whom, and when."""
    return digest_of([getattr(row, name) for name in _OF_BROADCAST])


def seen_of_campaign(row: Campaign) -> str:
    """Returns a digest of what an author writes of a campaign."""
    return digest_of([getattr(row, name) for name in _OF_CAMPAIGN])


def shown_of_templates(row: Campaign) -> str:
    """Returns a digest of a campaign and of the texts of its templates. Makes one query."""
    return digest_of([seen_of_campaign(row), template_versions(row)])


def digest_of(values: Sequence[Any]) -> str:
    """Returns a digest of what is stored: another one where any value is another."""
    return sha256(json.dumps(values, sort_keys=True, default=str).encode()).hexdigest()


def check_seen(visit: Visit, present: str) -> None:
    """Checks that a form was made of what is stored now. present: the digest of that.

    Raises:
        InvalidRequest: the form has no digest.
        Conflict: concurrent_change.
    """
    seen = visit.given("seen")
    if not seen:
        raise InvalidRequest([FieldError("seen", "required", _("open the page again"))])
    if seen != present:
        detail = _("it was changed since you opened the page: read it again, then repeat this")
        raise Conflict(detail, code=CHANGED)
