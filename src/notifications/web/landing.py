"""`/`: links to the service's pages, and how to send a first notification."""

from __future__ import annotations

from datetime import UTC, timedelta

from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed
from django.shortcuts import render
from django.views.decorators.http import require_safe

from notifications.domain.errors import NotFound
from notifications.infra import clock
from notifications.infra.conf import environment
from notifications.web.errors import error_response

LINKS = (
    ("/console/", "Console", "what needs attention, notifications and people, for staff"),
    ("/outbox/", "Outbox", "messages that the sandbox providers would have sent"),
    ("/demo/", "Inbox", "the web component with a live inbox"),
    ("/api/docs/", "API", "reference of all routes, with a form to try each"),
    ("/health", "Health", "database, queues, dead letters"),
    ("/metrics", "Metrics", "for Prometheus"),
    ("/admin/", "Admin", "database rows, for staff"),
)
PUBLIC = ("/api/docs/", "/health")
"""The links that are shown in production."""
_VALID = timedelta(days=180)


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


def security_txt(request: HttpRequest) -> HttpResponse:
    """Returns `/.well-known/security.txt` (RFC 9116): where a weakness is reported.

    404 without CARILLON_SECURITY_CONTACT. It expires in half a year, which each request renews.
    """
    if request.method not in ("GET", "HEAD"):
        return HttpResponseNotAllowed(["GET", "HEAD"])
    if not environment().security_contact:
        error = NotFound("no contact is set: the operator sets CARILLON_SECURITY_CONTACT")
        return error_response(error, request.path)
    expires = (clock.now() + _VALID).astimezone(UTC)
    lines = [
        *(f"Contact: {contact}" for contact in environment().security_contact),
        f"Expires: {expires:%Y-%m-%dT00:00:00Z}",
        "Preferred-Languages: en, ru",
        f"Canonical: {environment().public_url}/.well-known/security.txt",
    ]
    text = "\n".join([*lines, ""])
    return HttpResponse(
        text,
        content_type="text/plain; charset=utf-8",
        headers={"Cache-Control": "max-age=86400"},
    )
