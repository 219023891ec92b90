"""`/metrics`, in the text format of Prometheus."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_safe

from notifications.features.operations.metrics import metrics_response
from notifications.infra.telemetry import CONTENT_TYPE


@require_safe
def metrics(request: HttpRequest) -> HttpResponse:
    """Returns the counters of all processes of this machine, and current gauges."""
    return HttpResponse(metrics_response(), content_type=CONTENT_TYPE)
