"""A broadcast as its author would read it: sent to whoever asks, and to nobody else."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from uuid import UUID

from django.db import transaction
from django.utils.translation import pgettext

from directory.models import User
from notifications.domain.callers import Caller
from notifications.domain.errors import Conflict, Refused
from notifications.features.broadcasts.delivery.launch import CALLS, check_terms, intent_of, ways_of
from notifications.features.broadcasts.schemas import BroadcastTested, BroadcastTestResponse
from notifications.features.broadcasts.service import BroadcastDesk, check_priority, write_down
from notifications.features.broadcasts.survey import Survey
from notifications.features.sending.refusal import predict_or_refuse
from notifications.intake.accept import Intent, SendTarget, accept
from notifications.models import Broadcast

TYPE = "broadcast_test"
"""Of the notification: by it a test is told from what people were sent."""


def send_to_oneself(identifier: object, *, caller: Caller, now: datetime) -> BroadcastTestResponse:
    """Sends a broadcast's text to the caller, whatever its status; it counts in no broadcast.

    The caller's wishes are asked as anybody's are. It is no part of the broadcast: neither its
    stops nor its lane hold it up.

    Raises:
        Refused: missing_scope, person_required, opted_out.
        InvalidRequest: what a launch would fail on.
        Conflict: unreachable, where no channel would bring it to the caller.
        NotFound: unknown_broadcast.
    """
    broadcast = BroadcastDesk().find(identifier, caller=caller)
    person = User.objects.filter(pk=caller.user_id).first() if caller.user_id else None
    if person is None:
        detail = "A test is sent to the person who asks, and a key is none: sign in, and repeat it"
        raise Refused(detail, code="person_required")
    check_priority(broadcast, caller)
    check_terms(broadcast)
    intent = _intent(broadcast, caller)
    target = SendTarget(person.pk, intent.terms.channels)
    seen = predict_or_refuse(intent, target, person, actor=caller.name, now=now)
    _check_reach(broadcast, person, now=now)
    with transaction.atomic():
        accepted = accept(intent, [target], now=now)
        write_down(caller, "test", broadcast, now=now)
    return BroadcastTestResponse(
        success=True,
        data=BroadcastTested(
            success=True,
            message=pgettext("broadcast", "The test is on its way to you"),
            broadcast_id=broadcast.pk,
            notification_id=UUID(accepted.uuids[0]),
            estimated_delivery=seen.delivery_at,
        ),
    )


def _check_reach(broadcast: Broadcast, person: User, *, now: datetime) -> None:
    """Whoever waits for a test is told at once that none will come."""
    survey = Survey(broadcast, at=now)
    survey.look([person.pk])
    for reason in survey.exclusions:
        raise Conflict(
            f"A test would not reach you on {', '.join(broadcast.channels)} ({reason}): give"
            " yourself an address there, or the broadcast another channel",
            code="unreachable",
            reason=reason,
        )


def _intent(broadcast: Broadcast, caller: Caller) -> Intent:
    """The broadcast's own intent, from the caller and not from the broadcast."""
    channels, options = ways_of(broadcast)
    mark = pgettext("broadcast", "[Test]")
    return replace(
        intent_of(broadcast, channels, options, calls=CALLS),
        source=caller.source,
        mass=False,
        type=TYPE,
        text={"title": f"{mark} {broadcast.title}".strip(), "message": broadcast.message},
    )
