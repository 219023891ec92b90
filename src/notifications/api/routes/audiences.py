"""Looking at audiences."""

from __future__ import annotations

from notifications.api import audiences
from notifications.api.pages import PAGE_QUERY
from notifications.api.route import Route
from notifications.features.audiences.schemas import (
    AudienceBody,
    AudienceCountAnswer,
    AudiencePreviewAnswer,
)
from notifications.features.audiences.service import READ

ROUTES: tuple[Route, ...] = (
    Route(
        name="count_audience",
        method="POST",
        path="/api/v1/audiences/count",
        handler=audiences.count,
        summary="How many people an audience holds, and which of its listed people do not exist.",
        scope=READ,
        body=AudienceBody,
        answers={200: AudienceCountAnswer},
    ),
    Route(
        name="preview_audience",
        method="POST",
        path="/api/v1/audiences/preview",
        handler=audiences.preview,
        summary="The people of an audience, page by page; `next` is posted the same body.",
        scope=READ,
        body=AudienceBody,
        query=PAGE_QUERY,
        answers={200: AudiencePreviewAnswer},
    ),
)
