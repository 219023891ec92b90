"""The settings of Vonage."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from notifications.delivery.vendor_settings import SECRET, Storable, VendorSettings, form, named
from notifications.domain.settings import setting, text, web_url

_RSA_KEY = "notifications.delivery.vendors.vonage.tokens:read_key"


@dataclass(frozen=True, kw_only=True)
class Settings(VendorSettings):
    """`CARILLON_VONAGE_...`: an application with its private key, or the account's key and secret."""

    key: ClassVar[str] = "vonage"
    needs: ClassVar[tuple[str, ...]] = ("application_id|api_key", "private_key|api_secret", "from")
    sender: ClassVar[str] = "from"

    vonage_application_id: str = setting(
        "",
        text,
        "The Vonage application, whose private key signs the calls.",
        store=Storable(
            form(r"[A-Za-z0-9-]{1,64}"),
            "an application's id",
            ("private_key",),
            ("api_key", "api_secret"),
        ),
    )
    vonage_private_key: str = setting(
        "",
        text,
        "The application's private key, as PEM; `\\n` stands for a line break.",
        store=Storable(named(_RSA_KEY), "an RSA key as PEM", ("application_id",)),
    )
    vonage_api_key: str = setting(
        "",
        text,
        "The Vonage account's key, where calls are not signed by an application.",
        store=Storable(
            form(r"[A-Za-z0-9]{1,64}"),
            "an account's key",
            ("api_secret",),
            ("application_id", "private_key"),
        ),
    )
    vonage_api_secret: str = setting(
        "",
        text,
        "The secret of the account's key.",
        store=Storable(SECRET, "a secret", ("api_key",)),
    )
    vonage_signature_secret: str = setting(
        "",
        text,
        "The account's signature secret, which signs callbacks and incoming texts.",
        store=Storable(SECRET, "a secret"),
    )
    vonage_from: str = setting(
        "",
        text,
        "The number or name that SMS come from.",
        store=Storable(form(r"[A-Za-z0-9+ .&_-]{1,40}"), "a number or a name"),
    )
    vonage_base_url: str = setting(
        "https://api.nexmo.com", web_url, "Where Vonage's Messages API is reached."
    )
