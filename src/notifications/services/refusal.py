"""The refusal of a single send whose person opted out of every requested channel now."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from directory.models import ContactPoint, User
from directory.models.contact import Reach
from notifications.domain.channels import CONTACT_KIND_OF_CHANNEL, Channel
from notifications.domain.errors import Refused
from notifications.intake.accept import Intent, Target
from notifications.models import RefusedSend
from notifications.models.hot_facts import load_circumstances, load_contacts
from notifications.policy.decide import Contact, Decision, Suppress, decide
from notifications.policy.facts import SliceFacts, message_facts, stranger_address
from notifications.services.drafts import draft_of
from notifications.shared_rows import category_facts


def refuse_if_opted_out(
    intent: Intent, target: Target, user: User | None, *, actor: str, now: datetime
) -> None:
    """Raises Refused (opted_out) when every requested channel is closed by the person's own wish.

    A partial refusal is accepted: the closed channels become `suppressed`. The refusal is kept, so
    that `explain` can tell of it by the decision id.
    """
    reasons = reasons_to_refuse(intent, target, user, now=now)
    if not reasons:
        return
    kept = RefusedSend.objects.create(
        user_id=target.user_id,
        category=intent.category_key,
        template_path=intent.terms.template_path,
        reasons=reasons,
        actor=actor,
        at=now,
    )
    raise Refused(
        "the person opted out of every requested channel",
        code="opted_out",
        reasons=reasons,
        decision_id=str(kept.uuid),
    )


def reasons_to_refuse(
    intent: Intent, target: Target, user: User | None, *, now: datetime
) -> dict[str, str]:
    """The reason of each channel, when the person closed all of them; else nothing.

    A scheduled send is never refused: what counts is the wish when it is due.
    """
    if intent.terms.scheduled_at is not None:
        return {}
    facts = SliceFacts()
    if user is not None:
        facts.here = load_circumstances([user.pk])
    reach = ContactPoint.objects.reach(user.pk) if user is not None else {}
    reasons: dict[str, str] = {}
    for channel in (*target.channels, *intent.terms.options.get("fallback", ())):
        decision = _decide(intent, target, channel, facts, reach, now)
        if not (isinstance(decision, Suppress) and decision.opted_out):
            return {}
        reasons[channel] = decision.reason
    return reasons


def _decide(
    intent: Intent,
    target: Target,
    channel: str,
    facts: SliceFacts,
    reach: Mapping[str, Reach],
    now: datetime,
) -> Decision:
    draft = draft_of(intent, target, channel)
    contact = _contact(target, channel, reach)
    if contact is not None:
        facts.contacts[draft.id] = contact
    terms = category_facts(intent.category_id).terms
    found = message_facts(draft, facts, terms, at=now, supports_channel=True, stopped_by="")
    # Who has no address on the channel may have closed it all the same.
    return decide(found._replace(needs_contact=contact is not None))


def _contact(target: Target, channel: str, reach: Mapping[str, Reach]) -> Contact | None:
    kind = CONTACT_KIND_OF_CHANNEL.get(Channel(channel))
    if kind and target.address:
        address = stranger_address(target.address, channel)
        listed = bool(load_contacts([], kind, [address]))
        return Contact(address, suppressed=listed) if address else None
    if kind and kind in reach:
        point = reach[kind]
        return Contact(point.address, point.state, point.listed)
    return None
