"""The queues, the workers and the periodic work, with what the health checks say."""

from __future__ import annotations

from typing import Any

from django.http import HttpResponse

from console.guard import Visit
from console.shell import page
from notifications.domain.loops import LOOPS
from notifications.features.background.loops import silent_loops
from notifications.features.operations.health import health
from notifications.features.operations.metrics import workers_alive
from notifications.infra import clock
from notifications.models import WorkerProcess
from notifications.models.providers.provider_flow import moment, now_us

SHOWN = 100


def queues(visit: Visit) -> HttpResponse:
    """Shows the depth of each lane, the workers, and every check with its reason."""
    found = health(now=clock.now(), in_full=lambda: True)
    depths = found.checks["queues"].lanes if "queues" in found.checks else None
    silent = {each.name: each for each in silent_loops()}
    now = moment(now_us())
    workers = [
        (row, row.ended_at is None and row.lease_until > now)
        for row in WorkerProcess.objects.order_by("-started_at")[:SHOWN]
    ]
    context: dict[str, Any] = {
        "health": found,
        "checks": found.checks.items(),
        "lanes": (depths or {}).items(),
        "workers": workers,
        "is_any_alive": workers_alive() > 0,
        "loops": [(spec, silent.get(spec.name)) for spec in LOOPS],
    }
    return page(visit, "queues.html", context, section="queues")
