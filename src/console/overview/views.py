"""The first page, and its figures as server-sent events."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from django.http import HttpResponse
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy

from console.guard import Visit, may_open
from console.overview.attention import LaneFigures, concerns
from console.overview.recent import RecentValue
from console.overview.traffic import HourFigures, Traffic, traffic
from console.shell import page
from notifications.domain.lifecycle import MessageStatus
from notifications.features.analytics.service import READ as METRICS
from notifications.features.operations.metrics import queue_depth
from notifications.infra.conf import environment

RETRY_MS = 5_000
"""A browser asks again for the figures after this time."""
_LASTS_S = 2.0
_FUNNEL: Mapping[str, str | Promise] = {
    "sent": gettext_lazy("Sent"),
    "delivered": gettext_lazy("Delivered"),
    "opened_human": gettext_lazy("Opened by people"),
    "clicked_human": gettext_lazy("Clicked by people"),
    "converted": gettext_lazy("Converted"),
}
_LINKED = {"sent": MessageStatus.SENT.value, "delivered": MessageStatus.DELIVERED.value}

lanes: RecentValue[LaneFigures] = RecentValue(queue_depth, lasts_s=_LASTS_S)
"""The depths of the lanes."""


def overview(visit: Visit) -> HttpResponse:
    """Shows what needs attention first, then figures of the last day."""
    found = traffic.get() if visit.caller.may(METRICS) else None
    depths = lanes.get()
    is_sandbox = environment().email_provider == "sandbox"
    context: dict[str, Any] = {
        "concerns": concerns(visit, depths, found),
        "lanes": depths.items(),
        "traffic": found,
        "since": found.start.isoformat() if found else "",
        "funnel": _funnel(found) if found else [],
        "series": json.dumps(_series(found.hours)) if found else "",
        "may_list": may_open(visit, "console/notifications"),
        "may_set_up": is_sandbox and may_open(visit, "console/first-run"),
        "may_see_letters": may_open(visit, "console/dead-letters"),
    }
    return page(visit, "overview.html", context, section="overview")


def figures(visit: Visit) -> HttpResponse:
    """Returns the present figures as one server-sent event.

    The response ends with the event, and names the time after which the browser asks again. So an
    open page uses no thread, no connection to the database and none of the limited streams.
    """
    found = traffic.get() if visit.caller.may(METRICS) else None
    data: dict[str, Any] = {
        "lanes": {
            lane: {"queued": int(each["queued"]), "age": int(each["age_s"])}
            for lane, each in lanes.get().items()
        }
    }
    if found is not None:
        data["totals"] = {name: found.totals.get(name, 0) for name in (*_FUNNEL, "failed")}
        data["per_minute"] = round(found.sent_per_minute, 1)
        data["series"] = _series(found.hours)
    text = f"retry: {RETRY_MS}\nevent: figures\ndata: {json.dumps(data)}\n\n"
    response = HttpResponse(text, content_type="text/event-stream; charset=utf-8")
    response["Cache-Control"] = "no-store"
    response["X-Accel-Buffering"] = "no"
    return response


def _series(rows: Sequence[HourFigures]) -> list[list[int]]:
    """Returns the columns of the chart: times in seconds since 1970, and three counts."""
    return [
        [int(row.start.timestamp()) for row in rows],
        [row.sent for row in rows],
        [row.delivered for row in rows],
        [row.failed for row in rows],
    ]


def _funnel(found: Traffic) -> list[dict[str, Any]]:
    most = max(1, found.totals.get("sent", 0))
    return [
        {
            "name": name,
            "title": title,
            "count": found.totals.get(name, 0),
            "width": round(100 * found.totals.get(name, 0) / most),
            "status": _LINKED.get(name, ""),
        }
        for name, title in _FUNNEL.items()
    ]
