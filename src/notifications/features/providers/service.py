"""ProviderService: the providers, their accounts, and whether they work."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Mapping
from typing import Annotated, Any

import msgspec
from django.conf import settings
from django.db import transaction
from django.db.models import F

from notifications.delivery import accounts
from notifications.delivery.base import call_safely
from notifications.delivery.registry import (
    CALLBACKS,
    PROVIDERS,
    callback_reader,
    chosen_channels,
    provider_class,
)
from notifications.delivery.stored_settings import storable
from notifications.delivery.vendor_settings import UnusableSetting
from notifications.delivery.vendors.webpush.crypto import derived_key, public_key
from notifications.delivery.vendors.webpush.settings import Settings as WebPushSettings
from notifications.domain.callers import Caller
from notifications.domain.channels import Channel
from notifications.domain.errors import FieldError, InvalidRequest, NotFound, Refused
from notifications.domain.messages import Content, OutboundMessage
from notifications.engine.shared_rows import refresh_accounts
from notifications.infra import clock
from notifications.infra.conf import environment
from notifications.infra.field_types import VerdictName, choice
from notifications.models import ProviderConfig
from notifications.models.audit.actions import record_action

SCOPE = "providers:write"
ADDRESS_SCOPE = "notifications:address"
_LONGEST_VALUE = 20_000


class SettingResponse(msgspec.Struct, kw_only=True):
    """One setting of a provider."""

    value: str | None
    """The value in force; null for a secret. Example: `eu-west-1`"""

    source: Annotated[
        str,
        choice("SettingSource", ("stored", "environment", "default"), "Where the value is from."),
    ]

    secret: bool
    """Whether the value is a secret, which is never shown."""

    storable: bool
    """Whether the setting may be stored; others come from the environment alone."""


class ProviderResponse(msgspec.Struct, kw_only=True):
    """A provider and its account."""

    key: str
    """The key of the provider. Example: `twilio`"""

    channel: Annotated[
        str,
        choice("ProviderChannel", (*Channel, "any"), "The channel; the sandbox carries any."),
    ]

    chosen: bool
    """Whether the provider carries its channel now."""

    missing: list[str]
    """The settings that it cannot work without and that have no value.
    Example: `["auth_token"]`"""

    fault: str
    """Why the stored settings are not used; empty when they are. Example: `cannot be decrypted`"""

    settings: dict[str, SettingResponse]
    """The settings by short name."""

    callback_url: str | None
    """The URL to which the vendor sends receipts; null when it sends none.
    Example: `https://carillon.example.com/api/v1/callbacks/twilio`"""

    receipts: bool
    """Whether the vendor sends receipts."""

    batch_size: int
    """The most messages in one call. Example: `1`"""

    calls_at_once: int
    """The most calls at the same time. Example: `20`"""


class TestResponse(msgspec.Struct, kw_only=True):
    """What a provider returned for a test."""

    __test__ = False  # not a test of pytest's

    verdict: VerdictName

    provider_message_id: str
    """The vendor's id of the message; empty when there is none. Example: `SM0123456789abcdef`"""

    error: str
    """The error as a sentence; empty when there was none. Example: `connection refused`"""

    error_code: str
    """The code of the fault; empty when there was none. Example: `timeout`"""

    duration_ms: int
    """How long the call took, in milliseconds. Example: `180`"""


class ProviderService:
    """Manages the accounts of providers. Every change and test is recorded with its actor."""

    def providers(self, *, caller: Caller) -> list[ProviderResponse]:
        """Returns all providers, in the order of the registry."""
        _check(caller)
        refresh_accounts(at_once=True)
        stored = {row.key: row.given() for row in ProviderConfig.objects.all()}
        return [_response_of(key, stored.get(key, {})) for key in PROVIDERS]

    def store(self, *, key: str, given: Mapping[str, str], caller: Caller) -> ProviderResponse:
        """Replaces the stored settings of a provider; they override the environment at once.

        Raises:
            NotFound: unknown_provider.
            InvalidRequest: with an error for each setting that is unknown or cannot be read.
        """
        _check(caller)
        _check_key(key)
        _check_values(given)
        accounts.read_values(key, given)
        with transaction.atomic():
            ProviderConfig.objects.update_or_create(
                key=key,
                defaults={
                    "settings": dict(given),
                    "version": F("version") + 1,
                    "updated_by": caller.name,
                    "updated_at": clock.now(),
                },
                create_defaults={
                    "settings": dict(given),
                    "version": _first_version(),
                    "updated_by": caller.name,
                    "updated_at": clock.now(),
                },
            )
            _record_action(caller, "provider.set", key, ", ".join(sorted(given)))
        refresh_accounts(at_once=True)
        return _response_of(key, given)

    def delete(self, *, key: str, caller: Caller) -> None:
        """Deletes the stored settings; those of the environment apply again.

        Raises:
            NotFound: unknown_provider, or nothing is stored.
        """
        _check(caller)
        _check_key(key)
        with transaction.atomic():
            gone, _ = ProviderConfig.objects.filter(key=key).delete()
            if not gone:
                raise NotFound(f"nothing is stored for {key}", code="no_stored_settings")
            _record_action(caller, "provider.delete", key, "")
        refresh_accounts(at_once=True)

    def send_test(
        self, *, key: str, to: str, title: str, body: str, caller: Caller
    ) -> TestResponse:
        """Sends a message through a provider, without queue and policy, and waits for the result.

        Raises:
            NotFound: unknown_provider.
            InvalidRequest: no address.
            Refused: missing_scope; a title or a body needs notifications:address.
        """
        _check(caller)
        _check_key(key)
        if (title or body) and not caller.may(ADDRESS_SCOPE):
            raise Refused(
                f"your own texts need the scope {ADDRESS_SCOPE}: leave title and body out",
                code="missing_scope",
                scope=ADDRESS_SCOPE,
            )
        if not to.strip():
            raise InvalidRequest([FieldError("to", "required", "must be the address of the test")])
        refresh_accounts(at_once=True)
        _record_action(caller, "provider.test", key, "")
        message = OutboundMessage(
            message_id=0,
            reference=f"test{secrets.token_hex(8)}.{_channel(key)}",
            channel=_channel(key),
            recipient=to.strip(),
            content=Content(title or "Carillon", body or f"A test of {key}."),
        )
        result = asyncio.run(_send(key, message))
        return TestResponse(
            verdict=result.verdict,
            provider_message_id=result.provider_message_id,
            error=result.error,
            error_code=result.error_code,
            duration_ms=int(result.duration_s * 1000),
        )

    def check(self, *, key: str, caller: Caller) -> str:
        """Returns what is wrong with a provider's account, checked with the vendor; else empty."""
        _check(caller)
        _check_key(key)
        refresh_accounts(at_once=True)
        fault = accounts.stored_fault(key)
        if fault:
            return fault
        missing = accounts.missing(key, provider_class(key).needs)
        if missing:
            return "missing: " + ", ".join(missing)
        try:
            return asyncio.run(_examine(key))
        except UnusableSetting as error:
            return error.detail

    def callbacks_fault(self, *, key: str, caller: Caller) -> str:
        """Returns why all of a provider's callbacks are refused; empty if they are not."""
        _check(caller)
        _check_key(key)
        return callback_reader(key).missing_setting() if key in CALLBACKS else ""


async def _send(key: str, message: OutboundMessage) -> Any:
    provider = provider_class(key)()
    await provider.open()
    try:
        (result,) = await call_safely(provider, [message], environment().provider_timeout_seconds)
    finally:
        await provider.close()
    return result


async def _examine(key: str) -> str:
    provider = provider_class(key)()
    await provider.open()
    try:
        return await provider.examine()
    finally:
        await provider.close()


def browser_key() -> str:
    """Returns the VAPID public key with which browsers subscribe (`applicationServerKey`)."""
    refresh_accounts()
    own = accounts.settings_of(WebPushSettings).webpush_private_key
    return public_key(own or derived_key(settings.VAPID_SEED))


def _first_version() -> int:
    """Returns a version above that of any deleted row, so that every change is noticed."""
    return int(clock.now().timestamp())


def _check(caller: Caller) -> None:
    if not caller.may(SCOPE):
        raise Refused(f"this needs the scope {SCOPE}", code="missing_scope", scope=SCOPE)


def _check_key(key: str) -> None:
    if key not in PROVIDERS:
        known = ", ".join(PROVIDERS)
        raise NotFound(f"there is no provider {key!r}; known: {known}", code="unknown_provider")


def _check_values(given: Mapping[str, str]) -> None:
    errors = [
        FieldError(f"settings.{name}", "invalid_setting", f"at most {_LONGEST_VALUE} characters")
        for name, text in given.items()
        if len(text) > _LONGEST_VALUE
    ]
    if errors:
        raise InvalidRequest(errors)


def _channel(key: str) -> str:
    channel = provider_class(key).capabilities.channel
    return "email" if channel == "any" else channel


def _response_of(key: str, stored: Mapping[str, str]) -> ProviderResponse:
    made = provider_class(key)
    current, own = environment(), accounts.account(key)
    plain = type(current)()
    shown = {}
    for name, field in accounts.setting_names(key).items():
        secret = accounts.is_secret(name)
        value = getattr(own, field)
        from_environment = getattr(current, field) != getattr(plain, field)
        is_stored = name in stored and not accounts.stored_fault(key)
        source = "stored" if is_stored else "environment" if from_environment else "default"
        shown[name] = SettingResponse(
            value=None if secret else _text(value),
            source=source,
            secret=secret,
            storable=name in storable(key),
        )
    url = f"{environment().public_url}/api/v1/callbacks/{key}" if key in CALLBACKS else None
    return ProviderResponse(
        key=key,
        channel=made.capabilities.channel,
        chosen=key in chosen_channels(),
        missing=accounts.missing(key, made.needs),
        fault=accounts.stored_fault(key),
        settings=shown,
        callback_url=url,
        receipts=made.capabilities.receipts,
        batch_size=made.capabilities.batch_size,
        calls_at_once=made.capabilities.concurrency,
    )


def _text(value: object) -> str:
    return ",".join(value) if isinstance(value, tuple) else str(value)


def _record_action(caller: Caller, action: str, target: str, reason: str) -> None:
    record_action(
        actor=caller.name, action=action, target=target, reason=reason[:200], at=clock.now()
    )
