"""Routes of devices, of the verification of addresses, and of Telegram's updates."""

from __future__ import annotations

from typing import Any

import msgspec

from notifications.api.bodies import check_body
from notifications.api.pages import PAGE_QUERY, links, page_of
from notifications.api.route import ApiRequest, Auth, Route
from notifications.api.user_reference import USER_QUERY, user_in_body, user_in_query
from notifications.features.people.devices import (
    DeviceList,
    DeviceResponse,
    DeviceService,
    RegisterBody,
    VapidResponse,
    vapid_key,
)
from notifications.features.people.proofs import (
    CodeBody,
    ProofBody,
    ProofResponse,
    ProofService,
    ProvenResponse,
    TelegramLinkResponse,
)
from notifications.features.people.service import READ, WRITE

SECRET_HEADER = "X-Telegram-Bot-Api-Secret-Token"  # noqa: S105 -- a header's name


class TelegramUpdate(msgspec.Struct, kw_only=True):
    """An update of the Bot API (https://core.telegram.org/bots/api#update)."""

    update_id: int
    """Telegram's id of the update. Example: `123456`"""


class TelegramResponse(msgspec.Struct, kw_only=True, omit_defaults=True):
    """An empty object, or a call that Telegram makes for the bot."""

    method: str = ""
    """The method of the Bot API. Example: `sendMessage`"""

    chat_id: int = 0
    """The chat that gets the text. Example: `123456789`"""

    text: str = ""
    """The text for the chat. Example: `You are connected.`"""


def devices(request: ApiRequest) -> DeviceList:
    page = page_of(request)
    found = DeviceService().list(
        caller=request.caller,
        identifier=user_in_query(request),
        after=page.after,
        limit=page.fetch,
    )
    following, previous = links(request, page, [device.id for device in found])
    return DeviceList(results=list(found[: page.limit]), next=following, previous=previous)


def register(request: ApiRequest) -> DeviceResponse:
    # A browser's subscription also has `expirationTime`, which is always null.
    given = {name: value for name, value in request.body.items() if name != "expirationTime"}
    body = check_body(given, RegisterBody)
    kind = "webpush" if body.endpoint else body.kind
    device: dict[str, Any] = {
        "token": body.endpoint or body.token,
        "kind": kind,
        "platform": body.platform,
        "keys": body.keys,
    }
    return DeviceService().register(
        device=device, caller=request.caller, identifier=user_in_body(body)
    )


def forget(request: ApiRequest) -> tuple[int, None]:
    DeviceService().delete(identifier=request.params["id"], caller=request.caller)
    return 204, None


def vapid(request: ApiRequest) -> VapidResponse:
    return VapidResponse(public_key=vapid_key())


def begin_proof(request: ApiRequest) -> ProofResponse:
    body = check_body(request.body, ProofBody)
    return ProofService().start(
        kind=body.kind, address=body.address, caller=request.caller, identifier=user_in_body(body)
    )


def confirm_proof(request: ApiRequest) -> ProvenResponse:
    body = check_body(request.body, CodeBody)
    return ProofService().confirm(
        kind=body.kind, code=body.code, caller=request.caller, identifier=user_in_body(body)
    )


def telegram_link(request: ApiRequest) -> TelegramLinkResponse:
    return ProofService().telegram_link(caller=request.caller, identifier=user_in_query(request))


def telegram_update(request: ApiRequest) -> TelegramResponse:
    text = ProofService().telegram_update(
        update=request.body, secret=request.http.headers.get(SECRET_HEADER, "")
    )
    if text is None:
        return TelegramResponse()
    chat = request.body["message"]["chat"]["id"]
    return TelegramResponse(method="sendMessage", chat_id=chat, text=text)


ROUTES: tuple[Route, ...] = (
    Route(
        name="list_devices",
        method="GET",
        path="/api/v1/devices",
        handler=devices,
        summary="List a user's devices and browsers.",
        service_scope=READ,
        query=(*USER_QUERY, *PAGE_QUERY),
        responses={200: DeviceList},
        errors=(404,),
    ),
    Route(
        name="register_device",
        method="POST",
        path="/api/v1/devices",
        handler=register,
        summary="Register a push token or a browser's subscription; safe to repeat.",
        service_scope=WRITE,
        body=RegisterBody,
        responses={201: DeviceResponse},
        errors=(404,),
        idempotent=True,
    ),
    Route(
        name="vapid_key",
        method="GET",
        path="/api/v1/devices/vapid-key",
        handler=vapid,
        summary="Get the key that browsers subscribe with.",
        auth=Auth.PUBLIC,
        responses={200: VapidResponse},
    ),
    Route(
        name="forget_device",
        method="DELETE",
        path="/api/v1/devices/{id}",
        handler=forget,
        summary="Remove a device.",
        service_scope=WRITE,
        responses={204: None},
        errors=(404,),
    ),
    Route(
        name="begin_verification",
        method="POST",
        path="/api/v1/verifications",
        handler=begin_proof,
        summary="Send a code to an email address or phone, to verify it.",
        service_scope=WRITE,
        body=ProofBody,
        responses={201: ProofResponse},
        errors=(404, 429),
        idempotent=True,
    ),
    Route(
        name="confirm_verification",
        method="POST",
        path="/api/v1/verifications/confirm",
        handler=confirm_proof,
        summary="Confirm the code: the address becomes the user's contact point.",
        service_scope=WRITE,
        body=CodeBody,
        responses={200: ProvenResponse},
        errors=(404, 409),
        idempotent=True,
    ),
    Route(
        name="telegram_link",
        method="GET",
        path="/api/v1/telegram/link",
        handler=telegram_link,
        summary="Get a link by which a user connects their Telegram chat.",
        service_scope=WRITE,
        query=USER_QUERY,
        responses={200: TelegramLinkResponse},
        errors=(404, 409),
    ),
    Route(
        name="telegram_update",
        method="POST",
        path="/api/v1/telegram/webhook",
        handler=telegram_update,
        summary="Receive an update of the Telegram bot; its secret header is checked.",
        auth=Auth.PUBLIC,
        of_vendor=True,
        body=TelegramUpdate,
        responses={200: TelegramResponse},
        errors=(403,),
    ),
)
