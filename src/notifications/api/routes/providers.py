"""Providers and their accounts."""

from __future__ import annotations

from notifications.api import providers
from notifications.api.providers import ProviderBody, ProviderList, TestBody
from notifications.api.route import Route
from notifications.features.providers.service import SCOPE, ProviderAnswer, TestAnswer

ROUTES: tuple[Route, ...] = (
    Route(
        name="list_providers",
        method="GET",
        path="/api/v1/providers",
        handler=providers.providers,
        summary="Every provider, whether it is chosen, and its settings without the secrets.",
        scope=SCOPE,
        answers={200: ProviderList},
    ),
    Route(
        name="put_provider",
        method="PUT",
        path="/api/v1/providers/{provider}",
        handler=providers.put,
        summary="Store a provider's settings, encrypted; they win over the environment at once.",
        scope=SCOPE,
        body=ProviderBody,
        answers={200: ProviderAnswer},
        errors=(404,),
    ),
    Route(
        name="delete_provider",
        method="DELETE",
        path="/api/v1/providers/{provider}",
        handler=providers.delete,
        summary="Delete a provider's stored settings; those of the environment hold again.",
        scope=SCOPE,
        answers={204: None},
        errors=(404,),
    ),
    Route(
        name="send_test",
        method="POST",
        path="/api/v1/providers/{provider}/test",
        handler=providers.send_test,
        summary="Send a test through a provider, past queue and policy; answers what it said.",
        scope=SCOPE,
        body=TestBody,
        answers={200: TestAnswer},
        errors=(404,),
        idempotent=True,
    ),
)
