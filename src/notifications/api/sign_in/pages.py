"""The pages of staff, and who may open them. `reach.py` has those of the whole service."""

from __future__ import annotations

ACCOUNT_URLS: dict[str, str] = {
    "invitation/<str:token>": "anyone with the signed link, once",
    "new-password/<str:token>": "anyone with the link, once",
    "account/login": "anyone: staff sign in there, throttled",
    "account/password/reset": "anyone: the answer is the same for every address",
    "account/2fa/authenticate": "anyone whose password was right just now",
    "account/2fa/passkeys/login": "anyone: staff sign in there with a passkey",
    "account/oidc/cancelled": "anyone: a page without data",
    "account/oidc/<str:provider_id>/login": "anyone: it leads to the provider of single sign-on",
    "account/oidc/<str:provider_id>/callback": "anyone with a code of the provider",
    "account/logout": "anyone: it ends the own session",
    **dict.fromkeys(
        (
            "account",
            "account/reauthenticate",
            "account/password",
            "account/password/set",
            "account/sign-ins/<int:number>/end",
            "account/sign-ins/end",
            "account/token",
            "account/2fa",
            "account/2fa/reauthenticate",
            "account/2fa/totp/activate",
            "account/2fa/totp/deactivate",
            "account/2fa/codes",
            "account/2fa/codes/generate",
            "account/2fa/passkeys",
            "account/2fa/passkeys/add",
            "account/2fa/passkeys/reauthenticate",
            "account/2fa/passkeys/<int:pk>/remove",
            "account/2fa/passkeys/<int:pk>/edit",
            "account/bindings",
        ),
        "the signed-in person, for themselves",
    ),
}
"""Who may open each page, by its path."""
