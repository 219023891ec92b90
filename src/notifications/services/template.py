"""TemplateService: find, write, publish and preview templates."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.db import transaction
from django.db.models import ProtectedError

from notifications.domain.callers import Caller
from notifications.domain.errors import (
    Conflict,
    FieldError,
    InvalidRequest,
    NotFound,
    Refused,
)
from notifications.domain.identifiers import parse_identifier
from notifications.infra import clock
from notifications.intake.fields import Fields
from notifications.models import (
    CONTENT_FIELDS,
    NotificationTemplate,
    OperatorAction,
    TemplateStatus,
    TemplateVersion,
)
from notifications.rendering.paths import candidates
from notifications.rendering.render import CompiledVersion
from notifications.services.template_answers import (
    PreviewAnswer,
    PreviewBody,
    PublishBody,
    TemplateAnswer,
    TemplateBody,
    TextFault,
    ValidationAnswer,
    VersionAnswer,
)
from notifications.services.template_body import (
    Review,
    check_publishable,
    read_body,
    review,
    wants_publishing,
)
from notifications.services.template_preview import example_context, preview_item

__all__ = ["PreviewBody", "PublishBody", "TemplateBody", "TemplateService"]

MAX_PAGE = 200


class TemplateService:
    """Templates for those who write them, and for those who send by them."""

    def find(self, *, path: str) -> tuple[NotificationTemplate, TemplateVersion]:
        """The active, published template that serves a path: exact, else the nearest wildcard.

        Raises:
            NotFound: unknown_template, saying whether there is only a draft.
        """
        template = self.serving(path=path)
        assert template.current_version is not None
        return template, template.current_version

    def serving(self, *, path: str) -> NotificationTemplate:
        """The same, without its texts: every send asks.

        Raises:
            NotFound: unknown_template, saying whether there is only a draft.
        """
        order = {pattern: rank for rank, pattern in enumerate(candidates(path))}
        rows = NotificationTemplate.objects.heads(list(order))
        ranked = sorted(rows, key=lambda row: order[row.path])
        for row in ranked:
            if row.is_active and row.current_version_id is not None:
                return row
        why = f"there is no template {path!r}"
        if ranked:
            fault = "is switched off" if not ranked[0].is_active else "was never published"
            why = f"template {ranked[0].path!r} {fault}"
        raise NotFound(why, code="unknown_template", path=path)

    def templates(
        self,
        *,
        caller: Caller,
        category: str = "",
        channel: str = "",
        path: str = "",
        after: int = 0,
        limit: int = 50,
    ) -> list[TemplateAnswer]:
        """Templates by key; `after` is the last key of the page before, `path` a beginning."""
        _check_reader(caller)
        rows = _rows().filter(pk__gt=after, path__startswith=path).order_by("pk")
        if category:
            rows = rows.filter(category__key=category)
        page: list[TemplateAnswer] = []
        for row in rows.iterator(chunk_size=MAX_PAGE):
            answer = _answer(row)
            if not channel or channel in answer.channels:
                page.append(answer)
            if len(page) >= max(1, min(limit, MAX_PAGE)):
                break
        return page

    def get(self, *, identifier: object, caller: Caller) -> TemplateAnswer:
        """One template.

        Raises:
            NotFound: unknown_template.
        """
        _check_reader(caller)
        return _answer(_find(identifier))

    def create(self, *, body: Mapping[str, Any], caller: Caller) -> TemplateAnswer:
        """Writes a template as a draft; with `status: published` it is sent from now on.

        Raises:
            InvalidRequest: with every error, those of texts with their line.
            Conflict: path_taken, name_taken.
        """
        _check_author(caller)
        return self._write(NotificationTemplate(), body, caller, creating=True)

    def update(
        self, *, identifier: object, body: Mapping[str, Any], caller: Caller
    ) -> TemplateAnswer:
        """Changes what the body names. Texts change the draft: what is sent changes on publishing.

        Raises:
            InvalidRequest, NotFound, Conflict: as create; a path cannot change.
        """
        _check_author(caller)
        row = _find(identifier)
        if body.get("path", row.path) != row.path:
            detail = "callers send by the path: write a new template instead"
            raise InvalidRequest([FieldError("path", "path_is_fixed", detail)])
        return self._write(row, body, caller, creating=False)

    def delete(self, *, identifier: object, caller: Caller) -> bool:
        """Deletes a template, or switches off one that messages were sent by. True: it is gone."""
        _check_author(caller)
        row = _find(identifier)
        _note(caller, "template.delete", row.path)
        try:
            with transaction.atomic():
                NotificationTemplate.objects.filter(pk=row.pk).update(current_version=None)
                row.delete()
        except ProtectedError:
            NotificationTemplate.objects.filter(pk=row.pk).update(is_active=False)
            return False
        return True

    def publish(
        self, *, identifier: object, caller: Caller, version: int | None = None
    ) -> TemplateAnswer:
        """Makes the draft, or the texts of an old version, what is sent from now on.

        Raises:
            NotFound: unknown_template, unknown_version.
            InvalidRequest: when the texts cannot be published.
        """
        _check_author(caller)
        with transaction.atomic():
            row = _find(identifier, lock=True)
            if version is not None:
                _take_back(row, version)
            _check_all(row, Fields({}))
            row.status = TemplateStatus.PUBLISHED
            row.save()
            _note(caller, "template.publish", row.path)
        return _answer(_find(row.pk))

    def versions(self, *, identifier: object, caller: Caller) -> list[VersionAnswer]:
        """Every published version, the newest first."""
        _check_reader(caller)
        row = _find(identifier)
        return [_version_answer(each, row) for each in row.versions.order_by("-number")]

    def preview(
        self, *, identifier: object, body: Mapping[str, Any], caller: Caller
    ) -> PreviewAnswer:
        """The draft on every channel in every locale; errors stand where a text cannot be shown."""
        _check_reader(caller)
        fields = Fields(body)
        fields.refuse_unknown(PreviewBody.__struct_fields__)
        given = fields.mapping("context")
        fields.done()
        compiled = _compiled(_find(identifier))
        context = {**example_context(), **given}
        items = [
            preview_item(compiled, channel, locale, context)
            for channel in compiled.channels
            for locale in compiled.locales
        ]
        return PreviewAnswer(previews=items, missing_variables=compiled.missing_variables(context))

    def validate(self, *, body: Mapping[str, Any], caller: Caller) -> ValidationAnswer:
        """What would be said about a template, without writing it."""
        _check_reader(caller)
        fields = Fields({"name": "-", "path": "a", **body})
        wants_publishing(fields)
        row = NotificationTemplate(**read_body(fields, creating=True))
        found = _review(row, fields)
        if not fields.errors:
            fields.errors += check_publishable(_compiled(row), row.supported_channels)
        return ValidationAnswer(
            valid=not fields.errors and not found.unused,
            errors=[TextFault(**each.as_dict()) for each in fields.errors],
            warnings=found.warnings,
            missing_variables=found.unused,
            extra_variables=found.extra,
            all_variables=sorted(found.used),
        )

    def _write(
        self, row: NotificationTemplate, body: Mapping[str, Any], caller: Caller, *, creating: bool
    ) -> TemplateAnswer:
        fields = Fields(body)
        publishing = wants_publishing(fields)
        values = read_body(fields, creating=creating)
        before = _versioned(row)
        for name, value in values.items():
            setattr(row, name, value)
        found = _check_all(row, fields) if publishing else _review(row, fields)
        fields.done()
        if publishing:
            row.status = TemplateStatus.PUBLISHED
        elif creating or _versioned(row) != before:
            row.status = TemplateStatus.DRAFT
        _check_free(row)
        with transaction.atomic():
            row.save()
            _note(caller, "template.create" if creating else "template.update", row.path)
        return _answer(_find(row.pk), warnings=found.warnings)


def _rows() -> Any:
    return NotificationTemplate.objects.select_related("category", "current_version")


def _find(identifier: object, *, lock: bool = False) -> NotificationTemplate:
    key = parse_identifier(identifier)
    rows = NotificationTemplate.objects.select_for_update() if lock else _rows()
    found = rows.filter(pk=key).first() if isinstance(key, int) else None
    if found is None:
        raise NotFound(f"there is no template {identifier}", code="unknown_template")
    return found


def _check_author(caller: Caller) -> None:
    if not caller.may("templates:write"):
        raise Refused(
            "this needs the scope templates:write", code="missing_scope", scope="templates:write"
        )


def _check_reader(caller: Caller) -> None:
    if not caller.is_service:
        _check_author(caller)


def _check_free(row: NotificationTemplate) -> None:
    others = NotificationTemplate.objects.exclude(pk=row.pk)
    for name in ("path", "name"):
        if others.filter(**{name: getattr(row, name)}).exists():
            raise Conflict(
                f"there is a template with the {name} {getattr(row, name)!r} already",
                code=f"{name}_taken",
            )


def _review(row: NotificationTemplate, fields: Fields) -> Review:
    """Adds the errors of the texts to those of the body."""
    found = review(
        content=row.content(),
        default_locale=row.default_locale,
        required=row.required_variables,
        optional=row.optional_variables,
    )
    fields.errors += found.errors
    return found


def _check_all(row: NotificationTemplate, fields: Fields) -> Review:
    """Raises InvalidRequest unless the row's texts can be sent."""
    found = _review(row, fields)
    if not fields.errors:
        fields.errors += check_publishable(_compiled(row), row.supported_channels)
    fields.done()
    return found


def _take_back(row: NotificationTemplate, number: int) -> None:
    old = row.versions.filter(number=number).first()
    if old is None:
        raise NotFound(f"{row.path} has no version {number}", code="unknown_version")
    texts = dict(old.content)
    own = texts.pop(old.default_locale, {})
    for name in CONTENT_FIELDS:
        setattr(row, name, own.get(name, ""))
    row.translations = texts
    row.default_locale = old.default_locale
    row.required_variables = old.required_variables
    row.supported_channels = old.supported_channels


def _versioned(row: NotificationTemplate) -> tuple[object, ...]:
    """What a version is made of."""
    return row.content(), row.required_variables, row.supported_channels, row.default_locale


def _compiled(row: NotificationTemplate) -> CompiledVersion:
    """The draft, compiled; not kept."""
    return CompiledVersion(
        version_id=0,
        path=row.path,
        content=row.content(),
        required_variables=row.required_variables,
        supported_channels=row.supported_channels,
        default_locale=row.default_locale,
    )


def _note(caller: Caller, action: str, target: str) -> None:
    OperatorAction.objects.create(actor=caller.name, action=action, target=target, at=clock.now())


def _answer(row: NotificationTemplate, *, warnings: list[str] | None = None) -> TemplateAnswer:
    texts = {name: getattr(row, name) for name in CONTENT_FIELDS}
    return TemplateAnswer(
        id=row.pk,
        name=row.name,
        path=row.path,
        category=row.category.key if row.category else None,
        default_priority=row.default_priority,
        supported_channels=row.supported_channels,
        channels=_compiled(row).channels,
        required_variables=row.required_variables,
        optional_variables=row.optional_variables,
        default_locale=row.default_locale,
        is_active=row.is_active,
        status=row.status,
        version=row.current_version.number if row.current_version else None,
        translations=row.translations,
        created_at=row.created_at,
        updated_at=row.updated_at,
        warnings=warnings or [],
        **texts,
    )


def _version_answer(version: TemplateVersion, row: NotificationTemplate) -> VersionAnswer:
    return VersionAnswer(
        id=version.pk,
        number=version.number,
        is_current=version.pk == row.current_version_id,
        published_at=version.published_at,
        default_locale=version.default_locale,
        supported_channels=version.supported_channels,
        required_variables=version.required_variables,
        content=version.content,
    )
