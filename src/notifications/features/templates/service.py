"""TemplateService: find, write, publish and preview templates."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from django.db import transaction
from django.db.models import ProtectedError

from notifications.domain.callers import Caller
from notifications.domain.channels import Priority
from notifications.domain.errors import FieldError, InvalidRequest, NotFound
from notifications.features.access.limits import check_category
from notifications.features.templates.body import read_body, wants_publishing
from notifications.features.templates.dependants import plan_dependants, republish_dependants
from notifications.features.templates.history import check_roll_back, diff, roll_back, versions_page
from notifications.features.templates.preview import preview_item, read_preview
from notifications.features.templates.report_schemas import (
    DiffResponse,
    PreviewResponse,
    ValidationResponse,
)
from notifications.features.templates.rows import (
    check_all_writable,
    check_author,
    check_critical,
    check_free,
    check_new,
    check_reader,
    check_row,
    check_seen,
    check_writable,
    compiled_draft,
    find_template,
    find_unchanged,
    note_action,
    note_proof,
    review_row,
    template_response,
    template_rows,
    try_row,
    versioned_content,
)
from notifications.features.templates.schemas import (
    PreviewBody,
    PublishBody,
    TemplateBody,
    TemplateResponse,
    VersionResponse,
)
from notifications.features.templates.trials import previews
from notifications.intake.fields import Fields
from notifications.models import NotificationTemplate, TemplateStatus, TemplateVersion
from notifications.models.audit.actions import stored_values, values_of
from notifications.models.delivery.hot_facts import load_heads
from notifications.rendering.paths import candidates
from notifications.rendering.versions import version_of

__all__ = ["PreviewBody", "PublishBody", "TemplateBody", "TemplateService"]

STATES: Mapping[str, Mapping[str, Any]] = {
    "draft": {"status": TemplateStatus.DRAFT},
    "published": {"status": TemplateStatus.PUBLISHED},
    "inactive": {"is_active": False},
}
"""The columns of the templates in a state."""
MAX_PAGE = 201  # a page, and one more row that shows whether a next page exists


def serving_among(
    path: str, templates: Mapping[str, NotificationTemplate]
) -> NotificationTemplate | None:
    """Returns the template that serves a path, of those stored at `candidates(path)`, by path."""
    return _first_live(_ranked(path, templates))


def _ranked(path: str, templates: Mapping[str, NotificationTemplate]) -> list[NotificationTemplate]:
    """Returns the templates that could serve a path, the most specific first."""
    return [templates[pattern] for pattern in candidates(path) if pattern in templates]


def _first_live(ranked: Iterable[NotificationTemplate]) -> NotificationTemplate | None:
    return next((r for r in ranked if r.is_active and r.current_version_id is not None), None)


def serving_or_raise(
    path: str, templates: Mapping[str, NotificationTemplate]
) -> NotificationTemplate:
    """Returns what `serving_among` returns.

    Raises:
        NotFound: unknown_template; the text says whether there is only a draft.
    """
    ranked = _ranked(path, templates)
    live = _first_live(ranked)
    if live is not None:
        return live
    why = f"there is no template {path!r}: GET /api/v1/templates lists the templates"
    if ranked:
        row = ranked[0]
        fault = f"was never published: publish it by POST /api/v1/templates/{row.pk}/publish"
        if not row.is_active:
            fault = "is switched off: set its is_active to send with it"
        why = f"template {row.path!r} {fault}"
    raise NotFound(why, code="unknown_template", path=path)


class TemplateService:
    """Templates for authors, and for callers that send with them."""

    def find(self, *, path: str) -> tuple[NotificationTemplate, TemplateVersion]:
        """Returns the active, published template for a path: exact, else the nearest wildcard.

        Raises:
            NotFound: unknown_template; the text says whether there is only a draft.
        """
        template = self.serving(path=path)
        assert template.current_version is not None
        return template, template.current_version

    def serving(self, *, path: str) -> NotificationTemplate:
        """Returns the same template without its texts, because every send needs it.

        Raises:
            NotFound: unknown_template; the text says whether there is only a draft.
        """
        return serving_or_raise(path, load_heads(candidates(path)))

    def templates(
        self,
        *,
        caller: Caller,
        category: str = "",
        channel: str = "",
        path: str = "",
        state: str = "",
        after: int = 0,
        limit: int = 50,
    ) -> list[TemplateResponse]:
        """Returns templates by key; `after` is the last key of the page before, `path` a prefix.

        state: draft, published, or inactive for those that are switched off.
        """
        check_reader(caller)
        rows = template_rows().filter(pk__gt=after, path__startswith=path).order_by("pk")
        if state:
            rows = rows.filter(**STATES[state])
        if category:
            rows = rows.filter(category__key=category)
        wanted = max(1, min(limit, MAX_PAGE))
        page: list[TemplateResponse] = []
        step = MAX_PAGE if channel else wanted  # few templates may have the channel
        while len(page) < wanted:
            part = list(rows[:step])
            responses = [template_response(row) for row in part]
            page += [each for each in responses if not channel or channel in each.channels]
            if len(part) < step:
                break
            rows = rows.filter(pk__gt=part[-1].pk)
        return page[:wanted]

    def get(self, *, identifier: object, caller: Caller) -> TemplateResponse:
        """Returns one template.

        Raises:
            NotFound: unknown_template.
        """
        check_reader(caller)
        return template_response(find_template(identifier))

    def create(self, *, body: Mapping[str, Any], caller: Caller) -> TemplateResponse:
        """Creates a template as a draft; `status: published` also publishes it.

        Raises:
            InvalidRequest: with every error, and the line of errors in texts.
            Conflict: path_taken, name_taken.
            Refused: system_template, as for all that write.
        """
        check_author(caller)
        return self._write(NotificationTemplate(), body, caller, creating=True)

    def update(
        self,
        *,
        identifier: object,
        body: Mapping[str, Any],
        caller: Caller,
        seen: datetime | None = None,
    ) -> TemplateResponse:
        """Changes the fields that the body names. Texts change the draft until it is published.

        seen: the `updated_at` that the author saw; None where any other change may be lost.

        Raises:
            InvalidRequest, NotFound, Conflict: as `create`; a path cannot change.
            Conflict: concurrent_change, since `seen`.
        """
        check_author(caller)
        row = find_template(identifier)
        if body.get("path", row.path) != row.path:
            detail = "a path cannot change, because callers send with it: create a new template"
            raise InvalidRequest([FieldError("path", "path_immutable", detail)])
        return self._write(row, body, caller, creating=False, seen=seen)

    def delete(self, *, identifier: object, caller: Caller) -> bool:
        """Deletes a template, or switches off one that has messages. True: it was deleted."""
        check_author(caller)
        row = find_template(identifier)
        check_writable(row, caller)
        note_action(caller, "template.delete", row.path)
        try:
            with transaction.atomic():
                NotificationTemplate.objects.filter(pk=row.pk).update(current_version=None)
                row.delete()
        except ProtectedError:
            NotificationTemplate.objects.filter(pk=row.pk).update(is_active=False)
            return False
        return True

    def publish(
        self,
        *,
        identifier: object,
        caller: Caller,
        version: int | None = None,
        dependants: bool = False,
        seen: datetime | None = None,
    ) -> TemplateResponse:
        """Publishes the draft, or the texts of an old version.

        With dependants, the templates that are built with it are published again.
        seen: the `updated_at` that the author saw; None where any draft is published.

        Raises:
            NotFound: unknown_template, unknown_version.
            InvalidRequest: the texts cannot be published, or a dependant cannot be built.
            Conflict: concurrent_change, by another caller or since `seen`.
            RenderingBusy: no render process was free in time.
        """
        check_author(caller)
        row = find_template(identifier)
        check_writable(row, caller)
        if version is not None:
            old = check_roll_back(row, version, principal=caller.name)
            tried, warnings = version_of(old.pk), []
        else:
            found = check_row(row, Fields({}), principal=caller.name)
            tried, warnings = compiled_draft(row), found.warnings
        plan = plan_dependants(row, tried, principal=caller.name) if dependants else None
        check_all_writable(plan.keys if plan else (), caller)
        with transaction.atomic():
            locked = find_unchanged(row, seen=seen)
            if version is not None:
                roll_back(locked, old)
            else:
                locked.publish()
            note_proof(locked, tried)
            republished = republish_dependants(plan) if plan else []
            after = {"version_id": locked.current_version_id}
            note_action(caller, "template.publish", row.path, after=after)
        return template_response(find_template(row.pk), warnings=warnings, republished=republished)

    def rollback(
        self,
        *,
        identifier: object,
        caller: Caller,
        version: int | None = None,
        seen: int | None = None,
    ) -> TemplateResponse:
        """Publishes the texts of an old version again, by default the one before the current.

        seen: the current version that the author saw; None where it may be any.

        Raises:
            NotFound: unknown_template, unknown_version.
            InvalidRequest: the old texts can no longer be sent.
            Conflict: concurrent_change, by another caller or since `seen`.
        """
        check_author(caller)
        row = find_template(identifier)
        check_writable(row, caller)
        old = check_roll_back(row, version, seen=seen, principal=caller.name)
        with transaction.atomic():
            locked = find_unchanged(row)
            roll_back(locked, old)
            note_proof(locked, version_of(old.pk))
            after = {"version_id": locked.current_version_id}
            note_action(caller, "template.rollback", row.path, after=after)
        return template_response(find_template(row.pk))

    def versions(
        self, *, identifier: object, caller: Caller, after: int = 0, limit: int = 50
    ) -> list[VersionResponse]:
        """Returns versions, the newest first; `after` is the last number of the page before."""
        check_reader(caller)
        row = find_template(identifier)
        return versions_page(row, after=after, limit=max(1, min(limit, MAX_PAGE)))

    def diff(
        self, *, identifier: object, caller: Caller, from_number: int = 0, to_number: int = 0
    ) -> DiffResponse:
        """Returns the changes between two versions; 0 means the current version, and the draft.

        Raises:
            NotFound: unknown_template, unknown_version.
        """
        check_reader(caller)
        row = find_template(identifier)
        return diff(row, from_number=from_number, to_number=to_number, principal=caller.name)

    def preview(
        self, *, identifier: object, body: Mapping[str, Any], caller: Caller
    ) -> PreviewResponse:
        """Renders the draft on every channel in every locale; an error replaces a failed text."""
        check_reader(caller)
        row = find_template(identifier)
        context = read_preview(body, row)
        check_category(caller, row.category_id)
        compiled = compiled_draft(row)
        items = [
            preview_item(channel, locale, shown)
            for channel, locale, shown in previews(compiled, context, principal=caller.name)
        ]
        return PreviewResponse(
            previews=items, missing_variables=compiled.missing_variables(context)
        )

    def validate(
        self, *, body: Mapping[str, Any], caller: Caller, identifier: object = None
    ) -> ValidationResponse:
        """Reviews a template without saving it.

        With an identifier: reviews its draft with the body's changes.

        Raises:
            NotFound: unknown_template.
        """
        check_reader(caller)
        creating = identifier is None
        fields = Fields({"name": "-", "path": "a", **body} if creating else body)
        row = NotificationTemplate() if creating else find_template(identifier)
        wants_publishing(fields)
        for name, value in read_body(fields, creating=creating).items():
            setattr(row, name, value)
        found = review_row(row, fields, principal=caller.name)
        found.notes += try_row(row, fields, principal=caller.name)
        return ValidationResponse(
            valid=not fields.errors and not found.unused,
            errors=found.placed(fields.errors),
            warnings=found.warnings,
            missing_variables=found.unused,
            extra_variables=found.extra,
            all_variables=sorted(found.used),
            unknown_variables=found.unknown,
            gaps=found.gaps,
        )

    def _write(
        self,
        row: NotificationTemplate,
        body: Mapping[str, Any],
        caller: Caller,
        *,
        creating: bool,
        seen: datetime | None = None,
    ) -> TemplateResponse:
        fields = Fields(body)
        publishing = wants_publishing(fields)
        values = read_body(fields, creating=creating)
        urgent = values.get("default_priority") == Priority.CRITICAL
        if urgent and row.default_priority != Priority.CRITICAL:
            check_critical(caller)
        before = versioned_content(row)
        if not creating:
            check_writable(row, caller)  # as it is stored, and then as it will be
        for name, value in values.items():
            setattr(row, name, value)
        check_new(row, fields, caller, creating=creating)
        check = check_row if publishing else review_row
        found = check(row, fields, principal=caller.name)
        fields.raise_errors()
        if publishing:
            row.status = TemplateStatus.PUBLISHED
        elif creating or versioned_content(row) != before:
            row.status = TemplateStatus.DRAFT
        check_free(row)
        with transaction.atomic():
            if seen is not None:
                check_seen(row, seen)
            stored = stored_values(row)
            row.save()
            if publishing:
                row.publish()
                note_proof(row, compiled_draft(row))
            action = "template.create" if creating else "template.update"
            note_action(caller, action, row.path, before=stored, after=values_of(row))
        return template_response(find_template(row.pk), warnings=found.warnings)
