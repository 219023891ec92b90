"""Request and response schemas of templates and their versions."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, UnsetType

from notifications.infra.field_types import (
    CategoryKey,
    ChannelName,
    LocaleName,
    NextPage,
    PreviousPage,
    PriorityNumber,
    PriorityWord,
    TemplatePath,
    choice,
)
from notifications.models import TemplateStatus

TemplateState = Annotated[
    str,
    choice(
        "TemplateStatus",
        TemplateStatus.values,
        "`draft`: the texts of the template differ from what is sent, or nothing is published.",
    ),
]
Variables = Annotated[
    list[str],
    Meta(description="Names of variables, with dots for parts.", examples=[["amount", "order.id"]]),
]
Translations = Annotated[
    dict[str, dict[str, str]],
    Meta(
        description="The texts in other locales, by locale and by the name of the text.",
        examples=[{"ru": {"push_template": "Получено {{ amount }}"}}],
    ),
]
ExampleContext = Annotated[
    dict[str, Any],
    Meta(
        description="The variables that previews are shown with: any JSON object.",
        examples=[{"amount": "12.50"}],
    ),
]
VersionNumber = Annotated[
    int | None, Meta(description="The number of a version, or null.", examples=[3])
]


class TemplateResponse(msgspec.Struct, kw_only=True):
    """A template. Its texts are the draft."""

    id: int
    """The integer id of the template. Example: `11`"""

    name: str
    """The name that staff see. Example: `Payment received`"""

    path: TemplatePath

    category: CategoryKey | None
    """The key of its category, or null. Example: `payment`"""

    default_priority: PriorityNumber

    supported_channels: list[ChannelName]
    """The channels that it may be sent on; empty for all with a text. Example: `["push"]`"""

    channels: list[ChannelName]
    """The channels that it has a text for. Example: `["push", "email"]`"""

    required_variables: Variables
    optional_variables: Variables
    default_locale: LocaleName

    is_active: bool
    """Whether it can be sent."""

    status: TemplateState

    version: VersionNumber
    """The number of the version that is sent now; null when nothing is published. Example: `3`"""

    push_template: str
    """The text of a push. Example: `Payment of {{ amount }} received`"""

    email_subject_template: str
    """The subject of an email. Example: `Your payment`"""

    email_body_template: str
    """The plain text of an email. Example: `Hello {{ user.first_name }}, thank you.`"""

    email_html_template: str
    """The HTML or MJML of an email. Example: `<p>Hello {{ user.first_name }}</p>`"""

    sms_template: str
    """The text of an SMS. Example: `Payment of {{ amount }} received`"""

    websocket_template: str
    """The text of a WebSocket message. Example: `Payment received`"""

    telegram_template: str
    """The text of a Telegram message. Example: `Payment of {{ amount }} received`"""

    in_app_template: str
    """The text in the inbox. Example: `Payment of {{ amount }} received`"""

    translations: Translations
    example_context: ExampleContext

    created_at: datetime
    """When it was made (RFC 3339)."""

    updated_at: datetime
    """When it was last changed (RFC 3339)."""

    warnings: list[str] = []
    """What may be wrong with the texts, one sentence each. Example: `["push is long"]`"""

    republished: list[str] = []
    """The paths of the templates that were published again with it.
    Example: `["user.payment.failed"]`"""


class TemplateBody(msgspec.Struct, kw_only=True):
    """A new template."""

    name: str
    """The unique name that staff see, up to 100 characters. Example: `Payment received`"""

    path: str
    """The path: words joined by dots, at most 200 characters; `*` stands for any one word.
    Example: `user.payment.success`"""

    category: CategoryKey | None = None
    """The key of its category, or null. Example: `payment`"""

    default_priority: PriorityNumber | PriorityWord | UnsetType = UNSET
    """The priority of sends that name none; 3 for a new template. Example: `3`"""

    supported_channels: list[ChannelName] = []
    """The channels that it may be sent on; empty for all with a text. Example: `["push"]`"""

    required_variables: Variables = []
    optional_variables: Variables = []
    default_locale: LocaleName | UnsetType = UNSET
    """The locale of the texts outside `translations`; `en` for a new template. Example: `en`"""

    is_active: bool | UnsetType = UNSET
    """Whether it can be sent; true for a new template."""

    status: TemplateState | UnsetType = UNSET
    """`published` publishes the texts of this request at once. Example: `draft`"""

    push_template: str | UnsetType = UNSET
    """The text of a push. Example: `Payment of {{ amount }} received`"""

    email_subject_template: str | UnsetType = UNSET
    """The subject of an email. Example: `Your payment`"""

    email_body_template: str | UnsetType = UNSET
    """The plain text of an email. Example: `Hello {{ user.first_name }}, thank you.`"""

    email_html_template: str | UnsetType = UNSET
    """The HTML or MJML of an email. Example: `<p>Hello {{ user.first_name }}</p>`"""

    sms_template: str | UnsetType = UNSET
    """The text of an SMS. Example: `Payment of {{ amount }} received`"""

    websocket_template: str | UnsetType = UNSET
    """The text of a WebSocket message. Example: `Payment received`"""

    telegram_template: str | UnsetType = UNSET
    """The text of a Telegram message. Example: `Payment of {{ amount }} received`"""

    in_app_template: str | UnsetType = UNSET
    """The text in the inbox. Example: `Payment of {{ amount }} received`"""

    translations: Translations = {}
    example_context: ExampleContext = {}


class TemplateChangeBody(TemplateBody, kw_only=True):
    """Changes of a template, or a draft that is only reviewed: every field may be left out."""

    name: str | UnsetType = UNSET  # type: ignore[assignment]  # a change may leave it out
    """The unique name that staff see, up to 100 characters. Example: `Payment received`"""

    path: str | UnsetType = UNSET  # type: ignore[assignment]  # a change may leave it out
    """The path: words joined by dots, at most 200 characters; `*` stands for any one word.
    Example: `user.payment.success`"""


class PublishBody(msgspec.Struct, kw_only=True):
    """What to publish."""

    version: VersionNumber = None
    """The number of an old version to publish again; left out, the draft. Example: `2`"""

    dependants: bool = False
    """Whether templates that include this one are published again, with its new version."""


class RollbackBody(msgspec.Struct, kw_only=True):
    """What to return to."""

    version: VersionNumber = None
    """The number of the version to publish again; left out, the one before. Example: `2`"""


class PreviewBody(msgspec.Struct, kw_only=True):
    """The variables of a preview."""

    context: dict[str, Any] = {}
    """Variables that override those of `example_context`: any JSON object. Values of `user`
    override those of an example user. Example: `{"amount": "12.50"}`"""


class VersionResponse(msgspec.Struct, kw_only=True):
    """A published version of a template."""

    id: int
    """The integer id of the version. Example: `30`"""

    number: int
    """The number of the version, from 1. Example: `3`"""

    is_current: bool
    """Whether this version is sent now."""

    published_at: datetime
    """When it was published (RFC 3339)."""

    default_locale: LocaleName

    supported_channels: list[ChannelName]
    """The channels that it may be sent on; empty for all with a text. Example: `["push"]`"""

    required_variables: Variables

    content: dict[str, dict[str, str]]
    """The texts, by locale and by the name of the text.
    Example: `{"en": {"push_template": "Payment received"}}`"""

    uses: dict[str, int]
    """The version ids of the layouts and partials that it includes, by path.
    Example: `{"layout.email": 12}`"""


class TemplateList(msgspec.Struct, kw_only=True):
    """A page of templates, the oldest first."""

    results: list[TemplateResponse]
    """The templates of this page."""

    next: NextPage = None
    previous: PreviousPage = None


class VersionList(msgspec.Struct, kw_only=True):
    """A page of versions, the newest first."""

    results: list[VersionResponse]
    """The versions of this page."""

    next: NextPage = None
    previous: PreviousPage = None


class DeletedResponse(msgspec.Struct, kw_only=True):
    """A template was deleted or disabled."""

    deleted: bool
    """False when messages were sent with the template: it is disabled instead."""
