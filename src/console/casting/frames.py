"""Previews in a frame of their own: no script, no cookies, no requests to other hosts."""

from __future__ import annotations

from django.http import HttpResponse
from django.template.loader import render_to_string

from console.guard import Visit
from console.shell import framed

LONGEST = 20_000


def preview(visit: Visit) -> HttpResponse:
    """Shows the text of a form as its recipients read it. Nothing is written."""
    context = {
        "title": visit.given("title", longest=LONGEST),
        "message": visit.given("message", longest=LONGEST),
    }
    return framed(render_to_string("console/casting/frame.html", context))
