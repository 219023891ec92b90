"""SegmentService: criteria that are saved under a name."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from django.db import IntegrityError, transaction

from directory.audiences import AudienceError, check_criteria, criteria_in_words
from directory.models import Segment
from notifications.domain.callers import Caller
from notifications.domain.errors import Conflict, NotFound
from notifications.domain.identifiers import parse_identifier
from notifications.features.access.service import require_scope
from notifications.features.audiences.schemas import SegmentResponse
from notifications.features.audiences.service import READ, invalid_audience
from notifications.infra import clock
from notifications.models.audit.actions import Values, record_action, stored_values, values_of

WRITE = "segments:write"


class SegmentService:
    """Lists, shows, creates, changes and deletes saved segments."""

    def list(self, *, caller: Caller, after: int = 0, limit: int = 50) -> Sequence[SegmentResponse]:
        """Returns segments in ascending order of key."""
        require_scope(caller, READ)
        rows = Segment.objects.filter(pk__gt=after).order_by("pk")[:limit]
        return [_response(segment) for segment in rows]

    def get(self, *, identifier: object, caller: Caller) -> SegmentResponse:
        """Returns one segment, by id or key.

        Raises:
            NotFound: unknown_segment.
        """
        require_scope(caller, READ)
        return _response(_find(identifier))

    def create(
        self, *, name: str, criteria: Any, description: str = "", caller: Caller
    ) -> SegmentResponse:
        """Saves criteria.

        Raises:
            InvalidRequest: with every fault of the criteria.
            Conflict: segment_name_taken.
        """
        require_scope(caller, WRITE)
        _check(criteria)
        segment = Segment(name=name, description=description, criteria=criteria)
        _save(segment, caller, "segment.created")
        return _response(segment)

    def update(
        self,
        *,
        identifier: object,
        name: str,
        criteria: Any,
        description: str = "",
        caller: Caller,
    ) -> SegmentResponse:
        """Replaces a segment. Every later use of the segment has the new criteria.

        Raises:
            NotFound: unknown_segment.
            InvalidRequest: with every fault of the criteria.
            Conflict: segment_name_taken.
        """
        require_scope(caller, WRITE)
        segment = _find(identifier)
        _check(criteria)
        segment.name, segment.description, segment.criteria = name, description, criteria
        _save(segment, caller, "segment.changed")
        return _response(segment)

    def delete(self, *, identifier: object, caller: Caller) -> None:
        """Deletes a segment. An audience that still names it becomes an error.

        Raises:
            NotFound: unknown_segment.
        """
        require_scope(caller, WRITE)
        segment = _find(identifier)
        with transaction.atomic():
            _record_action(caller, "segment.deleted", segment, before=values_of(segment))
            segment.delete()


def _find(identifier: object) -> Segment:
    key = parse_identifier(identifier)
    lookup = {"uuid" if isinstance(key, UUID) else "pk": key}
    segment = Segment.objects.filter(**lookup).first() if key is not None else None
    if segment is None:
        raise NotFound(f"there is no segment {identifier}", code="unknown_segment")
    return segment


def _check(criteria: Any) -> None:
    try:
        check_criteria(criteria)
    except AudienceError as error:
        raise invalid_audience(error) from error


def _save(segment: Segment, caller: Caller, action: str) -> None:
    try:
        with transaction.atomic():
            before = stored_values(segment)
            segment.save()
            _record_action(caller, action, segment, before=before, after=values_of(segment))
    except IntegrityError as error:
        raise Conflict(
            f"a segment {segment.name!r} already exists: choose another name",
            code="segment_name_taken",
        ) from error


def _record_action(
    caller: Caller, action: str, segment: Segment, *, before: Values = None, after: Values = None
) -> None:
    record_action(
        actor=caller.name,
        action=action,
        target=f"segment:{segment.uuid}",
        at=clock.now(),
        before=before,
        after=after,
    )


def _response(segment: Segment) -> SegmentResponse:
    return SegmentResponse(
        id=segment.uuid,
        key=segment.pk,
        name=segment.name,
        description=segment.description,
        criteria=segment.criteria,
        words=criteria_in_words(segment.criteria),
        created_at=segment.created_at,
        updated_at=segment.updated_at,
    )
