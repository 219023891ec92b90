"""Predicts the effect of a user's preferences on a single send: refused, deferred or sent."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

import msgspec

from directory.models import AddressKey, User, normalise_address
from directory.models.contact import ContactAddress
from notifications.domain.channels import CONTACT_KIND_OF_CHANNEL, KIND_OF_ADDRESS, Channel
from notifications.domain.errors import Refused
from notifications.engine.shared_rows import category_facts
from notifications.infra.crypto import seal_json
from notifications.intake.accept import MAX_ATTEMPTS, Intent, SendTarget
from notifications.models import RefusedSend
from notifications.models.delivery.hot_facts import (
    Circumstances,
    load_for_sends,
    load_listed,
)
from notifications.models.delivery.hot_rows import PendingMessage
from notifications.policy.decide import Contact, Decision, Defer, Digest, Suppress, decide
from notifications.policy.facts import SliceFacts, given_address, message_facts


@dataclass(frozen=True, slots=True)
class PredictedDecision:
    """The effect of the user's current preferences on a send."""

    #: By channel, why it is closed, where the user closed all of them; else empty.
    reasons: dict[str, str]
    #: When the first open channel sends: after quiet hours, or with a digest.
    delivery_at: datetime


def predict_or_refuse(
    intent: Intent, target: SendTarget, user: User, *, actor: str, now: datetime
) -> PredictedDecision:
    """Returns the prediction for a send that is not refused; see `predict_by` and `check_open`."""
    facts = load_for_sends([], [user.pk])
    addresses = facts.addresses.get(user.pk, {})
    found = predict_by(intent, target, facts.here, addresses, now=now)
    return check_open(found, intent, target, actor=actor, now=now)


def check_open(
    found: PredictedDecision, intent: Intent, target: SendTarget, *, actor: str, now: datetime
) -> PredictedDecision:
    """Returns the prediction for a send; stores and raises a refusal where all channels are closed.

    A send of which some channels are open is accepted, and the closed ones become `suppressed`.

    Raises:
        Refused: opted_out: the user closed every requested channel. `explain` finds the stored
            refusal by its decision id.
    """
    if not found.reasons:
        return found
    stored = RefusedSend.objects.create(
        user_id=target.user_id,
        key_id=_key_id_of(target),
        category=intent.category_key,
        template_path=intent.terms.template_path,
        reasons=found.reasons,
        actor=actor,
        at=now,
    )
    raise Refused(
        "the user opted out of every requested channel",
        code="opted_out",
        reasons=found.reasons,
        decision_id=str(stored.uuid),
    )


def _key_id_of(target: SendTarget) -> int | None:
    """Returns the id of the key of a target's address; None for a user or an erased address."""
    given = {KIND_OF_ADDRESS[name]: text for name, text in (target.address or {}).items()}
    return AddressKey.objects.existing(given) if given else None


def predict_by(
    intent: Intent,
    target: SendTarget,
    here: Circumstances | None,
    addresses: Mapping[str, ContactAddress],
    *,
    now: datetime,
) -> PredictedDecision:
    """Decides each channel by the current preferences, for the time at which the send is due.

    A scheduled send is never refused: the preferences at its due time count.

    Args:
        here: the circumstances of the target's user among others; None without a user.
        addresses: of the target's user, by kind.
    """
    scheduled_at = intent.terms.scheduled_at
    at = now if scheduled_at is None else max(scheduled_at, now)
    facts = SliceFacts()
    if here is not None:
        facts.here = here
    decisions = {
        channel: _decide(intent, target, channel, facts, addresses, at)
        for channel in target.channels
    }
    open_ones = [each for each in decisions.values() if not isinstance(each, Suppress)]
    delivery_at = min((_sent_at(each, at) for each in open_ones), default=at)
    reasons: dict[str, str] = {}
    for channel in (*target.channels, *intent.terms.options.get("fallback", ())):
        decision = decisions.get(channel) or _decide(intent, target, channel, facts, addresses, at)
        if scheduled_at is not None or not (isinstance(decision, Suppress) and decision.opted_out):
            return PredictedDecision({}, delivery_at)
        reasons[channel] = decision.reason
    return PredictedDecision(reasons, delivery_at)


def _sent_at(decision: Decision, at: datetime) -> datetime:
    if isinstance(decision, Defer):
        return decision.until
    return decision.closes_at if isinstance(decision, Digest) else at


def _decide(
    intent: Intent,
    target: SendTarget,
    channel: str,
    facts: SliceFacts,
    addresses: Mapping[str, ContactAddress],
    now: datetime,
) -> Decision:
    draft = draft_of(intent, target, channel)
    contact = _contact(target, channel, addresses)
    if contact is not None:
        facts.contacts[draft.id] = contact
    terms = category_facts(intent.category_id).terms
    found = message_facts(draft, facts, terms, at=now, supports_channel=True, stopped_by="")
    # A user without an address on the channel may have closed the channel as well.
    return decide(found._replace(needs_contact=contact is not None))


def _contact(
    target: SendTarget, channel: str, addresses: Mapping[str, ContactAddress]
) -> Contact | None:
    kind = CONTACT_KIND_OF_CHANNEL.get(Channel(channel))
    if kind and target.address:
        address = given_address(target.address, channel)
        listed = bool(load_listed(kind, [normalise_address(kind, address)]))
        return Contact(address, suppressed=listed) if address else None
    if kind and kind in addresses:
        point = addresses[kind]
        return Contact(point.address, point.state, point.listed)
    return None


def draft_of(intent: Intent, target: SendTarget, channel: str) -> PendingMessage:
    """Returns the message that a send would write. No stored message has its id."""
    terms = intent.terms
    options = msgspec.json.encode(terms.options).decode() if terms.options else None
    return PendingMessage(
        id=-1 - list(Channel).index(Channel(channel)),
        notification_id=0,
        user_id=target.user_id,
        channel=channel,
        priority=int(intent.priority),
        attempts=0,
        max_attempts=MAX_ATTEMPTS,
        batch_id=None,
        uuid="",
        category_id=intent.category_id,
        template_version_id=intent.template_version_id,
        job_id=None,
        source=intent.source,
        locale=intent.locale,
        context=seal_json(terms.context) if terms.context else None,
        text=None,
        address=seal_json(target.address) if target.address else None,
        options=options,
        expires_at=terms.expires_at,
        collapse_key=terms.collapse_key,
        ordering_key=terms.ordering_key,
        is_test=intent.is_test,
        scheduled_status=None,
        variant=target.assigned.label if target.assigned else None,
    )
