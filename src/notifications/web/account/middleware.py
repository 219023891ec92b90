"""The middleware of the pages for staff. Requests to the API and to other pages pass it by."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

from allauth.account.middleware import AccountMiddleware
from django.contrib.auth import logout
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.http.response import HttpResponseBase

from directory.models import User
from notifications.domain.errors import CarillonError
from notifications.features.access.sign_in.rules import (
    is_active_staff,
    may_continue,
    must_have_second_factor,
)
from notifications.features.access.sign_in.sign_ins import SEEN_STEP, note_seen
from notifications.features.signing_in.events import row_of
from notifications.infra import clock
from notifications.infra.conf import environment
from notifications.infra.http.client_address import address_of
from notifications.infra.http.request_origin import request_from
from notifications.models import SignIn
from notifications.web.errors import error_response

PAGES = ("/account", "/admin", "/console", "/outbox", "/invitation", "/new-password")
"""The first parts of the paths that a session of staff opens, or begins."""
_FIRST_PARTS = frozenset(page[1:] for page in PAGES)
OWN_PREFERENCES = "/preferences"
"""The same for this path alone: those below it are opened by links."""
ENROL_PAGE = "/account/2fa"
_ENROLLING = (
    ENROL_PAGE,
    "/account/logout",
    "/account/reauthenticate",
    "/account/oidc",
    "/admin/logout",
    "/admin/jsi18n",
)
"""What a session without its required second factor opens."""
_LIVE_FIGURES = "/console/figures"
"""An open page asks for these by itself, every few seconds: that is no use of the session."""


class AccountPages:
    """Runs allauth's middleware on the pages of staff, and checks the session there."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response
        self._allauth = AccountMiddleware(self._checked)

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        if not _is_of_staff(request.path_info):
            return self.get_response(request)
        agent = request.headers.get("User-Agent", "")
        with request_from(ip=address_of(request), user_agent=agent):
            response: HttpResponseBase = self._allauth(request)
        response.headers.setdefault("Cache-Control", "no-store")
        return response

    def process_exception(self, request: HttpRequest, error: Exception) -> HttpResponse | None:
        """Returns the page of an error of ours, and what allauth makes of its own."""
        if not _is_of_staff(request.path_info):
            return None
        if isinstance(error, CarillonError):
            return error_response(error, request.path)
        found: HttpResponse | None = self._allauth.process_exception(request, error)
        return found

    def _checked(self, request: HttpRequest) -> HttpResponseBase:
        user = request.user
        if isinstance(user, User):
            row = row_of(request)
            is_own = not _is_within(request.path_info, ("/account",)) or is_active_staff(user)
            if row is None or not is_own or not _is_valid(row, user):
                logout(request)
            else:
                if request.path_info != _LIVE_FIGURES:
                    note_seen(row, now=clock.now())
                if _must_enrol(row, user) and not _is_within(request.path_info, _ENROLLING):
                    return HttpResponseRedirect(ENROL_PAGE)
        return self.get_response(request)


def _is_of_staff(path: str) -> bool:
    # Every request of the API asks this.
    return path[1:].partition("/")[0] in _FIRST_PARTS or path == OWN_PREFERENCES


def _is_within(path: str, places: tuple[str, ...]) -> bool:
    return any(path == place or path.startswith(f"{place}/") for place in places)


def _is_valid(row: SignIn, user: User) -> bool:
    idle = timedelta(minutes=environment().session_idle_minutes) + SEEN_STEP
    return clock.now() - row.seen_at < idle and may_continue(row, user)


def _must_enrol(row: SignIn, user: User) -> bool:
    return not row.second_factor and must_have_second_factor(user)
