"""Requests and responses of sign-ins and invitations."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import msgspec

from directory.models.staff import StaffRole
from notifications.infra.field_types import NextPage, PreviousPage, choice
from notifications.models import SignIn

RoleName = Annotated[
    str,
    choice(
        "StaffRole", StaffRole.values, "The role of a member of staff, which decides all rights."
    ),
]


class InvitationBody(msgspec.Struct, kw_only=True):
    """An invitation of staff."""

    email: Annotated[str, msgspec.Meta(max_length=254)]
    """The address that the link is sent to. Example: `grace@example.com`"""

    role: RoleName

    groups: Annotated[list[int], msgspec.Meta(max_length=50)] = []
    """The ids of the groups of staff that the person joins, at most 50. Example: `[3]`"""

    locale: Annotated[str, msgspec.Meta(max_length=20)] = "en"
    """The language of the mail and of the account. Example: `en`"""

    member_id: int | None = None
    """The integer id of an existing member of staff, who shall sign in by this link; null for a
    new account. Example: `42`"""


class InvitationResponse(msgspec.Struct, kw_only=True):
    """An invitation."""

    id: int
    """The integer id of the invitation. Example: `7`"""

    email: str
    """The address that the link was sent to. Example: `grace@example.com`"""

    role: RoleName

    groups: list[int]
    """The ids of the groups of staff that the person joins. Example: `[3]`"""

    invited_by: str
    """Who invited. Example: `user:1`"""

    created_at: datetime
    """When it was sent (RFC 3339)."""

    expires_at: datetime
    """Until when the link is valid (RFC 3339)."""

    accepted_at: datetime | None
    """When it was accepted (RFC 3339), or null."""

    user_id: int | None
    """The integer id of the account, or null before it exists. Example: `42`"""


class InvitationList(msgspec.Struct, kw_only=True):
    """A page of invitations, the oldest first."""

    results: list[InvitationResponse]
    """The invitations of this page."""

    next: NextPage = None
    previous: PreviousPage = None


class SignInResponse(msgspec.Struct, kw_only=True):
    """A sign-in: a session of a browser, or a family of tokens."""

    id: int
    """The integer id of the sign-in. Example: `7`"""

    user_id: int
    """The integer id of the person. Example: `42`"""

    kind: Annotated[
        str,
        choice("SignInKind", SignIn.Kind.values, "A session of a browser, or a family of tokens."),
    ]

    method: Annotated[
        str, choice("SignInMethod", SignIn.Method.values, "How the person signed in.")
    ]

    second_factor: bool
    """Whether a second factor was verified in it. Example: `true`"""

    address: str
    """The address of the client; empty where it is unknown. Example: `192.0.2.7`"""

    agent: str
    """What the client called itself, up to 200 characters. Example: `Mozilla/5.0`"""

    created_at: datetime
    """When it began (RFC 3339)."""

    seen_at: datetime
    """When it was last used (RFC 3339), to five minutes. For tokens: when they were renewed."""

    expires_at: datetime
    """When it ends (RFC 3339), unless tokens are renewed."""

    current: bool
    """Whether it is the sign-in of this request. Example: `false`"""


class SignInList(msgspec.Struct, kw_only=True):
    """A page of sign-ins, the oldest first."""

    results: list[SignInResponse]
    """The sign-ins of this page."""

    next: NextPage = None
    previous: PreviousPage = None


class EndedResponse(msgspec.Struct, kw_only=True):
    """What was ended."""

    ended: int
    """How many sign-ins and tokens were ended. Tokens of the platform are not counted.
    Example: `2`"""
