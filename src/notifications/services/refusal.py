"""The refusal of a single send whose person opted out of every requested channel."""

from __future__ import annotations

from collections.abc import Mapping

from directory.models import ContactPoint
from directory.models.contact import Reach
from notifications.domain.channels import CONTACT_KIND_OF_CHANNEL, Channel
from notifications.domain.errors import Refused
from notifications.infra import clock
from notifications.intake.accept import Target
from notifications.policy.decide import Contact, MessageFacts, Suppress, decide
from notifications.policy.facts import stranger_contact


def refuse_if_opted_out(target: Target) -> None:
    """Raises Refused (opted_out) when every requested channel is closed by the person's own wish.

    A partial refusal is accepted: the closed channels become `suppressed`.
    """
    reach = ContactPoint.objects.reach(target.user_id) if target.user_id is not None else {}
    reasons: dict[str, str] = {}
    for channel in target.channels:
        decision = decide(_facts(target, channel, reach))
        if not (isinstance(decision, Suppress) and decision.opted_out):
            return
        reasons[channel] = decision.reason
    raise Refused(
        "the person opted out of every requested channel",
        code="opted_out",
        reasons=reasons,
    )


def _facts(target: Target, channel: str, reach: Mapping[str, Reach]) -> MessageFacts:
    kind = CONTACT_KIND_OF_CHANNEL.get(Channel(channel))
    contact: Contact | None = None
    if kind and target.address:
        contact = stranger_contact(target.address, channel)
    elif kind and kind in reach:
        point = reach[kind]
        contact = Contact(point.address, point.state, point.listed)
    return MessageFacts(
        now=clock.now(),
        needs_contact=kind is not None and contact is not None,
        contact=contact,
        user_id=target.user_id,
    )
