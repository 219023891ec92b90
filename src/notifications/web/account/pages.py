"""The account page: a person's sign-ins, second factors and tokens for the API."""

from __future__ import annotations

from urllib.parse import urlencode

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_POST

from directory.models import User
from notifications.domain.callers import Caller
from notifications.domain.errors import NotFound, Refused
from notifications.features.access.principals import caller_of_user
from notifications.features.access.sign_in.rules import SIGN_IN_PAGE, has_second_factor
from notifications.features.access.tokens.families import issue_tokens
from notifications.features.signing_in.events import row_of
from notifications.features.signing_in.service import SignInService
from notifications.infra import clock
from notifications.models import SignIn
from notifications.models.audit.actions import record_action

LISTED = 50


@never_cache
@login_required
@require_GET
def overview(request: HttpRequest) -> HttpResponse:
    """Shows who is signed in, from where, and by what."""
    user, row = _person(request), _row(request)
    found = SignInService().list(caller=caller_of_user(user), limit=LISTED, current=row.pk)
    context = {
        "person": user,
        "sign_ins": found,
        "has_second_factor": has_second_factor(user),
        "has_password": user.has_usable_password(),
    }
    return render(request, "carillon/account.html", context)


@login_required
@require_POST
def end_sign_in(request: HttpRequest, number: int) -> HttpResponse:
    """Ends one of the person's own sign-ins."""
    user = _person(request)
    own = Caller(name=f"user:{user.pk}", user_id=user.pk)  # no one else's, whatever the role
    SignInService().end(identifier=str(number), caller=own)
    return HttpResponseRedirect("/account")


@login_required
@require_POST
def end_all(request: HttpRequest) -> HttpResponse:
    """Ends all sign-ins and tokens of the person, this session too."""
    user = _person(request)
    SignInService().end_all(user, caller=caller_of_user(user))
    return HttpResponseRedirect(SIGN_IN_PAGE)


@never_cache
@login_required
@require_POST
def create_token(request: HttpRequest) -> HttpResponse:
    """Issues tokens for the API, and shows them once. They are a sign-in of their own."""
    user, row = _person(request), _row(request)
    pair = issue_tokens(user, now=clock.now(), method=row.method, second_factor=row.second_factor)
    record_action(
        actor=f"user:{user.pk}",
        action="token.issued",
        target=f"user:{user.pk}",
        at=clock.now(),
        subject_id=user.pk,
    )
    return render(request, "carillon/account_token.html", {"pair": pair})


def admin_login(request: HttpRequest) -> HttpResponse:
    """Leads to the one sign-in page, and back to the page that was requested."""
    if request.user.is_authenticated:
        raise Refused("your account may not open this page")
    target = request.GET.get("next", "")
    if not url_has_allowed_host_and_scheme(target, allowed_hosts=None):
        target = "/admin/"
    return HttpResponseRedirect(f"{SIGN_IN_PAGE}?{urlencode({'next': target})}")


def _person(request: HttpRequest) -> User:
    assert isinstance(request.user, User), "the decorator admits a person"
    return request.user


def _row(request: HttpRequest) -> SignIn:
    """Returns the sign-in of the session; it may have been ended by another request just now."""
    row = row_of(request)
    if row is None:
        raise NotFound("this session has ended: sign in again", code="unknown_sign_in")
    return row
