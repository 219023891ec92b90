"""The settings of django-allauth: staff sign in by it, and no one registers."""

from __future__ import annotations

from typing import Any

from carillon.settings.environment import Environment

_ROOM = "notifications.features.signing_in"
APPS = [
    "allauth",
    f"{_ROOM}.apps.StaffAccountConfig",
    "allauth.mfa",
    "allauth.socialaccount",
]


def account_settings(environment: Environment) -> dict[str, Any]:
    """Returns Django's settings by name, for the apps of allauth."""
    return {
        # Its own migrations write addresses of users in lower case, which are sealed here.
        "MIGRATION_MODULES": {"account": f"{_ROOM}.migrations"},
        "LOGIN_URL": "/account/login",
        "LOGIN_REDIRECT_URL": "/account",
        "LOGOUT_REDIRECT_URL": "/account/login",
        "ACCOUNT_ADAPTER": f"{_ROOM}.account_adapter.StaffAccountAdapter",
        "ACCOUNT_LOGIN_METHODS": {"username"},
        "ACCOUNT_SIGNUP_FIELDS": ["username*", "password1*"],
        "ACCOUNT_SIGNUP_ENABLED": False,
        "ACCOUNT_EMAIL_VERIFICATION": "none",
        "ACCOUNT_UNIQUE_EMAIL": False,  # addresses find no account, and these rows are not used
        "ACCOUNT_EMAIL_NOTIFICATIONS": True,
        "ACCOUNT_LOGOUT_ON_PASSWORD_CHANGE": True,
        "ACCOUNT_SESSION_REMEMBER": True,
        "ACCOUNT_RATE_LIMITS": False,  # guard_sign_in counts, by address and by name
        "ACCOUNT_REAUTHENTICATION_METHODS": ["password", "mfa"],
        "ACCOUNT_FORMS": {"change_password": f"{_ROOM}.forms.GuardedPasswordChange"},
        "MFA_ADAPTER": f"{_ROOM}.factor_adapter.StaffFactorAdapter",
        "MFA_SUPPORTED_TYPES": ["totp", "recovery_codes", "webauthn"],
        "MFA_PASSKEY_LOGIN_ENABLED": True,
        "MFA_RECOVERY_CODES_SHOW_ONCE": True,
        "MFA_TOTP_ISSUER": environment.app_name,
        "MFA_TOTP_TOLERANCE": 1,
        "MFA_RATE_LIMITS": {"webauthn_login": "30/m/ip"},
        "MFA_FORMS": {
            "authenticate": f"{_ROOM}.forms.GuardedFactor",
            "reauthenticate": f"{_ROOM}.forms.GuardedReauthentication",
            "activate_totp": f"{_ROOM}.forms.GuardedActivation",
        },
        "SOCIALACCOUNT_ADAPTER": f"{_ROOM}.sign_on_adapter.SignOnAdapter",
        "SOCIALACCOUNT_STORE_TOKENS": False,
        "SOCIALACCOUNT_REQUESTS_TIMEOUT": 5,
        "SOCIALACCOUNT_EMAIL_AUTHENTICATION": False,
        "SOCIALACCOUNT_AUTO_SIGNUP": False,
        "PASSWORD_RESET_TIMEOUT": environment.reset_link_minutes * 60,
        "SESSION_COOKIE_AGE": environment.session_hours * 3600,
        "CACHES": {"default": {"BACKEND": f"{_ROOM}.shared_marks.SharedMarks"}},
    }
