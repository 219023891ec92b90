"""The settings of Twilio."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from notifications.delivery.vendor_settings import SECRET, Storable, VendorSettings, form
from notifications.domain.settings import setting, text, web_url


@dataclass(frozen=True, kw_only=True)
class Settings(VendorSettings):
    """`CARILLON_TWILIO_...`."""

    key: ClassVar[str] = "twilio"
    needs: ClassVar[tuple[str, ...]] = ("account_sid", "auth_token", "from|messaging_service")
    sender: ClassVar[str] = "from"

    twilio_account_sid: str = setting(
        "",
        text,
        "The Twilio account (`AC...`).",
        store=Storable(form(r"AC[A-Za-z0-9]{1,64}"), "an account (AC...)", ("auth_token",)),
    )
    twilio_auth_token: str = setting(
        "",
        text,
        "The Twilio account's token; signs its callbacks, too.",
        store=Storable(SECRET, "a token"),
    )
    twilio_from: str = setting(
        "",
        text,
        "The number or name that SMS come from.",
        store=Storable(form(r"[A-Za-z0-9+ .&_-]{0,40}"), "a number or a name"),
    )
    twilio_messaging_service: str = setting(
        "",
        text,
        "A Twilio messaging service (`MG...`) in place of one number.",
        store=Storable(form(r"(MG[A-Za-z0-9]{1,64})?"), "a service (MG...)"),
    )
    twilio_base_url: str = setting("https://api.twilio.com", web_url, "Where Twilio is reached.")
