"""`/`: what runs here, and how to send a first notification."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from notifications.infra.conf import environment

LINKS = (
    ("/outbox/", "Outbox", "what the sandbox providers would have sent"),
    ("/api/docs/", "API", "every call, to be read and tried"),
    ("/health", "Health", "database, queues, dead letters"),
    ("/metrics", "Metrics", "for Prometheus"),
    ("/admin/", "Admin", "the rows, for staff"),
)
PUBLIC = ("/api/docs/", "/health")
"""What strangers are pointed to in production."""


@require_safe
def home(request: HttpRequest) -> HttpResponse:
    """The landing page: public, and free of anything that the installation holds.

    In production it speaks neither of demo data nor of what an administrator does.
    """
    production = environment().production
    links = [each for each in LINKS if not production or each[0] in PUBLIC]
    return render(
        request,
        "carillon/home.html",
        {
            "links": links,
            "production": production,
            "base": environment().public_url,
            "app_name": environment().app_name,
        },
    )
