"""Lists, compares and rolls back a template's versions."""

from __future__ import annotations

from typing import Any

from notifications.domain.errors import FieldError, InvalidRequest
from notifications.features.templates.preview import preview_context
from notifications.features.templates.report_schemas import DiffResponse, TextDiff
from notifications.features.templates.review import CHANNEL_OF_FIELD
from notifications.features.templates.rows import find_version, seen_error
from notifications.features.templates.schemas import VersionResponse
from notifications.features.templates.trials import compared, first_fault
from notifications.models import (
    CONTENT_FIELDS,
    NotificationTemplate,
    TemplateStatus,
    TemplateVersion,
)
from notifications.rendering.versions import version_of

COMPARED_LINES = 4_000
Content = dict[str, dict[str, str]]


def version_response(version: TemplateVersion, row: NotificationTemplate) -> VersionResponse:
    """Returns the public shape of a version."""
    return VersionResponse(
        id=version.pk,
        number=version.number,
        is_current=version.pk == row.current_version_id,
        published_at=version.published_at,
        default_locale=version.default_locale,
        supported_channels=version.supported_channels,
        required_variables=version.required_variables,
        content=version.content,
        uses=version.pins,
    )


def versions_page(row: NotificationTemplate, *, after: int, limit: int) -> list[VersionResponse]:
    """Returns versions, the newest first; `after` is the last number of the page before, or 0."""
    rows = row.versions.order_by("-number")
    if after:
        rows = rows.filter(number__lt=after)
    return [version_response(each, row) for each in rows[:limit]]


def diff(
    row: NotificationTemplate, *, from_number: int, to_number: int, principal: str
) -> DiffResponse:
    """Returns the changes between two versions, text by text.

    from_number 0 is the current version (empty before the first one); to_number 0 is the draft.

    Raises:
        NotFound: unknown_version.
    """
    old = find_version(row, from_number) if from_number else row.current_version
    new = find_version(row, to_number) if to_number else None
    before: Content = old.content if old else {}
    after: Content = new.content if new else row.content()
    return DiffResponse(
        from_version=old.number if old else None,
        to_version=new.number if new else None,
        texts=text_diffs(before, after, principal=principal),
    )


def text_diffs(before: Content, after: Content, *, principal: str) -> list[TextDiff]:
    """Returns a unified diff of each text that differs, by locale, then in field order."""
    found = []
    for locale in sorted({*before, *after}):
        for name in CONTENT_FIELDS:
            old = before.get(locale, {}).get(name, "")
            new = after.get(locale, {}).get(name, "")
            if old != new:
                found.append(
                    TextDiff(
                        channel=CHANNEL_OF_FIELD[name],
                        field=name,
                        locale=locale,
                        diff=unified(old, new, principal=principal),
                    )
                )
    return found


def unified(old: str, new: str, *, principal: str) -> str:
    """Returns a unified diff with three lines of context.

    Texts of very many lines, or whose comparison takes too long, are shown as replaced: difflib
    takes quadratic time.
    """
    lines, wanted = old.splitlines(), new.splitlines()
    if len(lines) + len(wanted) <= COMPARED_LINES:
        found = compared(old, new, principal=principal)
        if found is not None:
            return found
    head = f"@@ -1,{len(lines)} +1,{len(wanted)} @@"
    return "\n".join([head, *(f"-{each}" for each in lines), *(f"+{each}" for each in wanted)])


def check_roll_back(
    row: NotificationTemplate, number: int | None, *, principal: str, seen: int | None = None
) -> TemplateVersion:
    """Returns an old version that can still be sent, by default the one before the current.

    seen: the current version that the author saw; None where it may be any.

    Raises:
        NotFound: unknown_version.
        InvalidRequest: the old texts can no longer be sent.
        Conflict: concurrent_change, since `seen`.
    """
    current = row.current_version.number if row.current_version else 0
    if seen not in (None, current):
        raise seen_error(row)
    old = find_version(row, current - 1 if number is None else number)
    context = preview_context(row.example_context)
    fault = first_fault(version_of(old.pk), context, principal=principal)
    if fault is not None:
        raise InvalidRequest([FieldError("version", fault.code, fault.detail)])
    return old


def roll_back(row: NotificationTemplate, old: TemplateVersion) -> None:
    """Publishes the texts of an old version, with its layouts, as a new version.

    An unpublished draft remains unchanged.
    """
    has_draft = row.status == TemplateStatus.DRAFT and row.current_version_id is not None
    row.publish_again(old)
    if not has_draft:
        NotificationTemplate.objects.filter(pk=row.pk).update(
            status=TemplateStatus.PUBLISHED, **_draft_of(old)
        )


def _draft_of(old: TemplateVersion) -> dict[str, Any]:
    """Returns the columns of a template whose draft is an old version."""
    texts = dict(old.content)
    own = texts.pop(old.default_locale, {})
    return {
        **{name: own.get(name, "") for name in CONTENT_FIELDS},
        "translations": texts,
        "default_locale": old.default_locale,
        "required_variables": old.required_variables,
        "supported_channels": old.supported_channels,
    }
