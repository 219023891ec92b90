"""Versions are proved: their example is rendered in a process that may be killed.

What is published through TemplateService is proved then. This proves the rest, in the background:
after an upgrade the current versions, and those that a worker met in a message that waited.
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
    """Proves versions that nobody has proved since the last upgrade; answers how many.

    One whose own example takes too much is stopped for all. Bounded: what is left is done next
    time, and so is what no render process was free for.
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
    """What is wrong with a version; what is no matter of limits is no matter of proof."""
    try:
        version = compiled_row(row)
        context = preview_context(row.template.example_context)
        return first_fault(version, context, principal=SYSTEM.name)
    except TemplateFault as fault:
        return fault
    except (RenderingBusy, DatabaseError):
        raise
    except Exception as error:  # its messages become dead letters, one by one
        log.exception("template.unreadable", version=row.pk)
        return TemplateFault(f"cannot be read: {type(error).__name__}")
