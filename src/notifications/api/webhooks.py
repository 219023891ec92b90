"""Status webhooks: the platform's endpoints."""

from __future__ import annotations

from notifications.api.bodies import check_body
from notifications.api.pages import links, page_of
from notifications.api.route import ApiRequest
from notifications.features.webhooks.schemas import (
    WebhookAnswer,
    WebhookBody,
    WebhookDeliveryList,
    WebhookList,
    WebhookReplayAnswer,
    WebhookReplayBody,
    WebhookSecretAnswer,
    WebhookTestAnswer,
)
from notifications.features.webhooks.service import WebhookService


def webhooks(request: ApiRequest) -> WebhookList:
    page = page_of(request)
    found = WebhookService().list(caller=request.caller, after=page.after, limit=page.fetch)
    following, previous = links(request, page, [row.id for row in found])
    return WebhookList(results=found[: page.limit], next=following, previous=previous)


def webhook(request: ApiRequest) -> WebhookAnswer:
    return WebhookService().get(identifier=request.params["id"], caller=request.caller)


def create(request: ApiRequest) -> WebhookSecretAnswer:
    body = check_body(request.body, WebhookBody)
    return WebhookService().create(body=body, caller=request.caller)


def replace(request: ApiRequest) -> WebhookAnswer:
    body = check_body(request.body, WebhookBody)
    return WebhookService().replace(
        identifier=request.params["id"], body=body, caller=request.caller
    )


def delete(request: ApiRequest) -> tuple[int, None]:
    WebhookService().delete(identifier=request.params["id"], caller=request.caller)
    return 204, None


def rotate(request: ApiRequest) -> WebhookSecretAnswer:
    return WebhookService().rotate(identifier=request.params["id"], caller=request.caller)


def send_test(request: ApiRequest) -> WebhookTestAnswer:
    return WebhookService().send_test(identifier=request.params["id"], caller=request.caller)


def deliveries(request: ApiRequest) -> WebhookDeliveryList:
    page = page_of(request)
    found = WebhookService().deliveries(
        identifier=request.params["id"],
        caller=request.caller,
        state=request.query["state"],
        after=page.after,
        limit=page.fetch,
    )
    following, previous = links(request, page, [row.id for row in found])
    return WebhookDeliveryList(results=found[: page.limit], next=following, previous=previous)


def replay(request: ApiRequest) -> WebhookReplayAnswer:
    body = check_body(request.body, WebhookReplayBody)
    return WebhookService().replay(
        identifier=request.params["id"], body=body, caller=request.caller
    )
