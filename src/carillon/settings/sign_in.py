"""The settings of the sign-in of staff: single sign-on, second factors, sessions, invitations."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlsplit

from carillon.settings.readings import flag
from notifications.domain.settings import integer, one_of, optional_url, setting, text, words

ROLES = ("admin", "operator", "author", "analyst")


def role_pairs(text: str) -> tuple[str, ...]:
    """value=role pairs separated by commas, such as notify-admins=admin,marketing=author"""
    pairs = words(text)
    for pair in pairs:
        value, _, role = pair.rpartition("=")
        if not value or role not in ROLES:
            raise ValueError
    return pairs


@dataclass(frozen=True, kw_only=True)
class SignInSettings:
    """How staff sign in."""

    # fmt: off
    oidc_issuer: str = setting("", optional_url, "The issuer of the OpenID Connect provider at which staff sign in, such as `https://login.example.com/realms/staff`. Empty: no single sign-on.")
    oidc_client_id: str = setting("", text, "The client id of this service at the provider.")
    oidc_client_secret: str = setting("", text, "The client secret of this service at the provider.")
    oidc_name: str = setting("Single sign-on", text, "The name of the provider on the sign-in page.")
    oidc_scopes: tuple[str, ...] = setting(("openid", "profile", "email"), words, "The scopes that are requested from the provider.")
    oidc_role_claim: str = setting("groups", text, "The claim whose values `CARILLON_OIDC_ROLES` maps to roles.")
    oidc_roles: tuple[str, ...] = setting((), role_pairs, "The role of staff by a value of the claim: `notify-admins=admin,marketing=author`. The role with the most rights counts, at each sign-in. Empty: the provider sets no roles.")
    single_sign_on_enforced: bool = setting(False, flag, "Refuse passwords and passkeys of all staff, except for the break-glass accounts of `carillon admin break-glass`.")
    require_second_factor: str = setting("off", one_of("off", "admins", "staff"), "Who must have a second factor: `admins`, all `staff`, or no one. Without one, a session can only set one up.")
    session_hours: int = setting(12, integer(1, 720), "How many hours a session of staff lasts at most.")
    session_idle_minutes: int = setting(60, integer(5, 1_440), "After how many minutes without a request a session of staff ends.")
    invitation_hours: int = setting(72, integer(1, 720), "How many hours an invitation of staff is valid.")
    invitation_retention_days: int = setting(90, integer(1, 3_650), "How many days after the end of its link an invitation is stored.")
    reset_link_minutes: int = setting(60, integer(5, 1_440), "How many minutes the link to a new password is valid.")
    # fmt: on


def sign_in_faults(settings: SignInSettings, *, production: bool) -> list[str]:
    """Returns what is wrong with the settings together, each with how to correct it."""
    faults = []
    if settings.single_sign_on_enforced and not settings.oidc_issuer:
        faults.append(
            "CARILLON_SINGLE_SIGN_ON_ENFORCED is on without CARILLON_OIDC_ISSUER: set the issuer,"
            " or remove it"
        )
    if settings.oidc_issuer and not settings.oidc_client_id:
        faults.append(
            "CARILLON_OIDC_CLIENT_ID is missing: set it to the id of this service at the provider"
        )
    if production and settings.oidc_issuer and urlsplit(settings.oidc_issuer).scheme != "https":
        faults.append("CARILLON_OIDC_ISSUER is not https: production requires https://")
    return faults
