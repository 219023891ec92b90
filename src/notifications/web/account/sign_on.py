"""`/account/oidc/...`: the way to the provider of single sign-on, and back."""

from __future__ import annotations

from allauth.account.internal.decorators import login_not_required
from allauth.socialaccount.helpers import render_authentication_error
from allauth.socialaccount.providers.oauth2.client import OAuth2Error
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe
from requests import RequestException

from notifications.features.signing_in.sign_on import (
    PROVIDER_ID,
    WRONG_SHAPE,
    SignOnCallback,
    SignOnClient,
    provider_app,
)

_OWN = ("same-origin", "none", "")
"""Values of Sec-Fetch-Site of a request that no other site caused; old browsers send none."""


@login_not_required  # type: ignore[untyped-decorator]
@require_safe
def begin(request: HttpRequest, provider_id: str) -> HttpResponse:
    """Leads to the provider. Where another site leads here, the person is asked first.

    It is a link and no form: a policy of forms would not allow the way to another site.
    """
    client = _client(request, provider_id)
    provider = client.get_provider()
    if request.headers.get("Sec-Fetch-Site", "") not in _OWN:
        return render(request, "socialaccount/login.html", {"provider": provider})
    try:
        response: HttpResponse = provider.redirect_from_request(request)
    except (OAuth2Error, RequestException, *WRONG_SHAPE) as error:
        found: HttpResponse = render_authentication_error(request, provider, exception=error)
        return found
    return response


@login_not_required  # type: ignore[untyped-decorator]
@require_safe
def finish(request: HttpRequest, provider_id: str) -> HttpResponse:
    """Signs in who comes back from the provider."""
    view = SignOnCallback.adapter_view(_client(request, provider_id))
    response: HttpResponse = view(request)
    return response


def _client(request: HttpRequest, provider_id: str) -> SignOnClient:
    if provider_id != PROVIDER_ID or provider_app() is None:
        raise Http404
    return SignOnClient(request, PROVIDER_ID)
