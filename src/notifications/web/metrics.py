"""`/metrics`, in Prometheus' text form."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_safe

from notifications.features.operations.metrics import metrics_response
from notifications.infra.telemetry import CONTENT_TYPE


@require_safe
def metrics(request: HttpRequest) -> HttpResponse:
    """Counters of all processes of this machine, and gauges of this moment."""
    return HttpResponse(metrics_response(), content_type=CONTENT_TYPE)
