"""Subjects, enrollments, tutors, parents, and suppressed addresses."""

from __future__ import annotations

from notifications.api.bodies import check_body
from notifications.api.pages import links, page_of
from notifications.api.route import ApiRequest, Handler
from notifications.features.people.relation_schemas import (
    LinkList,
    LinksAnswer,
    LinksBody,
    SubjectAnswer,
    SubjectBody,
    SubjectList,
    SuppressionList,
    SuppressionsBody,
)
from notifications.features.people.relations import LinkService, SubjectService, SuppressionService


def subjects(request: ApiRequest) -> SubjectList:
    page = page_of(request)
    found = SubjectService().list(caller=request.caller, after=page.after, limit=page.fetch)
    following, previous = links(request, page, [row.id for row in found])
    return SubjectList(results=list(found[: page.limit]), next=following, previous=previous)


def subject(request: ApiRequest) -> SubjectAnswer:
    return SubjectService().get(identifier=request.params["id"], caller=request.caller)


def create_subject(request: ApiRequest) -> SubjectAnswer:
    body = check_body(request.body, SubjectBody)
    return SubjectService().create(name=body.name, caller=request.caller)


def change_subject(request: ApiRequest) -> SubjectAnswer:
    body = check_body(request.body, SubjectBody)
    return SubjectService().change(
        identifier=request.params["id"], name=body.name, caller=request.caller
    )


def delete_subject(request: ApiRequest) -> tuple[int, None]:
    SubjectService().delete(identifier=request.params["id"], caller=request.caller)
    return 204, None


def list_links(kind: str, *ends: str) -> Handler:
    """The handler that lists relations of a sort, filtered by their ends."""

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
    """The handler that writes relations of a sort."""

    def handle(request: ApiRequest) -> LinksAnswer:
        body = check_body(request.body, LinksBody)
        return LinkService(kind).add(rows=body.rows, caller=request.caller)

    return handle


def delete_link(kind: str) -> Handler:
    """The handler that removes one relation of a sort."""

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


def suppress(request: ApiRequest) -> LinksAnswer:
    body = check_body(request.body, SuppressionsBody)
    rows = [(row.kind, row.address, row.reason) for row in body.suppressions]
    return SuppressionService().add(rows=rows, source=request.caller.name, caller=request.caller)


def delete_suppression(request: ApiRequest) -> tuple[int, None]:
    SuppressionService().delete(identifier=request.params["id"], caller=request.caller)
    return 204, None
