"""Routes of goals, events and conversions."""

from __future__ import annotations

from notifications.api.bodies import check_body
from notifications.api.pages import PAGE_QUERY, links, page_of
from notifications.api.route import ApiRequest, Route
from notifications.features.analytics.goal_schemas import (
    ConversionBody,
    ConversionResponse,
    EventBody,
    EventsBody,
    EventsResponse,
    GoalBody,
    GoalList,
    GoalResponse,
)
from notifications.features.analytics.goals import WRITE, GoalService
from notifications.features.analytics.service import READ


def goals(request: ApiRequest) -> GoalList:
    page = page_of(request)
    found = GoalService().list(caller=request.caller, after=page.after, limit=page.fetch)
    following, previous = links(request, page, [goal.id for goal in found])
    return GoalList(results=list(found[: page.limit]), next=following, previous=previous)


def create_goal(request: ApiRequest) -> GoalResponse:
    return GoalService().create(body=check_body(request.body, GoalBody), caller=request.caller)


def report_events(request: ApiRequest) -> EventsResponse:
    if "events" in request.body:
        events = check_body(request.body, EventsBody).events
    else:
        events = [check_body(request.body, EventBody)]
    return GoalService().report(events=events, caller=request.caller)


def report_conversion(request: ApiRequest) -> ConversionResponse:
    body = check_body(request.body, ConversionBody)
    return GoalService().convert(body=body, caller=request.caller)


ROUTES: tuple[Route, ...] = (
    Route(
        name="list_goals",
        method="GET",
        path="/api/v1/goals",
        handler=goals,
        summary="List goals, the oldest first.",
        scope=READ,
        query=PAGE_QUERY,
        responses={200: GoalList},
    ),
    Route(
        name="create_goal",
        method="POST",
        path="/api/v1/goals",
        handler=create_goal,
        summary="Make a goal: an event, and how long after a message it counts.",
        scope=WRITE,
        body=GoalBody,
        responses={201: GoalResponse},
        errors=(409,),
        idempotent=True,
    ),
    Route(
        name="report_events",
        method="POST",
        path="/api/v1/events",
        handler=report_events,
        summary="Report up to 10,000 events of users, each once.",
        scope=WRITE,
        body=EventsBody,
        responses={200: EventsResponse},
        idempotent=True,
    ),
    Route(
        name="report_conversion",
        method="POST",
        path="/api/v1/conversions",
        handler=report_conversion,
        summary="Report the event that a goal names; returns the message it is attributed to.",
        scope=WRITE,
        body=ConversionBody,
        responses={201: ConversionResponse},
        errors=(404, 409),
        idempotent=True,
    ),
)
