"""Templates: written, published, compared, taken back, previewed and checked."""

from __future__ import annotations

from notifications.api.bodies import check_body
from notifications.api.pages import links, page_of
from notifications.api.route import ApiRequest
from notifications.features.templates.schemas import (
    DeletedAnswer,
    DiffAnswer,
    PreviewAnswer,
    PublishBody,
    RollbackBody,
    TemplateAnswer,
    TemplateList,
    UsageList,
    ValidationAnswer,
    VersionList,
)
from notifications.features.templates.service import TemplateService
from notifications.features.templates.usage import TemplateUsageService


def templates(request: ApiRequest) -> TemplateList:
    page = page_of(request)
    found = TemplateService().templates(
        caller=request.caller,
        category=request.query["category"],
        channel=request.query["channel"],
        path=request.query["path"],
        after=page.after,
        limit=page.fetch,
    )
    following, previous = links(request, page, [each.id for each in found])
    return TemplateList(results=found[: page.limit], next=following, previous=previous)


def create(request: ApiRequest) -> TemplateAnswer:
    return TemplateService().create(body=request.body, caller=request.caller)


def one(request: ApiRequest) -> TemplateAnswer:
    return TemplateService().get(identifier=request.params["id"], caller=request.caller)


def change(request: ApiRequest) -> TemplateAnswer:
    return TemplateService().update(
        identifier=request.params["id"], body=request.body, caller=request.caller
    )


def delete(request: ApiRequest) -> DeletedAnswer:
    gone = TemplateService().delete(identifier=request.params["id"], caller=request.caller)
    return DeletedAnswer(deleted=gone)


def publish(request: ApiRequest) -> TemplateAnswer:
    body = check_body(request.body, PublishBody)
    return TemplateService().publish(
        identifier=request.params["id"],
        caller=request.caller,
        version=body.version,
        dependants=body.dependants,
    )


def rollback(request: ApiRequest) -> TemplateAnswer:
    body = check_body(request.body, RollbackBody)
    return TemplateService().rollback(
        identifier=request.params["id"], caller=request.caller, version=body.version
    )


def versions(request: ApiRequest) -> VersionList:
    page = page_of(request)
    found = TemplateService().versions(
        identifier=request.params["id"],
        caller=request.caller,
        after=page.after,
        limit=page.fetch,
    )
    following, previous = links(request, page, [each.number for each in found])
    return VersionList(results=found[: page.limit], next=following, previous=previous)


def difference(request: ApiRequest) -> DiffAnswer:
    return TemplateService().diff(
        identifier=request.params["id"],
        caller=request.caller,
        from_number=request.query["from"],
        to_number=request.query["to"],
    )


def usage(request: ApiRequest) -> UsageList:
    page = page_of(request)
    found = TemplateUsageService().usage(
        identifier=request.params["id"],
        caller=request.caller,
        days=request.query["days"],
        after=page.after,
        limit=page.fetch,
    )
    found.next, found.previous = links(request, page, [each.id for each in found.results])
    found.results = found.results[: page.limit]
    return found


def preview(request: ApiRequest) -> PreviewAnswer:
    return TemplateService().preview(
        identifier=request.params["id"], body=request.body, caller=request.caller
    )


def validate(request: ApiRequest) -> ValidationAnswer:
    return TemplateService().validate(
        identifier=request.params["id"], body=request.body, caller=request.caller
    )


def validate_new(request: ApiRequest) -> ValidationAnswer:
    return TemplateService().validate(body=request.body, caller=request.caller)
