"""The settings of the Telegram bot."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from notifications.delivery.vendor_settings import Storable, VendorSettings, form
from notifications.domain.settings import setting, text, web_url


@dataclass(frozen=True, kw_only=True)
class Settings(VendorSettings):
    """`CARILLON_TELEGRAM_...`."""

    key: ClassVar[str] = "telegram"
    needs: ClassVar[tuple[str, ...]] = ("bot_token",)

    telegram_bot_token: str = setting(
        "",
        text,
        "The Telegram bot's token, from @BotFather.",
        store=Storable(form(r"[0-9]{1,20}:[A-Za-z0-9_-]{1,100}"), "a token of @BotFather"),
    )
    telegram_bot_name: str = setting(
        "", text, "The Telegram bot's user name, for links that connect a person's chat."
    )
    telegram_webhook_secret: str = setting(
        "",
        text,
        "The secret that Telegram sends with each update (`secret_token` of setWebhook). Empty: derived from the secret key.",
    )
    telegram_base_url: str = setting(
        "https://api.telegram.org",
        web_url,
        "Where the Telegram Bot API is reached; a local Bot API server serves as well.",
    )
