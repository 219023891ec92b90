"""Finds, checks, compiles and presents the rows of templates."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import datetime
from typing import Any

from notifications.domain.callers import Caller
from notifications.domain.errors import Conflict, NotFound, Refused
from notifications.domain.identifiers import parse_identifier
from notifications.features.access.limits import check_category
from notifications.features.templates.accessibility.warnings import accessibility_warnings
from notifications.features.templates.dependants import concurrent_change
from notifications.features.templates.preview import preview_context
from notifications.features.templates.review import TextReview, check_publishable, review
from notifications.features.templates.schemas import TemplateResponse
from notifications.features.templates.trials import limit_errors, previews, tried_texts
from notifications.infra import clock
from notifications.intake.fields import Fields
from notifications.models import (
    CONTENT_FIELDS,
    NotificationTemplate,
    TemplateVersion,
)
from notifications.models.audit.actions import Values, record_action
from notifications.rendering.paths import candidates, takes_over
from notifications.rendering.render import CompiledVersion
from notifications.rendering.versions import current_parts, mark_proved, service_defaults

READ_SCOPE = "templates:read"
WRITE_SCOPE = "templates:write"
CRITICAL_SCOPE = "priority:critical"
_SYSTEM = "system"


def template_rows() -> Any:
    """Returns a query of templates with the related rows that a response needs."""
    return NotificationTemplate.objects.select_related("category", "current_version")


def find_template(identifier: object, *, lock: bool = False) -> NotificationTemplate:
    """Returns a template by its id.

    Raises:
        NotFound: unknown_template.
    """
    key = parse_identifier(identifier)
    rows = NotificationTemplate.objects.select_for_update() if lock else template_rows()
    found = rows.filter(pk=key).first() if isinstance(key, int) else None
    if found is None:
        raise NotFound(f"there is no template {identifier}", code="unknown_template")
    return found


def find_unchanged(
    row: NotificationTemplate, *, seen: datetime | None = None
) -> NotificationTemplate:
    """Locks a template whose texts were tried without a lock, and checks that it is unchanged.

    seen: as of `check_seen`; None where the author's own look does not matter.

    Raises:
        NotFound: unknown_template; it was deleted.
        Conflict: concurrent_change.
    """
    locked = find_template(row.pk, lock=True)
    is_same = versioned_content(locked) == versioned_content(row) and (
        locked.current_version_id == row.current_version_id
    )
    if not is_same:
        raise concurrent_change(row.path)
    if seen is not None and locked.updated_at != seen:
        raise seen_error(row)
    return locked


def check_seen(row: NotificationTemplate, seen: datetime) -> None:
    """Locks a template, and checks that it was not changed since its author read it.

    Raises:
        NotFound: unknown_template; it was deleted.
        Conflict: concurrent_change.
    """
    if find_template(row.pk, lock=True).updated_at != seen:
        raise seen_error(row)


def seen_error(row: NotificationTemplate) -> Conflict:
    """Returns the error for a template that was changed since its author read it."""
    return Conflict(
        f"template {row.path} was changed since you opened it: open it again",
        code="concurrent_change",
    )


def find_version(row: NotificationTemplate, number: int) -> TemplateVersion:
    """Returns a template's version by its number.

    Raises:
        NotFound: unknown_version.
    """
    found = row.versions.filter(number=number).first()
    if found is None:
        raise NotFound(f"{row.path} has no version {number}", code="unknown_version")
    return found


def published_versions(paths: Iterable[str]) -> list[tuple[int, int | None]]:
    """Returns the id and the published version of each template that sends to paths may use."""
    named = sorted({each for path in paths for each in candidates(path)})
    rows = NotificationTemplate.objects.filter(path__in=named).order_by("pk")
    return list(rows.values_list("pk", "current_version_id"))


def check_author(caller: Caller) -> None:
    """Raises Refused unless the caller may write templates."""
    if not caller.may(WRITE_SCOPE):
        raise Refused(
            f"this needs the scope {WRITE_SCOPE}", code="missing_scope", scope=WRITE_SCOPE
        )


def check_not_system(row: NotificationTemplate, caller: Caller) -> None:
    """Checks the right to write a path that begins with `system.`.

    Mails of these paths carry codes and links to a person's data. Who writes one could have the
    code sent elsewhere.

    Raises:
        Refused: system_template, unless the caller is an admin.
    """
    path = row.path or ""  # a body without a path is refused with its other faults
    if path.partition(".")[0] == _SYSTEM and not caller.manages_staff:
        raise Refused(f"only an admin may write the template {row.path}", code="system_template")


def check_writable(row: NotificationTemplate, caller: Caller) -> None:
    """Checks the right to write a template, by its path and its category.

    Raises:
        Refused: system_template; category_not_allowed, for a member of staff whose groups do not
            include its category.
    """
    check_not_system(row, caller)
    check_category(caller, row.category_id)


def check_new(row: NotificationTemplate, fields: Fields, caller: Caller, *, creating: bool) -> None:
    """Checks the right to write a template as its body would make it.

    A path serves sends that a wildcard served before. So a member of groups creates no path that
    takes over a template of another category.

    Raises:
        Refused: system_template, category_not_allowed.
    """
    check_not_system(row, caller)
    if caller.categories is None or fields.errors:  # which are reported instead
        return
    check_category(caller, row.category_id)
    if creating:
        others = NotificationTemplate.objects.filter(path__contains="*")
        others = others.exclude(category_id__in=caller.categories)
        for path, category_id in others.values_list("path", "category_id"):
            if takes_over(row.path, path):
                check_category(caller, category_id)


def check_all_writable(keys: Collection[int], caller: Caller) -> None:
    """Checks the right to write several templates, by their ids.

    Raises:
        Refused: as `check_writable`.
    """
    for row in NotificationTemplate.objects.filter(pk__in=keys):
        check_writable(row, caller)


def check_critical(caller: Caller) -> None:
    """Checks the right to priority 1: a template's default priority applies to every caller.

    Raises:
        Refused: missing_scope.
    """
    if not caller.may(CRITICAL_SCOPE):
        raise Refused(
            f"priority 1 needs the scope {CRITICAL_SCOPE}",
            code="missing_scope",
            scope=CRITICAL_SCOPE,
        )


def check_reader(caller: Caller) -> None:
    """Raises Refused unless the caller may read templates; the write scope includes reading."""
    if not (caller.may(READ_SCOPE) or caller.may(WRITE_SCOPE)):
        raise _refused(READ_SCOPE)


def _refused(scope: str) -> Refused:
    return Refused(f"this needs the scope {scope}", code="missing_scope", scope=scope)


def check_free(row: NotificationTemplate) -> None:
    """Raises Conflict when another template has the path or the name."""
    others = NotificationTemplate.objects.exclude(pk=row.pk)
    for name in ("path", "name"):
        if others.filter(**{name: getattr(row, name)}).exists():
            raise Conflict(
                f"there is a template with the {name} {getattr(row, name)!r} already",
                code=f"{name}_taken",
            )


def review_row(row: NotificationTemplate, fields: Fields, *, principal: str) -> TextReview:
    """Reviews a row's texts and adds their errors to those of the body."""
    content = row.content()
    found = review(
        tried=tried_texts(compiled_draft(row), content, principal=principal),
        content=content,
        default_locale=row.default_locale,
        required=row.required_variables,
        optional=row.optional_variables,
    )
    fields.errors += found.errors
    return found


def check_row(row: NotificationTemplate, fields: Fields, *, principal: str) -> TextReview:
    """Reviews a row's texts and renders its example on behalf of a principal.

    Raises:
        InvalidRequest: the texts cannot be sent.
    """
    found = review_row(row, fields, principal=principal)
    found.notes += try_row(row, fields, principal=principal)
    fields.raise_errors()
    return found


def try_row(row: NotificationTemplate, fields: Fields, *, principal: str) -> list[str]:
    """Renders the example of texts that compile; adds the errors that prevent publication.

    Returns what keeps people from reading its mails, as sentences.
    """
    if fields.errors:
        return []
    version = compiled_draft(row)
    fields.errors += check_publishable(version, row.supported_channels)
    if fields.errors:
        return []
    context = preview_context(row.example_context)
    shown = previews(version, context, principal=principal)
    fields.errors += limit_errors(version, shown)
    return accessibility_warnings(version, shown, principal=principal)


def note_proof(row: NotificationTemplate, tried: CompiledVersion) -> None:
    """Marks the current version as proved if it was built with the parts that were tried."""
    current = row.current_version
    pins = {path: part.version_id for path, part in tried.parts.items()}
    if current is not None and current.pins == pins:
        mark_proved(current.pk)


def versioned_content(row: NotificationTemplate) -> tuple[object, ...]:
    """Returns the fields that make up a version."""
    return row.content(), row.required_variables, row.supported_channels, row.default_locale


def compiled_draft(row: NotificationTemplate) -> CompiledVersion:
    """Compiles the draft with the published versions of the templates that it names; uncached."""
    return _compiled(row, current_parts(row.content()))


def _compiled(row: NotificationTemplate, parts: dict[str, CompiledVersion]) -> CompiledVersion:
    return CompiledVersion(
        version_id=0,
        path=row.path,
        content=row.content(),
        required_variables=row.required_variables,
        supported_channels=row.supported_channels,
        default_locale=row.default_locale,
        parts=parts,
        defaults=service_defaults(),
    )


def note_action(
    caller: Caller,
    action: str,
    target: str,
    *,
    before: Values = None,
    after: Values = None,
) -> None:
    """Records a caller's action on a template, with the values that it changed."""
    record_action(
        actor=caller.name,
        action=action,
        target=target,
        at=clock.now(),
        before=before,
        after=after,
    )


def template_response(
    row: NotificationTemplate,
    *,
    warnings: list[str] | None = None,
    republished: list[str] | None = None,
) -> TemplateResponse:
    """Returns the public shape of a template."""
    texts = {name: getattr(row, name) for name in CONTENT_FIELDS}
    return TemplateResponse(
        id=row.pk,
        name=row.name,
        path=row.path,
        category=row.category.key if row.category else None,
        default_priority=row.default_priority,
        supported_channels=row.supported_channels,
        channels=_compiled(row, {}).channels,
        required_variables=row.required_variables,
        optional_variables=row.optional_variables,
        default_locale=row.default_locale,
        is_active=row.is_active,
        status=row.status,
        version=row.current_version.number if row.current_version else None,
        translations=row.translations,
        example_context=row.example_context,
        created_at=row.created_at,
        updated_at=row.updated_at,
        warnings=warnings or [],
        republished=republished or [],
        **texts,
    )
