"""AudienceService: counts and previews audiences. The directory defines their language."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from directory.audiences import Audience, AudienceError
from directory.models import User
from directory.references import key_text
from notifications.domain.callers import Caller
from notifications.domain.errors import FieldError, InvalidRequest
from notifications.features.access.service import missing_scope
from notifications.features.audiences.schemas import (
    AudienceCountResponse,
    AudiencePerson,
    MissingResponse,
)

READ = "users:read"
MISSING_SHOWN = 100


class AudienceService:
    """Shows audiences before anything is sent to them."""

    def count(self, *, audience: Any, caller: Caller, now: datetime) -> AudienceCountResponse:
        """Returns the exact number of people in an audience.

        Raises:
            InvalidRequest: with every fault of the audience.
            Refused: missing_scope.
        """
        found = _read(audience, caller, now)
        return AudienceCountResponse(
            count=found.count(),
            description=found.description,
            missing_count=len(found.missing),
            missing=[
                MissingResponse(user_id=key_text(each.user), reason=each.reason, path=each.path)
                for each in found.missing[:MISSING_SHOWN]
            ],
        )

    def preview(
        self, *, audience: Any, caller: Caller, now: datetime, after: int = 0, limit: int = 50
    ) -> list[AudiencePerson]:
        """Returns the people above the id `after`, in ascending order of id.

        Raises:
            InvalidRequest: with every fault of the audience.
            Refused: missing_scope.
        """
        found = _read(audience, caller, now)
        ids: list[int] = []
        for page in found.stream(after=after):
            ids += page[: limit - len(ids)]
            if len(ids) == limit:
                break
        people = User.objects.filter(pk__in=ids).order_by("pk")
        return [_person(user) for user in people]


def read_audience(
    data: Any,
    *,
    now: datetime,
    path: str = "audience",
    segments: Mapping[str, Any] | None = None,
) -> Audience:
    """Reads the audience that a caller wrote.

    segments: criteria that count instead of those of a saved segment, by its id or UUID.

    Raises:
        InvalidRequest: with every fault.
    """
    try:
        return Audience.of(data, now=now, path=path, segments=segments)
    except AudienceError as error:
        raise invalid_audience(error) from error


def invalid_audience(error: AudienceError) -> InvalidRequest:
    """Returns the error of a request for the faults of its audience."""
    return InvalidRequest([FieldError(each.path, each.code, each.detail) for each in error.faults])


def _read(data: Any, caller: Caller, now: datetime) -> Audience:
    if not caller.may(READ):
        raise missing_scope(READ)
    return read_audience(data, now=now)


def _person(user: User) -> AudiencePerson:
    return AudiencePerson(
        id=user.pk,
        uuid=user.uuid,
        username=user.username,
        first_name=user.first_name,
        last_name=user.last_name,
        role=user.role,
        locale=user.locale,
        timezone=user.timezone,
    )
