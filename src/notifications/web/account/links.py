"""The pages of mailed links: an invitation, and a new password. A link works once.

Neither page says whom a void link was for.
"""

from __future__ import annotations

from allauth.account.internal.flows.login import perform_password_login
from allauth.account.models import Login
from django.contrib.auth import logout
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from directory.models import User
from notifications.domain.errors import InvalidRequest, NotFound
from notifications.features.access.sign_in.rules import SIGN_IN_PAGE
from notifications.features.access.throttles import count_request
from notifications.features.signing_in.invitations import accept_by_password, read_invitation
from notifications.features.signing_in.password_reset import (
    sealed_address,
    set_new_password,
    user_of_link,
)
from notifications.features.signing_in.sign_on_adapter import INVITATION_KEY
from notifications.infra import clock
from notifications.infra.conf import environment
from notifications.infra.http.client_address import address_of
from notifications.models import StaffInvitation
from notifications.tasks import send_reset_mail

_LONGEST = 4096


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def invitation(request: HttpRequest, token: str) -> HttpResponse:
    """Shows the ways to accept an invitation; POST accepts it with a password."""
    row = read_invitation(token, now=clock.now())
    if row is None:
        return _void(request)
    if request.user.is_authenticated:
        logout(request)  # the invited person is not the one who is signed in
    if environment().oidc_issuer:
        request.session[INVITATION_KEY] = row.pk  # for the way by single sign-on
    if request.method == "POST" and not environment().single_sign_on_enforced:
        return _accept(request, row)
    return _invitation_page(request, row, {})


def _accept(request: HttpRequest, row: StaffInvitation) -> HttpResponse:
    password, again = _passwords(request)
    if password != again:
        return _invitation_page(request, row, {"password": ["different"]})
    try:
        user = accept_by_password(
            row,
            username=request.POST.get("username", "")[:_LONGEST],
            password=password,
            now=clock.now(),
        )
    except InvalidRequest as error:
        found: dict[str, list[str]] = {}
        for each in error.errors:
            found.setdefault(each.path, []).append(each.detail)
        return _invitation_page(request, row, found)
    except NotFound:
        return _void(request)
    request.session.pop(INVITATION_KEY, None)
    login = Login(user=user, redirect_url="/account")
    response: HttpResponse = perform_password_login(request, {"username": user.username}, login)
    return response


def _invitation_page(
    request: HttpRequest, row: StaffInvitation, errors: dict[str, list[str]]
) -> HttpResponse:
    existing: User | None = row.user
    context = {
        "errors": errors,
        "role": row.get_role_display(),
        "username": request.POST.get("username", "") or (existing or row).email,
        "existing": existing is not None,
    }
    status = 400 if errors else 200
    return _private(render(request, "carillon/invitation.html", context, status=status))


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def new_password(request: HttpRequest, token: str) -> HttpResponse:
    """Shows the form of a new password; POST sets it, and ends all sessions."""
    if user_of_link(token) is None:
        return _void(request)
    errors: list[str] = []
    if request.method == "POST":
        password, again = _passwords(request)
        try:
            if password != again:
                errors = ["different"]
            elif set_new_password(token, password) is None:
                return _void(request)
            else:
                return HttpResponseRedirect(SIGN_IN_PAGE)
        except InvalidRequest as error:
            errors = [each.detail for each in error.errors]
    status = 400 if errors else 200
    context = {"errors": errors}
    return _private(render(request, "carillon/new_password.html", context, status=status))


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def request_reset(request: HttpRequest) -> HttpResponse:
    """Takes an address and queues the mail: the answer and its time are the same for every one.

    Raises:
        Throttled: too many requests from this address.
    """
    is_sent = request.method == "POST"
    if is_sent:
        email = request.POST.get("email", "")[:254]
        count_request("reset", address_of(request), email, now=clock.now())
        send_reset_mail.delay(address=sealed_address(email.replace("\x00", "")))
    return render(request, "carillon/request_reset.html", {"is_sent": is_sent})


def _passwords(request: HttpRequest) -> tuple[str, str]:
    form = request.POST
    return form.get("password", "")[:_LONGEST], form.get("again", "")[:_LONGEST]


def _void(request: HttpRequest) -> HttpResponse:
    return _private(render(request, "carillon/link_void.html", status=404))


def _private(response: HttpResponse) -> HttpResponse:
    """Sends the link to no other site. With `no-referrer` a form would have no origin, and the
    check against forgery would refuse it."""
    response["Referrer-Policy"] = "same-origin"
    response["X-Robots-Tag"] = "noindex"
    return response
