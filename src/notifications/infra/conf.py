"""The settings as the service reads them: typed, from the project's environment."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.conf import settings

from notifications.domain.weights import read_weights

if TYPE_CHECKING:
    from carillon.settings.environment import Environment as Environment


def environment() -> Environment:
    """Returns the typed CARILLON_* environment. Tests override `settings.CARILLON`."""
    found: Environment = settings.CARILLON
    return found


def push_carriers(vendor: str) -> dict[str, str]:
    """Returns the provider of push for each kind of device; kinds without a provider are left out.

    Browsers are reached by Web Push wherever push is enabled, because it needs no account.

    Args:
        vendor: the vendor of `CARILLON_PUSH_PROVIDER` that a message goes to. The sandbox receives
            the messages of all devices.
    """
    if vendor == "sandbox":
        return dict.fromkeys(("fcm", "webpush", "apns"), "sandbox")
    has_fcm = "fcm" in read_weights(environment().push_provider)
    return {"webpush": "webpush"} | ({"fcm": "fcm"} if has_fcm else {})
