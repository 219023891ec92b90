"""Callbacks of vendors."""

from __future__ import annotations

from notifications.api import callbacks
from notifications.api.callbacks import CallbackList
from notifications.api.pages import PAGE_QUERY
from notifications.api.route import Auth, Query, Route
from notifications.features.receipts.service import CallbackAnswer

_STATES = ("waiting", "applied", "nothing", "unmatched", "unreadable")

ROUTES: tuple[Route, ...] = (
    Route(
        name="take_callback",
        method="POST",
        path="/api/v1/callbacks/{provider}",
        handler=callbacks.take,
        summary="What a vendor reports of messages; checked by the vendor's signature.",
        auth=Auth.PUBLIC,
        of_vendor=True,
        answers={200: CallbackAnswer},
        errors=(403, 404),
    ),
    Route(
        name="list_callbacks",
        method="GET",
        path="/api/v1/callbacks",
        handler=callbacks.stored,
        summary="Callbacks that came in, and what became of them.",
        scope="operations",
        query=(
            Query(name="provider", about="Only this provider."),
            Query(name="state", about="Only this state.", choices=_STATES),
            *PAGE_QUERY,
        ),
        answers={200: CallbackList},
    ),
)
