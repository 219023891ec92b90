"""Routes of subjects, enrollments, tutors, parents and suppressed addresses."""

from __future__ import annotations

from notifications.api.bodies import check_body
from notifications.api.pages import PAGE_QUERY, links, page_of
from notifications.api.route import ApiRequest, Handler, Query, Route
from notifications.features.people.relation_schemas import (
    LinkList,
    LinksBody,
    LinksResponse,
    SubjectBody,
    SubjectList,
    SubjectResponse,
    SuppressionList,
    SuppressionsBody,
)
from notifications.features.people.relations import LinkService, SubjectService, SuppressionService
from notifications.features.people.service import READ, WRITE


def subjects(request: ApiRequest) -> SubjectList:
    page = page_of(request)
    found = SubjectService().list(caller=request.caller, after=page.after, limit=page.fetch)
    following, previous = links(request, page, [row.id for row in found])
    return SubjectList(results=list(found[: page.limit]), next=following, previous=previous)


def subject(request: ApiRequest) -> SubjectResponse:
    return SubjectService().get(identifier=request.params["id"], caller=request.caller)


def create_subject(request: ApiRequest) -> SubjectResponse:
    body = check_body(request.body, SubjectBody)
    return SubjectService().create(name=body.name, caller=request.caller)


def change_subject(request: ApiRequest) -> SubjectResponse:
    body = check_body(request.body, SubjectBody)
    return SubjectService().change(
        identifier=request.params["id"], name=body.name, caller=request.caller
    )


def delete_subject(request: ApiRequest) -> tuple[int, None]:
    SubjectService().delete(identifier=request.params["id"], caller=request.caller)
    return 204, None


def list_links(kind: str, *ends: str) -> Handler:
    """Returns the handler that lists relations of one kind, filtered by their ends."""

    def handle(request: ApiRequest) -> LinkList:
        page = page_of(request)
        found = LinkService(kind).list(
            caller=request.caller,
            filters={end: request.query[end] for end in ends},
            after=page.after,
            limit=page.fetch,
        )
        following, previous = links(request, page, [row.id for row in found])
        return LinkList(results=list(found[: page.limit]), next=following, previous=previous)

    return handle


def add_links(kind: str) -> Handler:
    """Returns the handler that writes relations of one kind."""

    def handle(request: ApiRequest) -> LinksResponse:
        body = check_body(request.body, LinksBody)
        return LinkService(kind).add(rows=body.rows, caller=request.caller)

    return handle


def delete_link(kind: str) -> Handler:
    """Returns the handler that removes one relation of one kind."""

    def handle(request: ApiRequest) -> tuple[int, None]:
        LinkService(kind).delete(identifier=request.params["id"], caller=request.caller)
        return 204, None

    return handle


def suppressions(request: ApiRequest) -> SuppressionList:
    page = page_of(request)
    found = SuppressionService().list(
        caller=request.caller,
        kind=request.query["kind"],
        address=request.query["address"],
        after=page.after,
        limit=page.fetch,
    )
    following, previous = links(request, page, [row.id for row in found])
    return SuppressionList(results=list(found[: page.limit]), next=following, previous=previous)


def suppress(request: ApiRequest) -> LinksResponse:
    body = check_body(request.body, SuppressionsBody)
    rows = [(row.kind, row.address, row.reason) for row in body.suppressions]
    return SuppressionService().add(rows=rows, source=request.caller.name, caller=request.caller)


def delete_suppression(request: ApiRequest) -> tuple[int, None]:
    SuppressionService().delete(identifier=request.params["id"], caller=request.caller)
    return 204, None


def _links(kind: str, name: str, what: str, *ends: str) -> tuple[Route, ...]:
    """Returns the three routes of one kind of relation."""
    return (
        Route(
            name=f"list_{name}",
            method="GET",
            path=f"/api/v1/{kind}",
            handler=list_links(kind, *ends),
            summary=f"List {what}, the oldest first.",
            scope=READ,
            query=(
                *(Query(name=end, about=f"Only this {end}, by any identifier.") for end in ends),
                *PAGE_QUERY,
            ),
            responses={200: LinkList},
        ),
        Route(
            name=f"add_{name}",
            method="POST",
            path=f"/api/v1/{kind}",
            handler=add_links(kind),
            summary=f"Write up to 10,000 at once ({', '.join(ends)} each); safe to repeat.",
            scope=WRITE,
            body=LinksBody,
            responses={200: LinksResponse},
            idempotent=True,
        ),
        Route(
            name=f"delete_{name}",
            method="DELETE",
            path=f"/api/v1/{kind}/{{id}}",
            handler=delete_link(kind),
            summary="Remove one relation.",
            scope=WRITE,
            responses={204: None},
            errors=(404,),
        ),
    )


ROUTES: tuple[Route, ...] = (
    Route(
        name="list_subjects",
        method="GET",
        path="/api/v1/subjects",
        handler=subjects,
        summary="List subjects, the oldest first.",
        scope=READ,
        query=PAGE_QUERY,
        responses={200: SubjectList},
    ),
    Route(
        name="create_subject",
        method="POST",
        path="/api/v1/subjects",
        handler=create_subject,
        summary="Make a subject.",
        scope=WRITE,
        body=SubjectBody,
        responses={201: SubjectResponse},
        errors=(409,),
        idempotent=True,
    ),
    Route(
        name="get_subject",
        method="GET",
        path="/api/v1/subjects/{id}",
        handler=subject,
        summary="Get one subject.",
        scope=READ,
        responses={200: SubjectResponse},
        errors=(404,),
    ),
    Route(
        name="change_subject",
        method="PUT",
        path="/api/v1/subjects/{id}",
        handler=change_subject,
        summary="Rename a subject.",
        scope=WRITE,
        body=SubjectBody,
        responses={200: SubjectResponse},
        errors=(404, 409),
    ),
    Route(
        name="delete_subject",
        method="DELETE",
        path="/api/v1/subjects/{id}",
        handler=delete_subject,
        summary="Remove a subject and its enrollments.",
        scope=WRITE,
        responses={204: None},
        errors=(404,),
    ),
    *_links(
        "enrollments",
        "enrollments",
        "enrollments, who learns what with whom",
        "student",
        "subject",
        "teacher",
    ),
    *_links(
        "tutor-assignments", "tutor_assignments", "tutors and their students", "student", "tutor"
    ),
    *_links("parent-links", "parent_links", "parents and their students", "parent", "student"),
    Route(
        name="list_suppressions",
        method="GET",
        path="/api/v1/suppressions",
        handler=suppressions,
        summary="List suppressed addresses.",
        scope=READ,
        query=(
            Query(name="kind", about="Only this kind."),
            Query(name="address", about="Only this address."),
            *PAGE_QUERY,
        ),
        responses={200: SuppressionList},
    ),
    Route(
        name="add_suppressions",
        method="POST",
        path="/api/v1/suppressions",
        handler=suppress,
        summary="Suppress up to 10,000 addresses; safe to repeat.",
        scope=WRITE,
        body=SuppressionsBody,
        responses={200: LinksResponse},
        idempotent=True,
    ),
    Route(
        name="delete_suppression",
        method="DELETE",
        path="/api/v1/suppressions/{id}",
        handler=delete_suppression,
        summary="Remove an address from the suppression list.",
        scope=WRITE,
        responses={204: None},
        errors=(404,),
    ),
)
