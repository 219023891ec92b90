"""Routes of status webhooks: the platform's endpoints."""

from __future__ import annotations

from notifications.api.bodies import check_body
from notifications.api.pages import PAGE_QUERY, links, page_of
from notifications.api.route import ApiRequest, Query, Route
from notifications.features.webhooks.schemas import (
    WebhookBody,
    WebhookDeliveryList,
    WebhookList,
    WebhookReplayBody,
    WebhookReplayResponse,
    WebhookResponse,
    WebhookSecretResponse,
    WebhookTestResponse,
)
from notifications.features.webhooks.service import SCOPE, WebhookService


def webhooks(request: ApiRequest) -> WebhookList:
    page = page_of(request)
    found = WebhookService().list(caller=request.caller, after=page.after, limit=page.fetch)
    following, previous = links(request, page, [row.id for row in found])
    return WebhookList(results=found[: page.limit], next=following, previous=previous)


def webhook(request: ApiRequest) -> WebhookResponse:
    return WebhookService().get(identifier=request.params["id"], caller=request.caller)


def create(request: ApiRequest) -> WebhookSecretResponse:
    body = check_body(request.body, WebhookBody)
    return WebhookService().create(body=body, caller=request.caller)


def replace(request: ApiRequest) -> WebhookResponse:
    body = check_body(request.body, WebhookBody)
    return WebhookService().replace(
        identifier=request.params["id"], body=body, caller=request.caller
    )


def delete(request: ApiRequest) -> tuple[int, None]:
    WebhookService().delete(identifier=request.params["id"], caller=request.caller)
    return 204, None


def rotate(request: ApiRequest) -> WebhookSecretResponse:
    return WebhookService().rotate(identifier=request.params["id"], caller=request.caller)


def send_test(request: ApiRequest) -> WebhookTestResponse:
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


def replay(request: ApiRequest) -> WebhookReplayResponse:
    body = check_body(request.body, WebhookReplayBody)
    return WebhookService().replay(
        identifier=request.params["id"], body=body, caller=request.caller
    )


_STATES = ("waiting", "delivered", "failed")
ROUTES: tuple[Route, ...] = (
    Route(
        name="list_webhooks",
        method="GET",
        path="/api/v1/webhooks",
        handler=webhooks,
        summary="List the endpoints of status webhooks, the oldest first.",
        scope=SCOPE,
        query=PAGE_QUERY,
        responses={200: WebhookList},
    ),
    Route(
        name="create_webhook",
        method="POST",
        path="/api/v1/webhooks",
        handler=create,
        summary="Add an endpoint; returns the signing secret once.",
        scope=SCOPE,
        body=WebhookBody,
        responses={201: WebhookSecretResponse},
        errors=(409,),
        idempotent=True,
        secrets=("secret",),
    ),
    Route(
        name="get_webhook",
        method="GET",
        path="/api/v1/webhooks/{id}",
        handler=webhook,
        summary="Get an endpoint, its health, and the number of undelivered events.",
        scope=SCOPE,
        responses={200: WebhookResponse},
        errors=(404,),
    ),
    Route(
        name="replace_webhook",
        method="PUT",
        path="/api/v1/webhooks/{id}",
        handler=replace,
        summary="Replace an endpoint's URL, name and events, or enable it again.",
        scope=SCOPE,
        body=WebhookBody,
        responses={200: WebhookResponse},
        errors=(404,),
    ),
    Route(
        name="delete_webhook",
        method="DELETE",
        path="/api/v1/webhooks/{id}",
        handler=delete,
        summary="Remove an endpoint; its undelivered events are dropped.",
        scope=SCOPE,
        responses={204: None},
        errors=(404,),
    ),
    Route(
        name="rotate_webhook",
        method="POST",
        path="/api/v1/webhooks/{id}/rotate",
        handler=rotate,
        summary="Give an endpoint a new secret; the old one also signs for a day.",
        scope=SCOPE,
        responses={200: WebhookSecretResponse},
        errors=(404,),
        idempotent=True,
        secrets=("secret",),
    ),
    Route(
        name="test_webhook",
        method="POST",
        path="/api/v1/webhooks/{id}/test",
        handler=send_test,
        summary="Post a signed test now; returns the endpoint's response.",
        scope=SCOPE,
        responses={200: WebhookTestResponse},
        errors=(404,),
        idempotent=True,
    ),
    Route(
        name="list_webhook_deliveries",
        method="GET",
        path="/api/v1/webhooks/{id}/deliveries",
        handler=deliveries,
        summary="List the deliveries to an endpoint.",
        scope=SCOPE,
        query=(Query(name="state", about="Only this state.", choices=_STATES), *PAGE_QUERY),
        responses={200: WebhookDeliveryList},
        errors=(404,),
    ),
    Route(
        name="replay_webhook",
        method="POST",
        path="/api/v1/webhooks/{id}/replay",
        handler=replay,
        summary="Deliver events again: some deliveries, or those of a time.",
        scope=SCOPE,
        body=WebhookReplayBody,
        responses={200: WebhookReplayResponse},
        errors=(404,),
        idempotent=True,
    ),
)
