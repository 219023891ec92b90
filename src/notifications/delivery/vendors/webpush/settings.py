"""The settings of Web Push."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from notifications.delivery.vendor_settings import Storable, VendorSettings, form, named
from notifications.domain.settings import setting, text

_PRIVATE_KEY = "notifications.delivery.vendors.webpush.crypto:private_key"


@dataclass(frozen=True, kw_only=True)
class Settings(VendorSettings):
    """`CARILLON_WEBPUSH_...`."""

    key: ClassVar[str] = "webpush"

    webpush_private_key: str = setting(
        "",
        text,
        "The VAPID key: PEM, or 32 bytes in base64url. Empty: derived from the secret key.",
        store=Storable(named(_PRIVATE_KEY), "a P-256 key: PEM, or 32 bytes in base64url"),
    )
    webpush_contact: str = setting(
        "",
        text,
        "The contact of push services for problems: `mailto:...` or https://. Empty: the public URL.",
        store=Storable(
            form(r"mailto:[^\s@]{1,100}@[^\s@]{1,150}|https://[^\s]{1,250}"),
            "mailto:... or https://...",
        ),
    )
