"""Sends a test of a broadcast to the caller alone."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from uuid import UUID

from django.db import transaction
from django.utils.translation import pgettext

from directory.models import User
from notifications.domain.callers import Caller
from notifications.domain.errors import Conflict, Refused
from notifications.features.broadcasts.action_schemas import BroadcastTested, BroadcastTestResponse
from notifications.features.broadcasts.delivery.intents import (
    CALLS,
    build_intent,
    split_channels,
)
from notifications.features.broadcasts.delivery.launch import check_terms
from notifications.features.broadcasts.entries import write_audit_entry
from notifications.features.broadcasts.service import (
    BroadcastWorkflow,
    check_content,
)
from notifications.features.broadcasts.survey import Survey
from notifications.features.sending.refusal import predict_or_refuse
from notifications.intake.accept import Intent, SendTarget, accept
from notifications.models import Broadcast

TYPE = "broadcast_test"
"""The type of the notification, which distinguishes a test from a real broadcast."""


def send_test_to_caller(
    identifier: object, *, caller: Caller, now: datetime
) -> BroadcastTestResponse:
    """Sends a broadcast's text to the caller, whatever its status.

    The caller's preferences apply as for any recipient. The test is not part of the broadcast: it
    counts in no counter, and neither the broadcast's kill switch nor its lane delays it.

    Raises:
        Refused: missing_scope, person_required, opted_out.
        InvalidRequest: with every error that a launch would raise.
        Conflict: unreachable, where no channel would deliver it to the caller.
        NotFound: unknown_broadcast.
    """
    broadcast = BroadcastWorkflow().find(identifier, caller=caller)
    person = User.objects.filter(pk=caller.user_id).first() if caller.user_id else None
    if person is None:
        detail = "A test goes to the person who requests it, not to a key: sign in, and try again"
        raise Refused(detail, code="person_required")
    check_content(broadcast, caller)
    check_terms(broadcast)
    intent = _intent(broadcast, caller)
    target = SendTarget(person.pk, intent.terms.channels)
    seen = predict_or_refuse(intent, target, person, actor=caller.name, now=now)
    check_reachable(broadcast, person, now=now)
    with transaction.atomic():
        accepted = accept(intent, [target], now=now)
        write_audit_entry(caller, "test", broadcast, now=now)
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


def check_reachable(broadcast: Broadcast, person: User, *, now: datetime) -> None:
    """Raises an error at once if no channel would deliver a test of a broadcast, saved or not.

    Raises:
        Conflict: unreachable.
    """
    survey = Survey(broadcast, at=now)
    survey.add_page([person.pk])
    for reason in survey.exclusions:
        raise Conflict(
            f"A test would not reach you on {', '.join(broadcast.channels)} ({reason}): give"
            " yourself an address there, or the broadcast another channel",
            code="unreachable",
            reason=reason,
        )


def _intent(broadcast: Broadcast, caller: Caller) -> Intent:
    """Returns the broadcast's intent, with the caller as its source."""
    channels, options = split_channels(broadcast)
    mark = pgettext("broadcast", "[Test]")
    return replace(
        build_intent(broadcast, channels, options, calls=CALLS),
        source=caller.source,
        mass=False,
        type=TYPE,
        text={"title": f"{mark} {broadcast.title}".strip(), "message": broadcast.message},
    )
