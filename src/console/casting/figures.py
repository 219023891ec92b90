"""Figures of what is being sent: counts, rate and remaining time, in words and as events."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

from django.http import HttpResponse

from console import words
from notifications.domain.broadcast_lifecycle import RecipientState

RETRY_MS, SLOW_RETRY_MS = 2_000, 10_000
"""A browser asks again for the figures after this time; slowly where little changes."""
COUNTED = tuple(each.value for each in RecipientState)


class Gauge(NamedTuple):
    """How far something has come."""

    status: str
    total: int
    #: By the state of recipients.
    counts: Mapping[str, int]
    percent: int
    rate_per_second: float
    eta_seconds: int | None


def gauge_words(gauge: Gauge) -> dict[str, str]:
    """Returns the figures that are sentences."""
    eta = "-" if gauge.eta_seconds is None else words.duration(gauge.eta_seconds)
    return {"state": words.state(gauge.status), "rate": f"{gauge.rate_per_second:g}", "eta": eta}


def figures_event(gauge: Gauge, *, ended: bool, slow: bool) -> HttpResponse:
    """Returns the present figures as one server-sent event.

    The response ends with it, and names the time after which the browser asks again. ended:
    whether nothing changes any more, so that the browser does not ask again.
    """
    data: dict[str, Any] = {
        "state": gauge.status,
        "ended": ended,
        "totals": {**gauge.counts, "all": gauge.total},
        "words": gauge_words(gauge),
        "bars": {"done": gauge.percent},
    }
    retry = SLOW_RETRY_MS if slow else RETRY_MS
    text = f"retry: {retry}\nevent: figures\ndata: {json.dumps(data)}\n\n"
    response = HttpResponse(text, content_type="text/event-stream; charset=utf-8")
    response["Cache-Control"] = "no-store"
    response["X-Accel-Buffering"] = "no"
    return response
