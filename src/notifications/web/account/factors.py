"""Pages that remove a second factor: the last one of a person who must have one stays."""

from __future__ import annotations

from typing import Any

from allauth.account.adapter import get_adapter as get_account_adapter
from allauth.mfa.adapter import get_adapter
from allauth.mfa.totp.views import DeactivateTOTPView
from allauth.mfa.webauthn.views import RemoveWebAuthnView
from django.contrib import messages
from django.db import transaction
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse

from directory.models import User


class _InTurn:
    """Removes the factors of a person one after the other, so that two requests do not each leave
    the other one's."""

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        with transaction.atomic():
            User.objects.select_for_update().get(pk=request.user.pk or 0)
            response: HttpResponse = super().post(request, *args, **kwargs)  # type: ignore[misc]
        return response


class DeactivateApp(_InTurn, DeactivateTOTPView):  # type: ignore[misc]  # allauth has no types
    """Removes the authenticator app. Its form checks whether it may go."""


class RemovePasskey(_InTurn, RemoveWebAuthnView):  # type: ignore[misc]
    """Removes a passkey. allauth itself would remove the last one, too."""

    def form_valid(self, form: Any) -> HttpResponse:
        factors = get_adapter()
        if factors.can_delete_authenticator(self.object):
            response: HttpResponse = super().form_valid(form)
            return response
        refusal = factors.error_messages["cannot_delete_authenticator"]
        get_account_adapter().add_message(self.request, messages.ERROR, message=refusal)
        return HttpResponseRedirect(reverse("mfa_list_webauthn"))


deactivate_app = DeactivateApp.as_view()
remove_passkey = RemovePasskey.as_view()
