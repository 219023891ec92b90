"""`/`: links to the service's pages, and how to send a first notification."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from notifications.infra.conf import environment

LINKS = (
    ("/outbox/", "Outbox", "messages that the sandbox providers would have sent"),
    ("/api/docs/", "API", "reference of all routes, with a form to try each"),
    ("/health", "Health", "database, queues, dead letters"),
    ("/metrics", "Metrics", "for Prometheus"),
    ("/admin/", "Admin", "database rows, for staff"),
)
PUBLIC = ("/api/docs/", "/health")
"""The links that are shown in production."""


@require_safe
def home(request: HttpRequest) -> HttpResponse:
    """Shows the landing page. It is public and shows no data of the installation.

    In production it mentions neither demo data nor administration.
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
