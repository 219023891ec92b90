"""Response schemas of what is reported about templates: diffs, previews, usage and validation."""

from __future__ import annotations

from datetime import date
from typing import Annotated

import msgspec

from notifications.features.templates.schemas import VersionNumber
from notifications.infra.field_types import (
    ChannelName,
    ErrorCode,
    LocaleName,
    NextPage,
    PreviousPage,
    TemplatePath,
    choice,
)

TextField = Annotated[
    str,
    msgspec.Meta(description="The name of the text.", examples=["email_subject_template"]),
]
UsageCount = Annotated[
    int, msgspec.Meta(description="The number of rendered messages.", examples=[1200])
]


class TextDiff(msgspec.Struct, kw_only=True):
    """The change of one text."""

    channel: ChannelName
    field: TextField
    locale: LocaleName

    diff: str
    """The change as a unified diff. Example: `@@ -1 +1 @@`"""


class DiffResponse(msgspec.Struct, kw_only=True):
    """The changes between two versions."""

    from_version: VersionNumber
    """The number of the older version; null when nothing was published. Example: `2`"""

    to_version: VersionNumber
    """The number of the newer version; null for the draft. Example: `3`"""

    texts: list[TextDiff]
    """The texts that changed."""


class SmsResponse(msgspec.Struct, kw_only=True):
    """The length of an SMS as a carrier counts it."""

    encoding: Annotated[
        str, choice("SmsEncoding", ("GSM-7", "UCS-2"), "The encoding that the text needs.")
    ]

    units: int
    """The length in units of the encoding. Example: `42`"""

    segments: int
    """The number of segments that are charged. Example: `1`"""


class PushResponse(msgspec.Struct, kw_only=True):
    """The size of a push."""

    bytes: int
    """The size of title and body in the payload, in bytes. Example: `180`"""

    limit: int
    """The most bytes that they may take. Example: `3500`"""

    cut: bool
    """Whether they are too long and are shortened."""


class PreviewItem(msgspec.Struct, kw_only=True):
    """One channel in one locale: the rendered text, or the error."""

    channel: ChannelName
    locale: LocaleName

    title: str = ""
    """The rendered title or subject. Example: `Your payment`"""

    body: str = ""
    """The rendered plain text. Example: `Hello Ada, thank you.`"""

    html: str = ""
    """The rendered HTML of an email; empty on other channels. Example: `<p>Hello Ada</p>`"""

    sms: SmsResponse | None = None
    """The length of an SMS; null on other channels."""

    push: PushResponse | None = None
    """The size of a push; null on other channels."""

    error_code: ErrorCode | None = None
    """The stable code of the error; null when the text was rendered. Example: `missing_variable`"""

    error: str | None = None
    """The error as a sentence; null when the text was rendered. Example: `amount is missing`"""


class PreviewResponse(msgspec.Struct, kw_only=True):
    """The draft on every channel in every locale."""

    previews: list[PreviewItem]
    """One entry for each channel and locale."""

    missing_variables: list[str]
    """Required variables that neither the request nor the example has. Example: `["amount"]`"""


class UsageResponse(msgspec.Struct, kw_only=True):
    """How many messages a version was rendered for on one day."""

    id: int
    """The integer id of the row. Example: `77`"""

    day: date
    """The day in UTC."""

    version: int
    """The number of the version. Example: `3`"""

    channel: ChannelName
    locale: LocaleName
    count: UsageCount


class UsageList(msgspec.Struct, kw_only=True):
    """A page of counts, the newest first."""

    total: int
    """The sum of the counts of all pages. Example: `34000`"""

    results: list[UsageResponse]
    """The counts of this page."""

    next: NextPage = None
    previous: PreviousPage = None


class UsageSum(msgspec.Struct, kw_only=True):
    """How many messages a template was rendered for, on a channel in a locale."""

    path: TemplatePath
    channel: ChannelName
    locale: LocaleName
    count: UsageCount


class TextFault(msgspec.Struct, kw_only=True):
    """An error in one text."""

    path: str
    """The field of the text. Example: `translations.ru.push_template`"""

    code: ErrorCode

    detail: str
    """The error as a sentence. Example: `line 2: unexpected '}'`"""

    line: int | None = None
    """The line of the text, from 1; null when it is not known. Example: `2`"""

    column: int | None = None
    """The column of the line, from 1; null when it is not known. Example: `14`"""


class LocaleGap(msgspec.Struct, kw_only=True):
    """A text that a locale lacks."""

    locale: LocaleName
    channel: ChannelName
    field: TextField

    shown_in: LocaleName
    """The locale in which its users read the text instead. Example: `en`"""


class ValidationResponse(msgspec.Struct, kw_only=True):
    """Whether the texts can be published."""

    valid: bool
    """Whether there are no errors."""

    errors: list[TextFault]
    """What prevents publishing."""

    warnings: list[str]
    """What may be wrong, one sentence each. Example: `["push is long"]`"""

    missing_variables: list[str]
    """Variables that are required and that no text uses. Example: `["amount"]`"""

    extra_variables: list[str]
    """Variables that a text uses and that are not declared. Example: `["currency"]`"""

    all_variables: list[str]
    """All variables that the texts use. Example: `["amount", "user.first_name"]`"""

    unknown_variables: list[str] = []
    """Variables of `user` that no user has. Example: `["user.nickname"]`"""

    gaps: list[LocaleGap] = []
    """Texts that one locale has and another lacks."""
