"""Who may open a page of the console: members of staff, by session, with the scope of the page.

`CONSOLE_SCOPES` is the one list of pages and scopes. A page that is not in it cannot be built.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import tzinfo
from functools import wraps
from typing import Any, Concatenate, ParamSpec

from django.contrib.auth.views import redirect_to_login
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed
from django.http.response import HttpResponseBase
from django.urls import URLPattern, path
from django.utils import timezone

from directory.models import User
from notifications.api.permissions.console_pages import CONSOLE_ROLES
from notifications.domain.callers import Caller
from notifications.domain.wall_clock import first_zone
from notifications.features.access.principals import caller_of_user
from notifications.features.access.sign_in.rules import SIGN_IN_PAGE, is_active_staff
from notifications.infra.conf import environment

P = ParamSpec("P")


@dataclass(frozen=True, slots=True, kw_only=True)
class Visit:
    """A request of a member of staff who may open the page."""

    request: HttpRequest
    user: User
    caller: Caller
    #: Of the Content-Security-Policy: the scripts of the page carry it.
    nonce: str
    #: Times are shown in the zone of the member of staff.
    zone: tzinfo

    @property
    def is_post(self) -> bool:
        """Whether a form was sent."""
        return self.request.method == "POST"

    @property
    def is_part(self) -> bool:
        """Whether a script shows a part of the page alone. It shows the errors there."""
        return bool(self.request.headers.get("HX-Request"))

    def given(self, name: str, *, longest: int = 200) -> str:
        """Returns a field of the form, or of the query, without blanks around it and cut off.

        Browsers send lines with CR LF: the text has LF, which counts as one character.
        """
        source = self.request.POST if self.is_post else self.request.GET
        text = source.get(name, "")
        if not isinstance(text, str):
            return ""
        text = text.replace("\r\n", "\n").replace("\r", "\n")
        return text.strip().replace("\x00", "")[:longest]


def may_open(visit: Visit, page: str) -> bool:
    """Returns whether the role of the visitor opens a page. page: a key of CONSOLE_ROLES."""
    return visit.user.staff_role in CONSOLE_ROLES[page]


View = Callable[Concatenate[Visit, P], HttpResponseBase]


def console_path(
    pattern: str, view: View[P], *, name: str, methods: tuple[str, ...] = ("GET", "HEAD")
) -> URLPattern:
    """Returns the URL pattern of a page, open to the roles that CONSOLE_ROLES names.

    Raises:
        KeyError: the page is not listed.
    """
    return path(pattern, _guarded(view, CONSOLE_ROLES[pattern], methods), name=name)


def _guarded(
    view: View[P], roles: frozenset[str], methods: tuple[str, ...]
) -> Callable[..., HttpResponseBase]:
    @wraps(view)
    def guarded(request: HttpRequest, **params: Any) -> HttpResponseBase:
        user = request.user
        if not isinstance(user, User) or not is_active_staff(user):
            return _to_sign_in(request)
        if user.staff_role not in roles:
            raise PermissionDenied
        if request.method not in methods:
            return HttpResponseNotAllowed(methods)
        zone, _ = first_zone(user.timezone, environment().timezone)
        visit = Visit(
            request=request,
            user=user,
            caller=caller_of_user(user),
            nonce=secrets.token_urlsafe(16),
            zone=zone,
        )
        with timezone.override(zone):
            return view(visit, **params)  # type: ignore[call-arg]  # the pattern names them

    return guarded


def _to_sign_in(request: HttpRequest) -> HttpResponseBase:
    """Leads to the page for signing in, and from there back to the page, or to its section.

    A form has no page of its own to come back to. A script that fetched a part of a page is asked
    to load the other one as a whole.
    """
    back = request.get_full_path()
    if request.method not in ("GET", "HEAD"):
        back = "/".join(request.path.split("/")[:3])
    answer = redirect_to_login(back, login_url=SIGN_IN_PAGE)
    if request.headers.get("HX-Request"):
        return HttpResponse(headers={"HX-Redirect": answer["Location"]})
    return answer
