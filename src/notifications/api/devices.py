"""Devices, proofs of addresses, and what Telegram tells."""

from __future__ import annotations

from typing import Any

import msgspec

from notifications.api.bodies import check_body
from notifications.api.pages import links, page_of
from notifications.api.route import ApiRequest
from notifications.api.whose import person_in_body, person_in_query
from notifications.features.people.devices import (
    DeviceAnswer,
    DeviceList,
    DeviceService,
    RegisterBody,
    VapidAnswer,
    vapid_key,
)
from notifications.features.people.proofs import (
    CodeBody,
    ProofAnswer,
    ProofBody,
    ProofService,
    ProvenAnswer,
    TelegramLinkAnswer,
)

SECRET_HEADER = "X-Telegram-Bot-Api-Secret-Token"  # noqa: S105 -- a header's name


class TelegramUpdate(msgspec.Struct, kw_only=True):
    """An update of the Bot API (https://core.telegram.org/bots/api#update)."""

    update_id: int


class TelegramAnswer(msgspec.Struct, kw_only=True, omit_defaults=True):
    """Nothing, or a call that Telegram makes for the bot."""

    method: str = ""
    chat_id: int = 0
    text: str = ""


def devices(request: ApiRequest) -> DeviceList:
    page = page_of(request)
    found = DeviceService().list(
        caller=request.caller,
        identifier=person_in_query(request),
        after=page.after,
        limit=page.fetch,
    )
    following, previous = links(request, page, [device.id for device in found])
    return DeviceList(results=list(found[: page.limit]), next=following, previous=previous)


def register(request: ApiRequest) -> DeviceAnswer:
    # A browser's subscription says `expirationTime` as well, which nobody fills.
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
        device=device, caller=request.caller, identifier=person_in_body(body)
    )


def forget(request: ApiRequest) -> tuple[int, None]:
    DeviceService().forget(identifier=request.params["id"], caller=request.caller)
    return 204, None


def vapid(request: ApiRequest) -> VapidAnswer:
    return VapidAnswer(public_key=vapid_key())


def begin_proof(request: ApiRequest) -> ProofAnswer:
    body = check_body(request.body, ProofBody)
    return ProofService().begin(
        kind=body.kind, address=body.address, caller=request.caller, identifier=person_in_body(body)
    )


def confirm_proof(request: ApiRequest) -> ProvenAnswer:
    body = check_body(request.body, CodeBody)
    return ProofService().confirm(
        kind=body.kind, code=body.code, caller=request.caller, identifier=person_in_body(body)
    )


def telegram_link(request: ApiRequest) -> TelegramLinkAnswer:
    return ProofService().telegram_link(caller=request.caller, identifier=person_in_query(request))


def telegram_update(request: ApiRequest) -> TelegramAnswer:
    said = ProofService().telegram_update(
        update=request.body, secret=request.http.headers.get(SECRET_HEADER, "")
    )
    if said is None:
        return TelegramAnswer()
    chat = request.body["message"]["chat"]["id"]
    return TelegramAnswer(method="sendMessage", chat_id=chat, text=said)
