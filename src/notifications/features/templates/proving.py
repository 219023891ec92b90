"""Proves versions: renders their examples in a process that may be killed.

TemplateService proves a version when it publishes it. This module proves the others in the
background: the current versions after an upgrade, and those that a worker met in a queued message.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

import structlog
from django.db import DatabaseError
from django.db.models import Q

from notifications.domain.callers import SYSTEM
from notifications.domain.errors import RenderingBusy, TemplateFault
from notifications.features.templates.preview import preview_context
from notifications.features.templates.trials import first_fault
from notifications.models import NotificationTemplate, TemplateOverrun, TemplateVersion
from notifications.rendering.language.meter import LIMIT
from notifications.rendering.release import WANTED, failed, release
from notifications.rendering.versions import compiled_row, mark_proved

log = structlog.get_logger("carillon.rendering")
_AT_ONCE = 50


def prove_due(*, now: datetime) -> int:
    """Proves versions that are unproved since the last upgrade; returns their number.

    A version whose own example exceeds the limits is stopped for all sources. A call proves a
    bounded number; the next call continues, also when no render process was free.
    """
    proved = 0
    for row in _unproved():
        try:
            fault = _fault_of(row)
        except RenderingBusy:
            log.warning("template.unproved", version=row.pk, reason="no render process was free")
            break
        is_proved = fault is None or fault.code != LIMIT
        mark_proved(row.pk, is_proved=is_proved)
        if not is_proved:
            TemplateOverrun.objects.stop_for_all(row.pk, at=now)
        proved += 1
    return proved


def _unproved() -> Iterable[TemplateVersion]:
    current = NotificationTemplate.objects.filter(is_active=True, current_version__isnull=False)
    rows = TemplateVersion.objects.exclude(proved_by__in=(release(), failed()))
    due = rows.filter(Q(proved_by=WANTED) | Q(pk__in=current.values("current_version")))
    return list(due.select_related("template").order_by("pk")[:_AT_ONCE])


def _fault_of(row: TemplateVersion) -> TemplateFault | None:
    """Returns the fault of a version, if any. Only a fault of limits prevents the proof."""
    try:
        version = compiled_row(row)
        context = preview_context(row.template.example_context)
        return first_fault(version, context, principal=SYSTEM.name)
    except TemplateFault as fault:
        return fault
    except (RenderingBusy, DatabaseError):
        raise
    except Exception as error:  # each message of this version becomes a dead letter
        log.exception("template.unreadable", version=row.pk)
        return TemplateFault(f"cannot be read: {type(error).__name__}")
