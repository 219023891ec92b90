"""`/admin/login/`: Django's sign-in page with our throttle."""

from __future__ import annotations

from django.contrib import admin
from django.http import HttpRequest, HttpResponse

from notifications.features.access.throttles import Throttled, guard_sign_in
from notifications.infra import clock
from notifications.infra.http.client_address import address_of
from notifications.web.errors import error_response


def login(request: HttpRequest) -> HttpResponse:
    """Shows the page. A sign-in that must wait gets 429 with Retry-After."""
    if request.method != "POST":
        return admin.site.login(request)
    responses: list[HttpResponse] = []

    def attempt() -> bool | None:
        responses.append(admin.site.login(request))
        return responses[0].status_code == 302 or None

    try:
        guard_sign_in(
            attempt,
            address=address_of(request),
            name=request.POST.get("username", "")[:150],
            now=clock.now(),
        )
    except Throttled as error:
        return error_response(error, request.path)
    return responses[0]
