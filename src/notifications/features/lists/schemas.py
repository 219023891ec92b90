"""Request and response schemas of mailing lists and their members."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

import msgspec
from msgspec import UNSET, Meta, UnsetType

from directory.models import ListStatus
from notifications.features.sending.schemas import RejectionResponse
from notifications.infra.field_types import (
    CategoryKey,
    ExternalIdOrNone,
    NextPage,
    PreviousPage,
    UserId,
    UserRefOrNone,
    choice,
)

MAX_ROWS = 10_000
ListName = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=200,
        description="The unique name, 1 to 200 characters. People see it.",
        examples=["School news"],
    ),
]
Slug = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=60,
        pattern="^[a-z0-9]+(-[a-z0-9]+)*$",
        description="The unique name in URLs and in the consent ledger: lower-case letters, digits"
        " and single hyphens. It cannot be changed.",
        examples=["school-news"],
    ),
]
About = Annotated[
    str,
    Meta(
        max_length=1000,
        description="What the list is about, up to 1,000 characters. People see it.",
        examples=["What is new at school, once a month"],
    ),
]
IsPublic = Annotated[
    bool,
    Meta(description="Whether people see it in their preference centre and may join it."),
]
NeedsConfirmation = Annotated[
    bool,
    Meta(description="Whether a person is on the list once they confirmed by email."),
]
HasArchive = Annotated[
    bool,
    Meta(description="Whether a public list shows what was sent to it on a page for everyone."),
]
Wording = Annotated[
    str,
    Meta(
        max_length=10_000,
        description="The text that the users agreed to, as evidence of their consent.",
        examples=["Send me the school news by email."],
    ),
]
Source = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=60,
        description="Where the users agreed or left, 1 to 60 characters.",
        examples=["signup form"],
    ),
]
StatusName = Annotated[
    str,
    choice(
        "ListStatus",
        ListStatus.values,
        "Whether a user is on a list. `pending`: an email asks the user to confirm.",
    ),
]


class ListBody(msgspec.Struct, kw_only=True, omit_defaults=True):
    """A mailing list to make."""

    name: ListName
    slug: Slug
    description: About = ""
    is_public: IsPublic = False
    double_opt_in: NeedsConfirmation = True
    archive: HasArchive = False
    category: CategoryKey = "marketing"


class ListChangeBody(msgspec.Struct, kw_only=True, omit_defaults=True):
    """Changes of a mailing list. A field that is left out stays as it is."""

    name: ListName | UnsetType = UNSET
    """The unique name. Example: `School news`"""

    description: About | UnsetType = UNSET
    """What the list is about. Example: `What is new at school`"""

    is_public: IsPublic | UnsetType = UNSET
    """Whether people may see and join it. Example: `true`"""

    double_opt_in: NeedsConfirmation | UnsetType = UNSET
    """Whether those who join from now on confirm by email. Example: `true`"""

    archive: HasArchive | UnsetType = UNSET
    """Whether it has a public archive. What was sent before is never added. Example: `true`"""

    category: CategoryKey | UnsetType = UNSET
    """The key of the category whose consents a subscription gives. Example: `marketing`"""


class ListCounts(msgspec.Struct, kw_only=True):
    """How many users are in each state."""

    subscribed: int = 0
    """On the list. Example: `1200`"""

    pending: int = 0
    """Asked to confirm. Example: `14`"""

    unsubscribed: int = 0
    """Left. Example: `80`"""


class ListResponse(msgspec.Struct, kw_only=True):
    """A mailing list."""

    id: UUID
    """The id of the list."""

    key: int
    """The integer id of the list, by which lists are ordered. Example: `3`"""

    name: ListName
    slug: Slug
    description: About
    is_public: IsPublic
    double_opt_in: NeedsConfirmation
    archive: HasArchive
    category: CategoryKey

    counts: ListCounts | None
    """How many users it has; null where several lists are shown."""

    created_at: datetime
    """When it was made (RFC 3339)."""

    updated_at: datetime
    """When it was last changed (RFC 3339)."""


class ListPage(msgspec.Struct, kw_only=True):
    """A page of mailing lists, the oldest first."""

    results: list[ListResponse]
    """The lists of this page."""

    next: NextPage = None
    previous: PreviousPage = None


class SubscribeBody(msgspec.Struct, kw_only=True, omit_defaults=True):
    """A user who joins a list. `wording` proves the consent of a user who once left."""

    user_id: UserRefOrNone = None
    external_id: ExternalIdOrNone = None
    wording: Wording = ""
    source: Source = "api"


class LeaveBody(msgspec.Struct, kw_only=True, omit_defaults=True):
    """A user who leaves a list."""

    user_id: UserRefOrNone = None
    external_id: ExternalIdOrNone = None
    source: Source = "api"


class SubscriptionResponse(msgspec.Struct, kw_only=True):
    """One user and one list."""

    user_id: UserId

    status: StatusName

    source: str
    """Where the latest change was made. Example: `signup form`"""

    consent_id: int | None
    """The entry of the consent ledger that proves it; null while pending. Example: `17`"""

    created_at: datetime
    """When the user was first added or asked (RFC 3339)."""

    changed_at: datetime
    """When the status last changed (RFC 3339)."""

    subscribed_at: datetime | None
    """When the user last joined (RFC 3339), or null."""

    unsubscribed_at: datetime | None
    """When the user last left (RFC 3339), or null."""


class SubscriptionPage(msgspec.Struct, kw_only=True):
    """A page of a list's users, by integer id."""

    results: list[SubscriptionResponse]
    """The users of this page."""

    next: NextPage = None
    previous: PreviousPage = None


class ListImportBody(msgspec.Struct, kw_only=True, omit_defaults=True):
    """Users to add to a list. The same call again changes nothing."""

    rows: Annotated[
        list[Any],
        Meta(
            min_length=1,
            max_length=MAX_ROWS,
            description="Up to 10,000 objects with one of `user_id`, `external_id` and `email`.",
            examples=[[{"external_id": "p-7"}, {"email": "ada@example.com"}]],
        ),
    ]
    wording: Wording = ""
    source: Source = "import"

    resubscribe: bool = False
    """Whether users who left or withdrew a consent join again. It needs a new `wording`."""


class ListImportResponse(msgspec.Struct, kw_only=True):
    """What an import changed."""

    subscribed: int
    """How many users are on the list now and were not before. Example: `980`"""

    pending: int
    """How many users were asked to confirm by email. Example: `0`"""

    unchanged: int
    """How many rows changed nothing. Example: `15`"""

    rejected: list[RejectionResponse]
    """The rows that were not accepted."""
