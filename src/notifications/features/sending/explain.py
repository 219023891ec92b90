"""Explains why a notification was sent or not, from its stored decisions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

import msgspec

from directory.models import ContactPoint, Suppression
from notifications.domain.callers import Caller
from notifications.domain.channels import CONTACT_KIND_OF_CHANNEL, Channel
from notifications.domain.identifiers import parse_identifier
from notifications.domain.lifecycle import REACHED, MessageStatus
from notifications.features.experiments.places import shown_place
from notifications.features.learning.explaining import explain_learning, learning_reasons
from notifications.features.sending.blockers import find_blockers
from notifications.features.sending.schemas import (
    AttemptResponse,
    ContactExplanation,
    DecisionResponse,
    DigestResponse,
    ExplainResponse,
    MessageExplanation,
    StepResponse,
)
from notifications.infra import clock
from notifications.infra.database.clock_bridge import database_now
from notifications.models import (
    DeliveryAttempt,
    DigestItem,
    Notification,
    NotificationMessage,
    RefusedSend,
)
from notifications.policy.decide import steps_of

REFUSED = "refused"
_DEFERRED = frozenset({"deferred", "retry", "uncertain"})
_DECIDED = frozenset({"allowed", "deferred", "digested", "suppressed", "expired"})


def find_refusal(identifier: object, caller: Caller) -> RefusedSend | None:
    """Returns the refused send with this decision id, if the caller may see it."""
    key = parse_identifier(identifier)
    if key is None:
        return None
    found = RefusedSend.objects.filter(**{"uuid" if isinstance(key, UUID) else "pk": key}).first()
    mine = found is not None and caller.name == found.actor
    return found if mine or caller.may("notifications:read") else None


def explain_refusal(found: RefusedSend) -> ExplainResponse:
    """Explains a refused send, of which nothing was accepted."""
    return ExplainResponse(
        id=found.uuid,
        status=REFUSED,
        messages=[
            MessageExplanation(
                channel=channel,
                status=REFUSED,
                decisions=[DecisionResponse(at=found.at, event=REFUSED, reason=reason)],
                steps=step_responses(reason),
            )
            for channel, reason in found.reasons.items()
        ],
    )


def explain_notification(
    found: Notification, messages: Sequence[NotificationMessage], status: str
) -> ExplainResponse:
    """Explains each message of a notification."""
    learning = explain_learning(found)
    begins = [DecisionResponse(at=found.created_at, event="accepted", reason="")]
    begins += [
        DecisionResponse(at=found.created_at, event="learned", reason=reason)
        for reason in (learning_reasons(learning) if learning else ())
    ]
    return ExplainResponse(
        id=found.uuid,
        status=status,
        messages=[_explain_message(message, begins) for message in messages],
        ab_test=shown_place(found.variant),
        learning=learning,
    )


def without_words_of_operators(explained: ExplainResponse) -> ExplainResponse:
    """Returns an explanation without the reasons of kill switches, which operators write for
    operators. A recipient sees that there is a stop, as in a health report."""
    for message in explained.messages:
        message.held_by = [
            msgspec.structs.replace(each, reason="") if each.kind == "kill_switch" else each
            for each in message.held_by
        ]
    return explained


def step_responses(reason: str) -> list[StepResponse]:
    """Returns the steps of the decision that led to a reason."""
    return [StepResponse(step=step, outcome=outcome) for step, outcome in steps_of(reason)]


def _explain_message(
    message: NotificationMessage, begins: Sequence[DecisionResponse]
) -> MessageExplanation:
    history = message.history()
    waits = message.status == MessageStatus.PENDING
    deferred = [entry["reason"] for entry in history if entry["event"] in _DEFERRED]
    decided = [entry["reason"] for entry in history if entry["event"] in _DECIDED]
    if not decided and (message.attempts or message.status in REACHED):
        decided = ["allowed"]
    return MessageExplanation(
        channel=message.channel,
        status=message.status,
        decisions=[*begins, *(_decision(entry) for entry in history)],
        steps=step_responses(decided[-1]) if decided else [],
        held_by=find_blockers(
            message, last_reason=deferred[-1] if deferred else "", now=database_now()
        )
        if waits
        else [],
        provider=message.provider,
        attempts=_attempts(message.pk),
        contact=_contact(message, decided[-1]) if decided and message.user_id else None,
        digest=_digest(message.pk) if message.status == "digested" else None,
    )


def _decision(entry: Mapping[str, Any]) -> DecisionResponse:
    return DecisionResponse(
        at=clock.from_epoch_ms(entry["at"]), event=entry["event"], reason=entry["reason"]
    )


def _contact(message: NotificationMessage, reason: str) -> ContactExplanation | None:
    """Explains a closed address, where it is the reason why nothing was sent."""
    if reason != "address_suppressed" and not reason.startswith("contact_"):
        return None
    kind = CONTACT_KIND_OF_CHANNEL.get(Channel(message.channel), "")
    point = ContactPoint.objects.filter(user_id=message.user_id or 0, kind=kind).first()
    if point is None:
        return None
    listed = Suppression.objects.filter(kind=kind, address=point.address).first()
    return ContactExplanation(
        state=point.state,
        state_reason=point.state_reason,
        suppressed_for=listed.reason or listed.source if listed else "",
    )


def _attempts(message_id: int) -> list[AttemptResponse]:
    rows = DeliveryAttempt.objects.filter(message_id=message_id).order_by("id")
    return [
        AttemptResponse(
            number=row.number,
            provider=row.provider,
            verdict=row.verdict,
            error_code=row.error_code,
            at=row.at,
            device_id=row.device_id,
        )
        for row in rows
    ]


def _digest(message_id: int) -> DigestResponse | None:
    item = DigestItem.objects.select_related("bucket").filter(message_id=message_id).first()
    if item is None:
        return None
    bucket = item.bucket
    sent = Notification.objects.filter(pk=bucket.notification_id or 0)
    uuid = sent.values_list("uuid", flat=True).first()
    return DigestResponse(period=bucket.period, closes_at=bucket.closes_at, id=uuid)
