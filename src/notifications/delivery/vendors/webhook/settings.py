"""The settings of signed webhooks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from notifications.delivery.protocols.standard_webhooks import UnusableSecret, signing_key
from notifications.delivery.vendor_settings import Storable, VendorSettings
from notifications.domain.settings import setting, signing_secret


def _webhook_secret(given: str) -> None:
    try:
        signing_key(given)
    except UnusableSecret as error:
        raise ValueError from error


@dataclass(frozen=True, kw_only=True)
class Settings(VendorSettings):
    """`CARILLON_WEBHOOK_...`."""

    key: ClassVar[str] = "webhook"

    webhook_secret: str = setting(
        "",
        signing_secret,
        "Signs webhook notifications (Standard Webhooks, `whsec_...`). Empty: derived from the secret key.",
        store=Storable(_webhook_secret, "whsec_ and base64 of 24 to 64 bytes"),
    )
