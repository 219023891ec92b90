"""`/demo/`: the web component with the inbox of a made-up student, and how to embed it."""

from __future__ import annotations

from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe

from notifications.features.operations.demo_visitor import VISITOR, demo_visitor, visitor_token
from notifications.infra import clock
from notifications.infra.conf import environment
from notifications.web.outbox import is_at_this_machine


@never_cache
@require_safe
def demo(request: HttpRequest) -> HttpResponse:
    """Shows the page. It signs the student in for callers of this machine; others give a token."""
    if environment().production:
        raise Http404
    context = {
        "signs_in": is_at_this_machine(request) and demo_visitor() is not None,
        "visitor": VISITOR,
        "base": environment().public_url,
    }
    return render(request, "carillon/demo.html", context)


@never_cache
@require_POST
def token(request: HttpRequest) -> HttpResponse:
    """Returns a token of the student to a page of this machine.

    Raises:
        Http404: in production, to others, and without demo data.
    """
    user = demo_visitor() if is_at_this_machine(request) else None
    if user is None:
        raise Http404
    return JsonResponse({"token": visitor_token(user, now=clock.now())})
