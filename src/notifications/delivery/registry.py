"""The vendors: one entry for each, and the classes of each, loaded on first use.

The settings are read before Django is ready, and they read this registry. It therefore imports
nothing large at the top.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any

from notifications.domain.channels import ROW_CHANNELS, Channel
from notifications.domain.weights import read_weights
from notifications.infra.conf import environment, push_carriers

if TYPE_CHECKING:
    from notifications.delivery.base import NotificationChannelProvider
    from notifications.delivery.callbacks.base import CallbackReader
    from notifications.delivery.callbacks.inbound import InboundReader
    from notifications.delivery.vendor_settings import VendorSettings

_ROOT = "notifications.delivery.vendors"


@dataclass(frozen=True, slots=True)
class Vendor:
    """One vendor. A class name is empty if the vendor's folder has no such file."""

    key: str
    #: The channels of its provider: none if it only sends receipts, `any` for the sandbox.
    channels: tuple[str, ...]
    #: The provider's class, in `send.py`.
    send: str = ""
    #: The reader of callbacks, in `callbacks.py`.
    callbacks: str = ""
    #: The reader of incoming texts, in `inbound.py`.
    inbound: str = ""
    #: Whether it has `settings.py`, with the class `Settings`.
    settings: bool = True

    def part(self, file: str, name: str) -> str:
        """Returns the path of one of the vendor's classes, as `module:name`."""
        return f"{_ROOT}.{self.key}.{file}:{name}"


_EMAIL, _PUSH, _SMS = ("email",), ("push",), ("sms",)

VENDORS = (
    # key, channels, send.py, callbacks.py, inbound.py
    Vendor("smtp", _EMAIL, "SMTPEmailProvider"),
    Vendor("ses", _EMAIL, "AWSSESEmailProvider", "SesCallbacks"),
    Vendor("anymail", _EMAIL, "AnymailEmailProvider", "AnymailCallbacks"),
    Vendor("fcm", _PUSH, "FCMPushProvider"),
    Vendor("webpush", _PUSH, "WebPushProvider"),
    Vendor("twilio", _SMS, "TwilioSMSProvider", "TwilioCallbacks", "TwilioInbound"),
    Vendor("vonage", _SMS, "VonageSMSProvider", "VonageCallbacks", "VonageInbound"),
    Vendor("telegram", ("telegram",), "TelegramBotProvider"),
    Vendor("apprise", ("chat",), "AppriseChatProvider"),
    Vendor("in_app", ("in_app", "websocket"), "InboxProvider", settings=False),
    Vendor("webhook", ("webhook",), "SignedWebhookProvider"),
    Vendor("sandbox", ("any",), "SandboxProvider", settings=False),
    Vendor("simulator", (), callbacks="SimulatorCallbacks", settings=False),
    Vendor("generic", (), callbacks="GenericCallbacks", settings=False),
)

_BY_KEY = {vendor.key: vendor for vendor in VENDORS}
PROVIDERS = tuple(vendor.key for vendor in VENDORS if vendor.send)
"""The keys of vendors that send messages."""
CALLBACKS = tuple(vendor.key for vendor in VENDORS if vendor.callbacks)
"""The keys of vendors that send callbacks."""
INBOUND = tuple(vendor.key for vendor in VENDORS if vendor.inbound)
"""The keys of vendors that forward incoming texts."""

_SETTINGS = {
    "email": "email_provider",
    "push": "push_provider",
    "sms": "sms_provider",
    "telegram": "telegram_provider",
    "webhook": "webhook_provider",
    "chat": "chat_provider",
}


def carriers_of(channel: str) -> tuple[str, ...]:
    """Returns the providers that a setting may select for a channel, the sandbox first."""
    return ("sandbox", *(vendor.key for vendor in VENDORS if channel in vendor.channels))


def provider_keys_for(channel: str) -> tuple[str, ...]:
    """Returns the providers that the settings select for a channel."""
    return tuple(read_weights(weights_for(channel)))


def weights_for(channel: str) -> str:
    """Returns the setting that selects the providers of a channel, such as `smtp=3,ses=1`."""
    if channel in ROW_CHANNELS:  # websocket: an inbox row until the hub is built
        return "in_app"
    setting = _SETTINGS.get(channel)
    return getattr(environment(), setting) if setting else "sandbox"


def _carriers(channel: str) -> list[str]:
    chosen = provider_keys_for(channel)
    if channel != Channel.PUSH:
        return list(chosen)
    own = (each for vendor in chosen for each in push_carriers(vendor).values())
    return list(dict.fromkeys((*chosen, *own)))


def chosen_channels() -> dict[str, list[str]]:
    """Returns the providers that the settings select, each with its channels."""
    found: dict[str, list[str]] = {}
    for channel in Channel:
        for key in _carriers(channel):
            found.setdefault(key, []).append(channel)
    return found


@functools.cache
def provider_class(key: str) -> type[NotificationChannelProvider]:
    """Returns the class of a provider key.

    Raises:
        KeyError: for a key that is not registered.
    """
    loaded: type[NotificationChannelProvider] = _load(key, "send")
    return loaded


def is_row_provider(key: str) -> bool:
    """Whether a provider's channel is a row of our own database, which commits with the record."""
    return provider_class(key).capabilities.row_channel


@functools.cache
def callback_reader(key: str) -> CallbackReader:
    """Returns the reader of a vendor's callbacks.

    Raises:
        KeyError: no vendor of that name sends callbacks.
    """
    made: CallbackReader = _load(key, "callbacks")()
    return made


@functools.cache
def inbound_reader(key: str) -> InboundReader:
    """Returns the reader of a vendor's incoming texts.

    Raises:
        KeyError: no vendor of that name forwards incoming texts.
    """
    made: InboundReader = _load(key, "inbound")()
    return made


def settings_class(key: str) -> type[VendorSettings] | None:
    """Returns the settings class of a vendor; None if it has none.

    Raises:
        KeyError: for a key that is not registered.
    """
    if not _BY_KEY[key].settings:
        return None
    loaded: type[VendorSettings] = _named(_BY_KEY[key].part("settings", "Settings"))
    return loaded


def settings_classes() -> list[type[VendorSettings]]:
    """Returns the settings classes of all vendors, in the order of the registry."""
    found = (settings_class(vendor.key) for vendor in VENDORS)
    return [each for each in found if each is not None]


def _load(key: str, file: str) -> Any:
    name = getattr(_BY_KEY[key], file)
    if not name:
        raise KeyError(key)
    return _named(_BY_KEY[key].part(file, name))


def _named(path: str) -> Any:
    module, _, name = path.partition(":")
    return getattr(import_module(module), name)
