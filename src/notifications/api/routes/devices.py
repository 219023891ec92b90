"""Devices, proofs of addresses, and Telegram's updates."""

from __future__ import annotations

from notifications.api import devices
from notifications.api.pages import PAGE_QUERY
from notifications.api.route import Auth, Route
from notifications.api.whose import WHOSE
from notifications.features.people.devices import (
    DeviceAnswer,
    DeviceList,
    RegisterBody,
    VapidAnswer,
)
from notifications.features.people.proofs import (
    CodeBody,
    ProofAnswer,
    ProofBody,
    ProvenAnswer,
    TelegramLinkAnswer,
)
from notifications.features.people.service import READ, WRITE

ROUTES: tuple[Route, ...] = (
    Route(
        name="list_devices",
        method="GET",
        path="/api/v1/devices",
        handler=devices.devices,
        summary="A person's devices and browsers.",
        service_scope=READ,
        query=(*WHOSE, *PAGE_QUERY),
        answers={200: DeviceList},
        errors=(404,),
    ),
    Route(
        name="register_device",
        method="POST",
        path="/api/v1/devices",
        handler=devices.register,
        summary="Register a push token or a browser's subscription, or see it again.",
        service_scope=WRITE,
        body=RegisterBody,
        answers={201: DeviceAnswer},
        errors=(404,),
        idempotent=True,
    ),
    Route(
        name="vapid_key",
        method="GET",
        path="/api/v1/devices/vapid-key",
        handler=devices.vapid,
        summary="The key that browsers subscribe with.",
        auth=Auth.PUBLIC,
        answers={200: VapidAnswer},
    ),
    Route(
        name="forget_device",
        method="DELETE",
        path="/api/v1/devices/{id}",
        handler=devices.forget,
        summary="Remove a device.",
        service_scope=WRITE,
        answers={204: None},
        errors=(404,),
    ),
    Route(
        name="begin_verification",
        method="POST",
        path="/api/v1/verifications",
        handler=devices.begin_proof,
        summary="Send a code to an email address or phone, to prove whose it is.",
        service_scope=WRITE,
        body=ProofBody,
        answers={201: ProofAnswer},
        errors=(404, 429),
        idempotent=True,
    ),
    Route(
        name="confirm_verification",
        method="POST",
        path="/api/v1/verifications/confirm",
        handler=devices.confirm_proof,
        summary="Take the code: the address becomes the person's contact point.",
        service_scope=WRITE,
        body=CodeBody,
        answers={200: ProvenAnswer},
        errors=(404, 409),
        idempotent=True,
    ),
    Route(
        name="telegram_link",
        method="GET",
        path="/api/v1/telegram/link",
        handler=devices.telegram_link,
        summary="A link by which a person connects their Telegram chat.",
        service_scope=WRITE,
        query=WHOSE,
        answers={200: TelegramLinkAnswer},
        errors=(404, 409),
    ),
    Route(
        name="telegram_update",
        method="POST",
        path="/api/v1/telegram/webhook",
        handler=devices.telegram_update,
        summary="What Telegram tells the bot; proved by its secret header.",
        auth=Auth.PUBLIC,
        of_vendor=True,
        body=devices.TelegramUpdate,
        answers={200: devices.TelegramAnswer},
        errors=(403,),
    ),
)
