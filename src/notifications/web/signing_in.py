"""`/admin/login/`: Django's page, behind the throttle of sign-ins."""

from __future__ import annotations

from django.contrib import admin
from django.http import HttpRequest, HttpResponse

from notifications.features.access.throttles import Throttled, guard_sign_in
from notifications.infra import clock
from notifications.infra.http.client_address import address_of
from notifications.web.errors import error_response


def login(request: HttpRequest) -> HttpResponse:
    """The page; a sign-in whose turn is still to come is 429 with Retry-After."""
    if request.method != "POST":
        return admin.site.login(request)
    answers: list[HttpResponse] = []

    def attempt() -> bool | None:
        answers.append(admin.site.login(request))
        return answers[0].status_code == 302 or None

    try:
        guard_sign_in(
            attempt,
            address=address_of(request),
            name=request.POST.get("username", "")[:150],
            now=clock.now(),
        )
    except Throttled as error:
        return error_response(error, request.path)
    return answers[0]
