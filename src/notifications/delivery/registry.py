"""Which class carries which provider key: an explicit dict, no scanning."""

from __future__ import annotations

import functools
from importlib import import_module

from notifications.delivery.base import NotificationChannelProvider
from notifications.delivery.callbacks.base import CallbackReader
from notifications.domain.channels import Channel
from notifications.infra.conf import environment, push_carriers

_ROOT = "notifications.delivery.providers"

PROVIDERS = {
    "smtp": f"{_ROOT}.email.smtp:SMTPEmailProvider",
    "ses": f"{_ROOT}.email.ses:AWSSESEmailProvider",
    "anymail": f"{_ROOT}.email.anymail:AnymailEmailProvider",
    "fcm": f"{_ROOT}.push.fcm:FCMPushProvider",
    "webpush": f"{_ROOT}.push.web_push:WebPushProvider",
    "twilio": f"{_ROOT}.sms.twilio:TwilioSMSProvider",
    "telegram": f"{_ROOT}.telegram.bot_api:TelegramBotProvider",
    "apprise": f"{_ROOT}.chat.apprise:AppriseChatProvider",
    "in_app": f"{_ROOT}.in_app.inbox:InboxProvider",
    "webhook": f"{_ROOT}.webhook.signed:SignedWebhookProvider",
    "sandbox": f"{_ROOT}.sandbox.outbox:SandboxProvider",
}

CALLBACKS = {
    "ses": "notifications.delivery.callbacks.ses:SesCallbacks",
    "twilio": "notifications.delivery.callbacks.twilio:TwilioCallbacks",
    "anymail": "notifications.delivery.callbacks.anymail:AnymailCallbacks",
    "simulator": "notifications.delivery.callbacks.simulator:SimulatorCallbacks",
    "generic": "notifications.delivery.callbacks.signed:SignedCallbacks",
}

_INBOX = frozenset({"in_app", "websocket"})  # websocket: an inbox row until the hub is built
_SETTINGS = {
    "email": "email_provider",
    "push": "push_provider",
    "sms": "sms_provider",
    "telegram": "telegram_provider",
    "webhook": "webhook_provider",
    "chat": "chat_provider",
}


def provider_keys_for(channel: str) -> tuple[str, ...]:
    """The providers that carry a channel, as the settings name them."""
    if channel in _INBOX:
        return ("in_app",)
    return tuple(weights_for(channel))


def weights_for(channel: str) -> dict[str, int]:
    """The providers that the settings name for a channel, with their weights."""
    setting = _SETTINGS.get(channel)
    return _weights(getattr(environment(), setting) if setting else "sandbox")


@functools.lru_cache(maxsize=64)
def _weights(text: str) -> dict[str, int]:
    """From `smtp`, or `smtp=3,ses=1`."""
    pairs = (part.partition("=") for part in text.split(","))
    return {name.strip(): int(weight or 1) for name, _, weight in pairs}


def _carriers(channel: str) -> list[str]:
    own = push_carriers().values() if channel == Channel.PUSH else ()
    return list(dict.fromkeys((*provider_keys_for(channel), *own)))


def chosen_channels() -> dict[str, list[str]]:
    """The providers that the settings choose, each with the channels it carries."""
    found: dict[str, list[str]] = {}
    for channel in Channel:
        for key in _carriers(channel):
            found.setdefault(key, []).append(channel)
    return found


@functools.cache
def provider_class(key: str) -> type[NotificationChannelProvider]:
    """The class of a provider key.

    Raises:
        KeyError: for a key that is not registered.
    """
    module, _, name = PROVIDERS[key].partition(":")
    loaded: type[NotificationChannelProvider] = getattr(import_module(module), name)
    return loaded


def is_row_channel(key: str) -> bool:
    """Whether a provider's channel is a row of ours, committed with the record."""
    return provider_class(key).capabilities.row_channel


@functools.cache
def callback_reader(key: str) -> CallbackReader:
    """The reader of a vendor's callbacks.

    Raises:
        KeyError: nobody reads callbacks of that name.
    """
    module, _, name = CALLBACKS[key].partition(":")
    made: CallbackReader = getattr(import_module(module), name)()
    return made
