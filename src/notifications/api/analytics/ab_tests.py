"""Routes of A/B tests."""

from __future__ import annotations

from notifications.api.bodies import check_body
from notifications.api.pages import PAGE_QUERY, links, page_of
from notifications.api.route import ApiRequest, Query, Route
from notifications.features.experiments.result_schemas import (
    ABTestPlanBody,
    ABTestPlanResponse,
    ABTestResultsResponse,
)
from notifications.features.experiments.schemas import (
    ABTestBody,
    ABTestChangeBody,
    ABTestDeclareBody,
    ABTestList,
    ABTestResponse,
)
from notifications.features.experiments.service import (
    READ_RESULTS,
    READ_TESTS,
    WRITE_TESTS,
    ABTestService,
)
from notifications.models import ABTestStatus


def ab_tests(request: ApiRequest) -> ABTestList:
    page = page_of(request)
    found = ABTestService().list(
        caller=request.caller,
        status=request.query["status"],
        after=page.after,
        limit=page.fetch,
    )
    following, previous = links(request, page, [test.id for test in found])
    return ABTestList(results=list(found[: page.limit]), next=following, previous=previous)


def ab_test(request: ApiRequest) -> ABTestResponse:
    return ABTestService().get(identifier=request.params["id"], caller=request.caller)


def create(request: ApiRequest) -> ABTestResponse:
    return ABTestService().create(body=check_body(request.body, ABTestBody), caller=request.caller)


def change(request: ApiRequest) -> ABTestResponse:
    body = check_body(request.body, ABTestChangeBody)
    return ABTestService().change(identifier=request.params["id"], body=body, caller=request.caller)


def delete(request: ApiRequest) -> tuple[int, None]:
    ABTestService().delete(identifier=request.params["id"], caller=request.caller)
    return 204, None


def start(request: ApiRequest) -> ABTestResponse:
    return ABTestService().start(identifier=request.params["id"], caller=request.caller)


def pause(request: ApiRequest) -> ABTestResponse:
    return ABTestService().pause(identifier=request.params["id"], caller=request.caller)


def stop(request: ApiRequest) -> ABTestResponse:
    return ABTestService().stop(identifier=request.params["id"], caller=request.caller)


def declare(request: ApiRequest) -> ABTestResponse:
    body = check_body(request.body, ABTestDeclareBody)
    return ABTestService().declare(
        identifier=request.params["id"], body=body, caller=request.caller
    )


def results(request: ApiRequest) -> ABTestResultsResponse:
    return ABTestService().results(identifier=request.params["id"], caller=request.caller)


def plan(request: ApiRequest) -> ABTestPlanResponse:
    return ABTestService().plan(
        body=check_body(request.body, ABTestPlanBody), caller=request.caller
    )


_PATH = "/api/v1/ab-tests"
ROUTES: tuple[Route, ...] = (
    Route(
        name="list_ab_tests",
        method="GET",
        path=_PATH,
        handler=ab_tests,
        summary="List A/B tests, the oldest first.",
        scope=READ_TESTS,
        query=(
            Query(name="status", about="Only this state.", choices=tuple(ABTestStatus.values)),
            *PAGE_QUERY,
        ),
        responses={200: ABTestList},
    ),
    Route(
        name="create_ab_test",
        method="POST",
        path=_PATH,
        handler=create,
        summary="Make a draft of an A/B test of a template.",
        scope=WRITE_TESTS,
        body=ABTestBody,
        responses={201: ABTestResponse},
        idempotent=True,
    ),
    Route(
        name="preview_ab_test_plan",
        method="POST",
        path=f"{_PATH}/plan",
        handler=plan,
        summary="Compute how many people, and how many days, a test needs.",
        scope=READ_RESULTS,
        body=ABTestPlanBody,
        responses={200: ABTestPlanResponse},
    ),
    Route(
        name="get_ab_test",
        method="GET",
        path=f"{_PATH}/{{id}}",
        handler=ab_test,
        summary="Get one A/B test.",
        scope=READ_TESTS,
        responses={200: ABTestResponse},
        errors=(404,),
    ),
    Route(
        name="change_ab_test",
        method="PATCH",
        path=f"{_PATH}/{{id}}",
        handler=change,
        summary="Change a draft; of a test that has started its name, traffic or force.",
        scope=WRITE_TESTS,
        body=ABTestChangeBody,
        responses={200: ABTestResponse},
        errors=(404, 409),
    ),
    Route(
        name="delete_ab_test",
        method="DELETE",
        path=f"{_PATH}/{{id}}",
        handler=delete,
        summary="Delete a draft or a completed test, with its result.",
        scope=WRITE_TESTS,
        responses={204: None},
        errors=(404, 409),
    ),
    Route(
        name="start_ab_test",
        method="POST",
        path=f"{_PATH}/{{id}}/start",
        handler=start,
        summary="Start a draft, which freezes it, or go on with a paused test.",
        scope=WRITE_TESTS,
        responses={200: ABTestResponse},
        errors=(400, 404, 409),
        idempotent=True,
    ),
    Route(
        name="pause_ab_test",
        method="POST",
        path=f"{_PATH}/{{id}}/pause",
        handler=pause,
        summary="Pause a test: everybody gets control.",
        scope=WRITE_TESTS,
        responses={200: ABTestResponse},
        errors=(404, 409),
        idempotent=True,
    ),
    Route(
        name="stop_ab_test",
        method="POST",
        path=f"{_PATH}/{{id}}/stop",
        handler=stop,
        summary="End a test without a winner: everybody gets control.",
        scope=WRITE_TESTS,
        responses={200: ABTestResponse},
        errors=(404, 409),
        idempotent=True,
    ),
    Route(
        name="declare_ab_test",
        method="POST",
        path=f"{_PATH}/{{id}}/declare",
        handler=declare,
        summary="End a test with a winner, which everybody gets.",
        scope=WRITE_TESTS,
        body=ABTestDeclareBody,
        responses={200: ABTestResponse},
        errors=(404, 409),
        idempotent=True,
    ),
    Route(
        name="get_ab_test_results",
        method="GET",
        path=f"{_PATH}/{{id}}/results",
        handler=results,
        summary="Get the figures of a test, and whether it may end.",
        scope=READ_RESULTS,
        responses={200: ABTestResultsResponse},
        errors=(404,),
    ),
)
