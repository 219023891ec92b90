"""Templates."""

from __future__ import annotations

from notifications.api import templates
from notifications.api.pages import PAGE_QUERY
from notifications.api.route import Query, Route
from notifications.domain.channels import Channel
from notifications.features.templates.schemas import (
    DeletedAnswer,
    DiffAnswer,
    PreviewAnswer,
    PreviewBody,
    PublishBody,
    RollbackBody,
    TemplateAnswer,
    TemplateBody,
    TemplateList,
    UsageList,
    ValidationAnswer,
    VersionList,
)

READ, WRITE = "templates:read", "templates:write"
LIST = "/api/v1/templates"
ONE = f"{LIST}/{{id}}"

_WRITING: tuple[Route, ...] = (
    Route(
        name="create_template",
        method="POST",
        path=LIST,
        handler=templates.create,
        summary="Write a template; it is a draft until it is published.",
        scope=WRITE,
        body=TemplateBody,
        answers={201: TemplateAnswer},
        errors=(409,),
        idempotent=True,
    ),
    Route(
        name="change_template",
        method="PUT",
        path=ONE,
        handler=templates.change,
        summary="Change what the body names; texts change the draft.",
        scope=WRITE,
        body=TemplateBody,
        answers={200: TemplateAnswer},
        errors=(404, 409),
    ),
    Route(
        name="delete_template",
        method="DELETE",
        path=ONE,
        handler=templates.delete,
        summary="Delete a template, or switch off one that messages were sent by.",
        scope=WRITE,
        answers={200: DeletedAnswer},
        errors=(404,),
    ),
    Route(
        name="publish_template",
        method="POST",
        path=f"{ONE}/publish",
        handler=templates.publish,
        summary="Make the draft, or an old version's texts, what is sent from now on.",
        scope=WRITE,
        body=PublishBody,
        answers={200: TemplateAnswer},
        errors=(404,),
        idempotent=True,
    ),
    Route(
        name="roll_back_template",
        method="POST",
        path=f"{ONE}/rollback",
        handler=templates.rollback,
        summary="Publish the texts of an old version again; a draft that waits stays.",
        scope=WRITE,
        body=RollbackBody,
        answers={200: TemplateAnswer},
        errors=(404,),
        idempotent=True,
    ),
)
_READING: tuple[Route, ...] = (
    Route(
        name="list_templates",
        method="GET",
        path=LIST,
        handler=templates.templates,
        summary="Templates, the oldest first.",
        scope=READ,
        query=(
            Query(name="category", about="Only this category's."),
            Query(
                name="channel",
                about="Only those with a text for this channel.",
                choices=tuple(Channel),
            ),
            Query(name="path", about="Only those whose path begins with this."),
            *PAGE_QUERY,
        ),
        answers={200: TemplateList},
    ),
    Route(
        name="get_template",
        method="GET",
        path=ONE,
        handler=templates.one,
        summary="A template: its draft, and the number of what is sent now.",
        scope=READ,
        answers={200: TemplateAnswer},
        errors=(404,),
    ),
    Route(
        name="list_template_versions",
        method="GET",
        path=f"{ONE}/versions",
        handler=templates.versions,
        summary="What was published, the newest first.",
        scope=READ,
        query=PAGE_QUERY,
        answers={200: VersionList},
        errors=(404,),
    ),
    Route(
        name="diff_template",
        method="GET",
        path=f"{ONE}/diff",
        handler=templates.difference,
        summary="What changed between two versions, a unified diff per text and locale.",
        scope=READ,
        query=(
            Query(
                name="from",
                about="A version's number; without it, what is sent now.",
                kind="integer",
                default=0,
            ),
            Query(
                name="to",
                about="A version's number; without it, the draft.",
                kind="integer",
                default=0,
            ),
        ),
        answers={200: DiffAnswer},
        errors=(404,),
    ),
)
_COUNTS: tuple[Route, ...] = (
    Route(
        name="get_template_usage",
        method="GET",
        path=f"{ONE}/usage",
        handler=templates.usage,
        summary="How many messages it was rendered for, by day, version, channel and locale.",
        scope=READ,
        query=(
            Query(
                name="days",
                about="The last so many days, today included.",
                kind="integer",
                default=30,
                lowest=1,
                highest=366,
            ),
            *PAGE_QUERY,
        ),
        answers={200: UsageList},
        errors=(404,),
    ),
)
_CHECKING: tuple[Route, ...] = (
    Route(
        name="validate_new_template",
        method="POST",
        path=f"{LIST}/validate",
        handler=templates.validate_new,
        summary="Check a template that is not written yet.",
        scope=READ,
        body=TemplateBody,
        answers={200: ValidationAnswer},
    ),
    Route(
        name="preview_template",
        method="POST",
        path=f"{ONE}/preview",
        handler=templates.preview,
        summary="Show the draft on every channel in every locale, to an example person.",
        scope=READ,
        body=PreviewBody,
        answers={200: PreviewAnswer},
        errors=(404,),
    ),
    Route(
        name="validate_template",
        method="POST",
        path=f"{ONE}/validate",
        handler=templates.validate,
        summary="Check the draft with the body's changes; nothing is written.",
        scope=READ,
        body=TemplateBody,
        answers={200: ValidationAnswer},
        errors=(404,),
    ),
)
# "validate" before "{id}", which takes any word.
ROUTES: tuple[Route, ...] = (*_CHECKING, *_WRITING, *_READING, *_COUNTS)
