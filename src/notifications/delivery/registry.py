"""Which class carries which provider key: an explicit dict, no scanning."""

from __future__ import annotations

import functools
from importlib import import_module

from notifications.conf import environment
from notifications.delivery.base import NotificationChannelProvider
from notifications.domain.channels import Channel

_ROOT = "notifications.delivery.providers"

PROVIDERS = {
    "smtp": f"{_ROOT}.email.smtp:SMTPEmailProvider",
    "fcm": f"{_ROOT}.push.fcm:FCMPushProvider",
    "in_app": f"{_ROOT}.in_app.inbox:InboxProvider",
    "webhook": f"{_ROOT}.webhook.signed:SignedWebhookProvider",
    "sandbox": f"{_ROOT}.sandbox.outbox:SandboxProvider",
}


def provider_keys_for(channel: str) -> tuple[str, ...]:
    """The providers that carry a channel, the first choice first, by the settings."""
    chosen = {
        Channel.EMAIL: environment().email_provider,
        Channel.PUSH: environment().push_provider,
        Channel.SMS: environment().sms_provider,
        Channel.TELEGRAM: environment().telegram_provider,
        Channel.WEBHOOK: environment().webhook_provider,
        Channel.IN_APP: "in_app",
        Channel.WEBSOCKET: "in_app",  # an inbox row until the hub is built
    }
    key = chosen.get(Channel(channel), "sandbox")
    return (key,)


@functools.cache
def provider_class(key: str) -> type[NotificationChannelProvider]:
    """The class of a provider key.

    Raises:
        KeyError: for a key that is not registered.
    """
    module, _, name = PROVIDERS[key].partition(":")
    loaded: type[NotificationChannelProvider] = getattr(import_module(module), name)
    return loaded
