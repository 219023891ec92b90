"""What people answered to SMS."""

from __future__ import annotations

from notifications.api import inbound_sms
from notifications.api.inbound_sms import InboundSmsList
from notifications.api.pages import PAGE_QUERY
from notifications.api.route import Query, Route

ROUTES: tuple[Route, ...] = (
    Route(
        name="list_inbound_sms",
        method="GET",
        path="/api/v1/inbound-sms",
        handler=inbound_sms.inbound,
        summary="Texts that people sent to us: STOP, START, HELP and everything else.",
        scope="operations",
        query=(
            Query(
                name="keyword",
                about="Only these.",
                choices=("stop", "start", "help", "other"),
            ),
            *PAGE_QUERY,
        ),
        answers={200: InboundSmsList},
    ),
)
