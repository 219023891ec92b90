"""Kill switches and dead letters."""

from __future__ import annotations

from notifications.api import operations
from notifications.api.answers import (
    DeadLetterList,
    DiscardAnswer,
    DiscardBody,
    ReplayAnswer,
    ReplayBody,
    StopBody,
    StopList,
)
from notifications.api.pages import PAGE_QUERY
from notifications.api.route import Query, Route
from notifications.features.operations.schemas import StopAnswer
from notifications.models import KillSwitch

OPERATIONS = "operations"
STOP_SCOPES = tuple(KillSwitch.Scope.values)

ROUTES: tuple[Route, ...] = (
    Route(
        name="list_stops",
        method="GET",
        path="/api/v1/kill-switch",
        handler=operations.stops,
        summary="The kill switches in force.",
        scope=OPERATIONS,
        answers={200: StopList},
    ),
    Route(
        name="stop",
        method="POST",
        path="/api/v1/kill-switch",
        handler=operations.stop,
        summary="Stop everything, or one channel, provider, category, template, source or version.",
        scope=OPERATIONS,
        body=StopBody,
        answers={201: StopAnswer},
        idempotent=True,
    ),
    Route(
        name="lift_stop",
        method="DELETE",
        path="/api/v1/kill-switch",
        handler=operations.lift,
        summary="Lift a stop; what waited goes on.",
        scope=OPERATIONS,
        query=(
            Query(
                name="scope",
                about="The scope of the stop: `all`, `channel`, `provider`, ...",
                required=True,
                choices=STOP_SCOPES,
            ),
            Query(name="value", about="What is stopped, e.g. `email`; empty for scope `all`."),
        ),
        answers={204: None},
        errors=(404,),
    ),
    Route(
        name="list_dead_letters",
        method="GET",
        path="/api/v1/dead-letters",
        handler=operations.dead_letters,
        summary="Messages that finally failed, or that wait for a person's decision.",
        scope=OPERATIONS,
        query=(
            Query(name="channel", about="Only this channel."),
            Query(name="provider", about="Only this provider."),
            Query(name="code", about="Only this error code, e.g. `uncertain` or `poison`."),
            Query(name="template", about="Only this template, by its path."),
            Query(
                name="resolved",
                about="Those that were replayed or discarded instead of those that wait.",
                kind="boolean",
                default=False,
            ),
            *PAGE_QUERY,
        ),
        answers={200: DeadLetterList},
    ),
    Route(
        name="replay_dead_letters",
        method="POST",
        path="/api/v1/dead-letters/replay",
        handler=operations.replay,
        summary="Send dead letters again, each on its own template version.",
        scope=OPERATIONS,
        body=ReplayBody,
        answers={200: ReplayAnswer},
        idempotent=True,
    ),
    Route(
        name="discard_dead_letters",
        method="POST",
        path="/api/v1/dead-letters/discard",
        handler=operations.discard,
        summary="Close dead letters for good, with a reason.",
        scope=OPERATIONS,
        body=DiscardBody,
        answers={200: DiscardAnswer},
        idempotent=True,
    ),
)
