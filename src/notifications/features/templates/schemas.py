"""The bodies and responses of TemplateService: templates, versions and previews."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any

import msgspec


class TemplateResponse(msgspec.Struct, kw_only=True):
    """A template. The texts are the draft; `version` is the number of what is sent now.

    republished: after publishing with `dependants`, the paths that were built anew with it.
    """

    id: int
    name: str
    path: str
    category: str | None
    default_priority: int
    supported_channels: list[str]
    channels: list[str]
    required_variables: list[str]
    optional_variables: list[str]
    default_locale: str
    is_active: bool
    status: str
    version: int | None
    push_template: str
    email_subject_template: str
    email_body_template: str
    email_html_template: str
    sms_template: str
    websocket_template: str
    telegram_template: str
    in_app_template: str
    translations: dict[str, dict[str, str]]
    example_context: dict[str, Any]
    created_at: datetime
    updated_at: datetime
    warnings: list[str] = []
    republished: list[str] = []


class TemplateBody(msgspec.Struct, kw_only=True):
    """What creates or changes a template. A change names only what it changes.

    example_context: variables that previews are shown with.
    """

    name: str
    path: str
    category: str | None = None
    default_priority: int | str = 3
    supported_channels: list[str] = []
    required_variables: list[str] = []
    optional_variables: list[str] = []
    default_locale: str = "en"
    is_active: bool = True
    status: str = "draft"
    push_template: str = ""
    email_subject_template: str = ""
    email_body_template: str = ""
    email_html_template: str = ""
    sms_template: str = ""
    websocket_template: str = ""
    telegram_template: str = ""
    in_app_template: str = ""
    translations: dict[str, dict[str, str]] = {}
    example_context: dict[str, Any] = {}


class PublishBody(msgspec.Struct, kw_only=True):
    """version: the number of an old version to go back to; none publishes the draft.

    dependants: templates that are built with this one are published again, built with its new
    version; without it they keep the one they have.
    """

    version: int | None = None
    dependants: bool = False


class RollbackBody(msgspec.Struct, kw_only=True):
    """version: the number of the version whose texts are published again; none: the one before."""

    version: int | None = None


class PreviewBody(msgspec.Struct, kw_only=True):
    """Variables to preview with, before those of the template's `example_context`.

    What is given of `user` is set into an example person.
    """

    context: dict[str, Any] = {}


class VersionResponse(msgspec.Struct, kw_only=True):
    """A published version. uses: the version ids of the layouts and partials it is built with."""

    id: int
    number: int
    is_current: bool
    published_at: datetime
    default_locale: str
    supported_channels: list[str]
    required_variables: list[str]
    content: dict[str, dict[str, str]]
    uses: dict[str, int]


class TemplateList(msgspec.Struct, kw_only=True):
    """A page of templates."""

    results: list[TemplateResponse]
    next: str | None = None
    previous: str | None = None


class VersionList(msgspec.Struct, kw_only=True):
    """A page of versions, the newest first."""

    results: list[VersionResponse]
    next: str | None = None
    previous: str | None = None


class DeletedResponse(msgspec.Struct, kw_only=True):
    """deleted is false for a template that messages were sent by: it is switched off instead."""

    deleted: bool


class TextDiff(msgspec.Struct, kw_only=True):
    """One text's change as a unified diff."""

    channel: str
    field: str
    locale: str
    diff: str


class DiffResponse(msgspec.Struct, kw_only=True):
    """What changed. A version that is null is: from, nothing published; to, the draft."""

    from_version: int | None
    to_version: int | None
    texts: list[TextDiff]


class SmsResponse(msgspec.Struct, kw_only=True):
    """How a carrier counts a text."""

    encoding: str
    units: int
    segments: int


class PushResponse(msgspec.Struct, kw_only=True):
    """How much of a push's payload title and body take; cut: they are too long, and shortened."""

    bytes: int
    limit: int
    cut: bool


class PreviewItem(msgspec.Struct, kw_only=True):
    """One channel in one locale: rendered, or the error that stands in the way."""

    channel: str
    locale: str
    title: str = ""
    body: str = ""
    html: str = ""
    sms: SmsResponse | None = None
    push: PushResponse | None = None
    error_code: str | None = None
    error: str | None = None


class PreviewResponse(msgspec.Struct, kw_only=True):
    """Every channel in every locale."""

    previews: list[PreviewItem]
    missing_variables: list[str]


class UsageResponse(msgspec.Struct, kw_only=True):
    """How many messages a version was rendered for on a day (UTC); locale is that of the text."""

    id: int
    day: date
    version: int
    channel: str
    locale: str
    count: int


class UsageList(msgspec.Struct, kw_only=True):
    """A page of counts, the newest first; total is the sum of all pages."""

    total: int
    results: list[UsageResponse]
    next: str | None = None
    previous: str | None = None


class UsageSum(msgspec.Struct, kw_only=True):
    """How many messages a template was rendered for on a channel in a language."""

    path: str
    channel: str
    locale: str
    count: int


class TextFault(msgspec.Struct, kw_only=True):
    """What is wrong with one text. line and column are those of the text, from 1, where known."""

    path: str
    code: str
    detail: str
    line: int | None = None
    column: int | None = None


class LocaleGap(msgspec.Struct, kw_only=True):
    """A text that a locale lacks; shown_in is the locale that its people read it in."""

    locale: str
    channel: str
    field: str
    shown_in: str


class ValidationResponse(msgspec.Struct, kw_only=True):
    """Whether the texts can be published.

    missing_variables are required but used nowhere; extra_variables are used but not declared;
    unknown_variables are read of `user`, who has no such thing. gaps: texts that one locale has and
    another lacks.
    """

    valid: bool
    errors: list[TextFault]
    warnings: list[str]
    missing_variables: list[str]
    extra_variables: list[str]
    all_variables: list[str]
    unknown_variables: list[str] = []
    gaps: list[LocaleGap] = []
