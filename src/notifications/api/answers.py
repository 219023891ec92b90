"""Shapes of bodies and answers of the doors; those of the work are the services' own."""

from __future__ import annotations

from typing import Annotated

import msgspec

from notifications.features.access.service import ApiKeyAnswer
from notifications.features.operations.schemas import DeadLetterAnswer, StopAnswer

Text = Annotated[str, msgspec.Meta(max_length=200)]
Id = Annotated[int, msgspec.Meta(ge=1, le=(1 << 63) - 1)]
Ids = Annotated[list[Id], msgspec.Meta(min_length=1, max_length=10_000)]


class LoginBody(msgspec.Struct, kw_only=True):
    """A person's name and password."""

    username: Text
    password: Annotated[str, msgspec.Meta(max_length=4096)]


class RefreshBody(msgspec.Struct, kw_only=True):
    """A refresh token."""

    refresh: Annotated[str, msgspec.Meta(max_length=8192)]


class TokenAnswer(msgspec.Struct, kw_only=True):
    """access opens the API for expires_in seconds; refresh gets the next pair."""

    access: str
    refresh: str
    expires_in: int


class StopBody(msgspec.Struct, kw_only=True):
    """What to stop. scope: all, channel, provider, category, template,
    source or version."""

    scope: Text
    reason: Text
    value: Text = ""


class StopList(msgspec.Struct, kw_only=True):
    """The stops in force, the newest first."""

    results: list[StopAnswer]
    next: str | None = None
    previous: str | None = None


class DeadLetterList(msgspec.Struct, kw_only=True):
    """A page of dead letters, the oldest first."""

    results: list[DeadLetterAnswer]
    next: str | None = None
    previous: str | None = None


class ReplayBody(msgspec.Struct, kw_only=True):
    """Dead letters to send again."""

    ids: Ids


class DiscardBody(msgspec.Struct, kw_only=True):
    """Dead letters to close for good, and why."""

    ids: Ids
    reason: Text


class ReplayAnswer(msgspec.Struct, kw_only=True):
    """How many go out again; letters that were resolved already are passed over."""

    replayed: int


class DiscardAnswer(msgspec.Struct, kw_only=True):
    """How many were closed; letters that were resolved already are passed over."""

    discarded: int


class ApiKeyBody(msgspec.Struct, kw_only=True):
    """A key to be made. `*` stands for every scope."""

    name: Annotated[str, msgspec.Meta(max_length=100)]
    scopes: list[Text]
    kind: Text = "live"


class ApiKeyList(msgspec.Struct, kw_only=True):
    """A page of API keys, the oldest first."""

    results: list[ApiKeyAnswer]
    next: str | None = None
    previous: str | None = None


class LiveAnswer(msgspec.Struct, kw_only=True):
    """The process answers."""

    status: str
