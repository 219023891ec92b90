"""The addresses of the pages for staff. Views of django-allauth have its names."""

from __future__ import annotations

from allauth.account import views as account
from allauth.mfa.base import views as second_factors
from allauth.mfa.recovery_codes import views as recovery
from allauth.mfa.totp import views as totp
from allauth.mfa.webauthn import views as passkeys
from allauth.socialaccount import views as bindings
from django.urls import path
from django.views.generic import RedirectView

from notifications.web.account import factors, links, pages, sign_on

urlpatterns = [
    path("invitation/<str:token>", links.invitation, name="invitation"),
    path("new-password/<str:token>", links.new_password, name="new-password"),
    path("account", pages.overview, name="account"),
    path("account/login", account.login, name="account_login"),
    path("account/logout", account.logout, name="account_logout"),
    path("account/reauthenticate", account.reauthenticate, name="account_reauthenticate"),
    path("account/password", account.password_change, name="account_change_password"),
    path("account/password/set", account.password_set, name="account_set_password"),
    path("account/password/reset", links.request_reset, name="account_reset_password"),
    path("account/sign-ins/<int:number>/end", pages.end_sign_in, name="end-sign-in"),
    path("account/sign-ins/end", pages.end_all, name="end-all-sign-ins"),
    path("account/token", pages.create_token, name="account-token"),
    path("account/2fa", second_factors.index, name="mfa_index"),
    path("account/2fa/authenticate", second_factors.authenticate, name="mfa_authenticate"),
    path("account/2fa/reauthenticate", second_factors.reauthenticate, name="mfa_reauthenticate"),
    path("account/2fa/totp/activate", totp.activate_totp, name="mfa_activate_totp"),
    path("account/2fa/totp/deactivate", factors.deactivate_app, name="mfa_deactivate_totp"),
    path("account/2fa/codes", recovery.view_recovery_codes, name="mfa_view_recovery_codes"),
    path(
        "account/2fa/codes/generate",
        recovery.generate_recovery_codes,
        name="mfa_generate_recovery_codes",
    ),
    path("account/2fa/passkeys", passkeys.list_webauthn, name="mfa_list_webauthn"),
    path("account/2fa/passkeys/add", passkeys.add_webauthn, name="mfa_add_webauthn"),
    path("account/2fa/passkeys/login", passkeys.login_webauthn, name="mfa_login_webauthn"),
    path(
        "account/2fa/passkeys/reauthenticate",
        passkeys.reauthenticate_webauthn,
        name="mfa_reauthenticate_webauthn",
    ),
    path(
        "account/2fa/passkeys/<int:pk>/remove",
        factors.remove_passkey,
        name="mfa_remove_webauthn",
    ),
    path("account/2fa/passkeys/<int:pk>/edit", passkeys.edit_webauthn, name="mfa_edit_webauthn"),
    path("account/bindings", bindings.connections, name="socialaccount_connections"),
    path("account/oidc/cancelled", bindings.login_cancelled, name="socialaccount_login_cancelled"),
    path("account/oidc/<str:provider_id>/login", sign_on.begin, name="openid_connect_login"),
    path("account/oidc/<str:provider_id>/callback", sign_on.finish, name="openid_connect_callback"),
    path("admin/login/", pages.admin_login),
    path("admin/password_change/", RedirectView.as_view(url="/account/password")),
]
