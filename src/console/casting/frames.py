"""Previews in a frame of their own: no script, no cookies, no requests to other hosts."""

from __future__ import annotations

from django.http import HttpResponse
from django.template.loader import render_to_string

from console.guard import Visit
from console.shell import frame_policy

LONGEST = 20_000


def framed(html: str) -> HttpResponse:
    """Returns a page for the frame that shows what an author wrote."""
    response = HttpResponse(html)
    response["Content-Security-Policy"] = frame_policy()
    response["Cache-Control"] = "no-store"
    response["X-Frame-Options"] = "SAMEORIGIN"
    return response


def preview(visit: Visit) -> HttpResponse:
    """Shows the text of a form as its recipients read it. Nothing is written."""
    context = {
        "title": visit.given("title", longest=LONGEST),
        "message": visit.given("message", longest=LONGEST),
    }
    return framed(render_to_string("console/casting/frame.html", context))
