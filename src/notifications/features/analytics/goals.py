"""Goals, events and conversions, as the API calls them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from typing import Any

from django.db import IntegrityError, transaction

from directory.keys import load_keys_of_people
from directory.lookup import find_people
from directory.moments import clamp_moment
from directory.references import (
    PERSON_FORMS,
    InvalidPersonFields,
    PersonKey,
    read_person_fields,
)
from notifications.domain.callers import Caller
from notifications.domain.errors import Conflict, NotFound
from notifications.features.access.persons import read_person_key
from notifications.features.access.service import require_scope
from notifications.features.analytics.attribution import attribute
from notifications.features.analytics.goal_schemas import (
    ConversionBody,
    ConversionResponse,
    EventBody,
    EventsResponse,
    GoalBody,
    GoalResponse,
    RejectedEvent,
)
from notifications.features.analytics.service import READ
from notifications.features.enrolling.entering import enter_by_events
from notifications.infra import clock
from notifications.infra.crypto import seal_json
from notifications.models import Conversion, Goal, NotificationMessage, PersonEvent
from notifications.models.audit.actions import record_action, values_of

WRITE = "analytics:write"
EARLIEST = datetime(2000, 1, 1, tzinfo=UTC)
AHEAD = timedelta(minutes=5)
"""How far a caller's clock may be ahead of ours."""
_AT_ONCE = 500


class GoalService:
    """Lists and makes goals; stores events and conversions."""

    def list(self, *, caller: Caller, after: int = 0, limit: int = 50) -> Sequence[GoalResponse]:
        """Returns goals, the oldest first. Raises Refused: missing_scope."""
        require_scope(caller, READ)
        return [
            _response(goal) for goal in Goal.objects.filter(pk__gt=after).order_by("pk")[:limit]
        ]

    def create(self, *, body: GoalBody, caller: Caller) -> GoalResponse:
        """Makes a goal. Events that are reported from now on count.

        Raises:
            Refused: missing_scope. Conflict: goal_name_taken.
        """
        require_scope(caller, WRITE)
        goal = Goal(
            name=body.name,
            event=body.event,
            window_s=body.window_days * 86_400,
            counts_opens=body.counts_opens,
            created_at=clock.now(),
        )
        try:
            with transaction.atomic():
                goal.save()
                record_action(
                    actor=caller.name,
                    action="goal.created",
                    target=f"goal:{goal.pk}",
                    at=goal.created_at,
                    after=values_of(goal),
                )
        except IntegrityError as error:
            raise Conflict(
                f"a goal {goal.name!r} already exists: choose another name", code="goal_name_taken"
            ) from error
        return _response(goal)

    def report(self, *, events: Sequence[EventBody], caller: Caller) -> EventsResponse:
        """Stores events, each once, and attributes those that a goal names.

        Raises:
            Refused: missing_scope.
        """
        require_scope(caller, WRITE)
        rows, rejected = _rows(events, caller)
        with transaction.atomic():
            stored, duplicates = _store(rows)
            attribute(stored)
            enter_by_events(stored, now=clock.now())
        return EventsResponse(accepted=len(rows), duplicates=duplicates, rejected=rejected)

    def convert(self, *, body: ConversionBody, caller: Caller) -> ConversionResponse:
        """Stores the event that a goal names, and returns its conversion.

        Raises:
            Refused: missing_scope. NotFound: unknown_goal, unknown_user, time_out_of_range.
            InvalidRequest: no user is named, or no single one.
            Conflict: idempotency_mismatch, where the key is that of another event.
        """
        require_scope(caller, WRITE)
        goal = Goal.objects.filter(name=body.goal).first()
        if goal is None:
            raise NotFound(f"there is no goal {body.goal!r}", code="unknown_goal")
        event = EventBody(
            user_id=body.user_id,
            external_id=body.external_id,
            name=goal.event,
            properties=body.properties,
            occurred_at=body.occurred_at,
            idempotency_key=body.idempotency_key,
        )
        read_person_key(body.user_id, body.external_id)
        rows, rejected = _rows([event], caller)
        if rejected:
            raise NotFound(rejected[0].detail, code=rejected[0].code)
        with transaction.atomic():
            stored, _ = _store(rows)
            attribute(stored)
            enter_by_events(stored, now=clock.now())
            found = Conversion.objects.filter(goal=goal, event_id=stored[0].pk).first()
            if found is None or found.user_id != rows[0].user_id:
                raise Conflict(
                    "this idempotency_key is that of another event: use a new key",
                    code="idempotency_mismatch",
                )
        return _conversion(found, goal)


def _response(goal: Goal) -> GoalResponse:
    return GoalResponse(
        id=goal.pk,
        name=goal.name,
        event=goal.event,
        window_days=goal.window.days,
        counts_opens=goal.counts_opens,
        created_at=goal.created_at,
    )


def _conversion(row: Conversion, goal: Goal) -> ConversionResponse:
    messages = NotificationMessage.objects.filter(pk=row.message_id or 0)
    found = messages.values_list("notification__uuid", "channel").first()
    return ConversionResponse(
        goal=goal.name,
        occurred_at=row.occurred_at,
        notification_id=found[0] if found else None,
        channel=found[1] if found else None,
        touched_at=row.touched_at,
    )


def _rows(
    events: Sequence[EventBody], caller: Caller
) -> tuple[list[PersonEvent], list[RejectedEvent]]:
    """Returns the rows to store, sealed under the keys of their people, and what is refused."""
    now = clock.now()
    references = [_person_of(event) for event in events]
    people = find_people(key for key in references if not isinstance(key, InvalidPersonFields))
    keys = load_keys_of_people(people.values())
    rows: list[PersonEvent] = []
    rejected: list[RejectedEvent] = []
    for index, (event, reference) in enumerate(zip(events, references, strict=True)):
        at = clamp_moment(event.occurred_at or now).astimezone(UTC)
        if isinstance(reference, InvalidPersonFields):
            code, detail = reference.code, f"{reference.field} {reference.detail}"
            rejected.append(RejectedEvent(index=index, code=code, detail=detail))
            continue
        user_id = people.get(reference)
        if user_id is None or user_id not in keys:
            detail = "there is no such user"
            rejected.append(RejectedEvent(index=index, code="unknown_user", detail=detail))
        elif not EARLIEST <= at <= now + AHEAD:
            detail = "must be since 2000, and not in the future"
            rejected.append(RejectedEvent(index=index, code="time_out_of_range", detail=detail))
        else:
            rows.append(
                PersonEvent(
                    user_id=user_id,
                    name=event.name,
                    properties=seal_json(event.properties, keys[user_id])
                    if event.properties
                    else None,
                    occurred_at=at,
                    idempotency_key=event.idempotency_key or _key_of(event, user_id, at),
                    source=caller.name,
                    received_at=now,
                )
            )
    return rows, rejected


def _person_of(event: EventBody) -> PersonKey | InvalidPersonFields:
    named = read_person_fields(event.user_id, event.external_id)
    if named is None:
        detail = f"is required: {PERSON_FORMS} (or use external_id)"
        return InvalidPersonFields("user_id", "required", detail)
    return named


def _key_of(event: EventBody, user_id: int, at: datetime) -> str:
    """Returns a key by which the same event without a key of its own is found again."""
    parts: list[Any] = [user_id, event.name, at.isoformat(), event.properties]
    text = json.dumps(parts, sort_keys=True, default=str)
    return f"auto:{blake2b(text.encode(), digest_size=20).hexdigest()}"


def _store(rows: Sequence[PersonEvent]) -> tuple[list[PersonEvent], int]:
    """Inserts the rows that are new; returns all as stored, and how many were not new.

    The order of the rows keeps two calls with the same keys from a deadlock.
    """
    if not rows:
        return [], 0
    source, keys = rows[0].source, sorted({row.idempotency_key for row in rows})
    known = len(_stored(source, keys))
    ordered = sorted(rows, key=lambda row: row.idempotency_key)
    PersonEvent.objects.bulk_create(ordered, ignore_conflicts=True, batch_size=_AT_ONCE)
    return _stored(source, keys), len(rows) - len(keys) + known


def _stored(source: str, keys: Sequence[str]) -> list[PersonEvent]:
    found: list[PersonEvent] = []
    for start in range(0, len(keys), _AT_ONCE):
        part = keys[start : start + _AT_ONCE]
        rows = PersonEvent.objects.filter(source=source, idempotency_key__in=part)
        found += rows.defer("properties")
    return found
