"""Routes of templates: write, publish, compare, roll back, preview and validate."""

from __future__ import annotations

from notifications.api.bodies import check_body
from notifications.api.pages import PAGE_QUERY, links, page_of
from notifications.api.route import ApiRequest, Query, Route
from notifications.domain.channels import Channel
from notifications.features.templates.report_schemas import (
    DiffResponse,
    PreviewResponse,
    UsageList,
    ValidationResponse,
)
from notifications.features.templates.schemas import (
    DeletedResponse,
    PreviewBody,
    PublishBody,
    RollbackBody,
    TemplateBody,
    TemplateChangeBody,
    TemplateList,
    TemplateResponse,
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


def create(request: ApiRequest) -> TemplateResponse:
    return TemplateService().create(body=request.body, caller=request.caller)


def one(request: ApiRequest) -> TemplateResponse:
    return TemplateService().get(identifier=request.params["id"], caller=request.caller)


def change(request: ApiRequest) -> TemplateResponse:
    return TemplateService().update(
        identifier=request.params["id"], body=request.body, caller=request.caller
    )


def delete(request: ApiRequest) -> DeletedResponse:
    deleted = TemplateService().delete(identifier=request.params["id"], caller=request.caller)
    return DeletedResponse(deleted=deleted)


def publish(request: ApiRequest) -> TemplateResponse:
    body = check_body(request.body, PublishBody)
    return TemplateService().publish(
        identifier=request.params["id"],
        caller=request.caller,
        version=body.version,
        dependants=body.dependants,
    )


def rollback(request: ApiRequest) -> TemplateResponse:
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


def difference(request: ApiRequest) -> DiffResponse:
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


def preview(request: ApiRequest) -> PreviewResponse:
    return TemplateService().preview(
        identifier=request.params["id"], body=request.body, caller=request.caller
    )


def validate(request: ApiRequest) -> ValidationResponse:
    return TemplateService().validate(
        identifier=request.params["id"], body=request.body, caller=request.caller
    )


def validate_new(request: ApiRequest) -> ValidationResponse:
    return TemplateService().validate(body=request.body, caller=request.caller)


READ, WRITE = "templates:read", "templates:write"
LIST = "/api/v1/templates"
ONE = f"{LIST}/{{id}}"
_WRITING: tuple[Route, ...] = (
    Route(
        name="create_template",
        method="POST",
        path=LIST,
        handler=create,
        summary="Write a template; it is a draft until it is published.",
        scope=WRITE,
        body=TemplateBody,
        responses={201: TemplateResponse},
        errors=(409,),
        idempotent=True,
    ),
    Route(
        name="change_template",
        method="PUT",
        path=ONE,
        handler=change,
        summary="Change what the body names; texts change the draft.",
        scope=WRITE,
        body=TemplateChangeBody,
        responses={200: TemplateResponse},
        errors=(404, 409),
    ),
    Route(
        name="delete_template",
        method="DELETE",
        path=ONE,
        handler=delete,
        summary="Delete a template, or disable one that messages were sent with.",
        scope=WRITE,
        responses={200: DeletedResponse},
        errors=(404,),
    ),
    Route(
        name="publish_template",
        method="POST",
        path=f"{ONE}/publish",
        handler=publish,
        summary="Publish the draft, or the texts of an old version.",
        scope=WRITE,
        body=PublishBody,
        responses={200: TemplateResponse},
        errors=(404,),
        idempotent=True,
    ),
    Route(
        name="roll_back_template",
        method="POST",
        path=f"{ONE}/rollback",
        handler=rollback,
        summary="Publish the texts of an old version again; an unpublished draft stays.",
        scope=WRITE,
        body=RollbackBody,
        responses={200: TemplateResponse},
        errors=(404,),
        idempotent=True,
    ),
)
_READING: tuple[Route, ...] = (
    Route(
        name="list_templates",
        method="GET",
        path=LIST,
        handler=templates,
        summary="List templates, the oldest first.",
        scope=READ,
        query=(
            Query(name="category", about="Only this category."),
            Query(
                name="channel",
                about="Only those with a text for this channel.",
                choices=tuple(Channel),
            ),
            Query(name="path", about="Only those whose path begins with this."),
            *PAGE_QUERY,
        ),
        responses={200: TemplateList},
    ),
    Route(
        name="get_template",
        method="GET",
        path=ONE,
        handler=one,
        summary="Get a template: its draft, and the number of the published version.",
        scope=READ,
        responses={200: TemplateResponse},
        errors=(404,),
    ),
    Route(
        name="list_template_versions",
        method="GET",
        path=f"{ONE}/versions",
        handler=versions,
        summary="List published versions, the newest first.",
        scope=READ,
        query=PAGE_QUERY,
        responses={200: VersionList},
        errors=(404,),
    ),
    Route(
        name="diff_template",
        method="GET",
        path=f"{ONE}/diff",
        handler=difference,
        summary="Compare two versions: a unified diff for each text and locale.",
        scope=READ,
        query=(
            Query(
                name="from",
                about="The number of a version; left out, the published one.",
                kind="integer",
                default=0,
            ),
            Query(
                name="to",
                about="The number of a version; left out, the draft.",
                kind="integer",
                default=0,
            ),
        ),
        responses={200: DiffResponse},
        errors=(404,),
    ),
)
_COUNTS: tuple[Route, ...] = (
    Route(
        name="get_template_usage",
        method="GET",
        path=f"{ONE}/usage",
        handler=usage,
        summary="Count rendered messages by day, version, channel and locale.",
        scope=READ,
        query=(
            Query(
                name="days",
                about="The number of days, today included.",
                kind="integer",
                default=30,
                lowest=1,
                highest=366,
            ),
            *PAGE_QUERY,
        ),
        responses={200: UsageList},
        errors=(404,),
    ),
)
_CHECKING: tuple[Route, ...] = (
    Route(
        name="validate_new_template",
        method="POST",
        path=f"{LIST}/validate",
        handler=validate_new,
        summary="Validate a template without saving it.",
        scope=READ,
        body=TemplateChangeBody,
        responses={200: ValidationResponse},
    ),
    Route(
        name="preview_template",
        method="POST",
        path=f"{ONE}/preview",
        handler=preview,
        summary="Render the draft on every channel in every locale, for an example user.",
        scope=READ,
        body=PreviewBody,
        responses={200: PreviewResponse},
        errors=(404,),
    ),
    Route(
        name="validate_template",
        method="POST",
        path=f"{ONE}/validate",
        handler=validate,
        summary="Validate the draft with the changes of the body; nothing is written.",
        scope=READ,
        body=TemplateChangeBody,
        responses={200: ValidationResponse},
        errors=(404,),
    ),
)
# "validate" comes before "{id}", which matches any word.
ROUTES: tuple[Route, ...] = (*_CHECKING, *_WRITING, *_READING, *_COUNTS)
